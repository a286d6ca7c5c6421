//! `fourfold connect`: a client to type in. What the server says is shown as it comes.

use std::io::{self, BufRead as _, IsTerminal as _, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;

use crate::address::{self, Called};
use crate::exit;
use crate::key::fail;
use crate::units;

/// Talk to a server: what it says is shown, and each line that is typed is sent to it.
///
/// What the server says first comes first; empty lines are not sent. At the end of the input the server is told so, and what it still
/// says is shown until it has closed the connection. The exit status is 255 if it does so earlier, or cannot be reached.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Where the server listens: PORT on this machine, HOST:PORT, or unix:PATH.
    #[arg(value_name = "ADDR", value_parser = address::called)]
    address: Called,

    /// After the end of the input, wait so long for the server to close the connection.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::duration)]
    wait: Duration,
}

/// The connection.
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn connect(address: &Called) -> io::Result<Stream> {
        match address {
            Called::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Called::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        }
    }

    /// Says that nothing more comes.
    fn end(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What happens, as the two threads tell it.
enum News {
    /// The input is at its end, or cannot be read.
    Typed(io::Result<()>),
    /// A line cannot be sent.
    Unsent(io::Error),
    /// The server has closed the connection, or it is broken.
    Closed(io::Result<()>),
    /// What it says cannot be shown.
    Unshown(io::Error),
}

/// Standard output, with a prompt where somebody types.
struct Screen {
    is_terminal: bool,
    /// The prompt stands there, and nothing behind it but what is being typed.
    is_prompted: Mutex<bool>,
}

const PROMPT: &[u8] = b"> ";
/// Back to the beginning of the line, and erase it.
const UNPROMPT: &[u8] = b"\r\x1b[K";

impl Screen {
    fn is_prompted(&self) -> MutexGuard<'_, bool> {
        self.is_prompted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prompt(&self) -> io::Result<()> {
        let mut is_prompted = self.is_prompted();
        if !self.is_terminal || std::mem::replace(&mut *is_prompted, true) {
            return Ok(());
        }
        write(&[PROMPT])
    }

    /// The line has been ended by who types.
    fn entered(&self) {
        *self.is_prompted() = false;
    }

    /// What the server says, in the place of the prompt, which comes again behind a whole line.
    fn show(&self, said: &[u8]) -> io::Result<()> {
        let mut is_prompted = self.is_prompted();
        let before = if *is_prompted { UNPROMPT } else { b"" };
        *is_prompted = self.is_terminal && said.ends_with(b"\n");
        let after = if *is_prompted { PROMPT } else { b"" };
        write(&[before, said, after])
    }

    /// For what is said at the end.
    fn leave(&self) {
        if std::mem::replace(&mut *self.is_prompted(), false) {
            let _ = write(&[UNPROMPT]);
        }
    }
}

fn write(parts: &[&[u8]]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    parts.iter().try_for_each(|part| stdout.write_all(part))?;
    stdout.flush()
}

pub(crate) fn run(typed: &ConnectArgs) -> ExitCode {
    let address = match &typed.address {
        Called::Tcp(address) => address.clone(),
        Called::Unix(path) => format!("unix:{}", path.display()),
    };
    let stream = match Stream::connect(&typed.address) {
        Ok(stream) => Arc::new(stream),
        Err(error) => {
            let try_this = format!("is it there? `fourfold echo --listen {address}` starts one");
            return fail(&format!("cannot connect to {address}: {error}; {try_this}"));
        }
    };
    let screen = Arc::new(Screen {
        is_terminal: io::stdin().is_terminal() && io::stdout().is_terminal(),
        is_prompted: Mutex::new(false),
    });
    let (tell, news) = channel();
    // Neither is joined: one may wait for somebody to type.
    {
        let (stream, screen, tell) = (Arc::clone(&stream), Arc::clone(&screen), tell.clone());
        std::thread::spawn(move || tell.send(listen(&stream, &screen)));
    }
    {
        let (stream, screen) = (Arc::clone(&stream), Arc::clone(&screen));
        std::thread::spawn(move || tell.send(speak(&stream, &screen)));
    }
    let code = watch(&stream, &news, &address, typed.wait);
    screen.leave();
    code.unwrap_or_else(|why| fail(&why))
}

/// Shows what the server says.
fn listen(stream: &Stream, screen: &Screen) -> News {
    let mut chunk = vec![0; 16 << 10];
    loop {
        match (&mut &*stream).read(&mut chunk) {
            Ok(0) => return News::Closed(Ok(())),
            Ok(count) => {
                if let Err(error) = screen.show(&chunk[..count]) {
                    return News::Unshown(error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return News::Closed(Err(error)),
        }
    }
}

/// Sends what is typed, line by line.
fn speak(stream: &Stream, screen: &Screen) -> News {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        if let Err(error) = screen.prompt() {
            return News::Unshown(error);
        }
        line.clear();
        match stdin.read_until(b'\n', &mut line) {
            Ok(0) => return News::Typed(Ok(())),
            Ok(_) => screen.entered(),
            Err(error) => return News::Typed(Err(error)),
        }
        if matches!(&line[..], b"\n" | b"\r\n") {
            continue;
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        if let Err(error) = (&mut &*stream).write_all(&line) {
            return News::Unsent(error);
        }
    }
}

/// Until both are at their end. Gives the exit status, or what went wrong.
fn watch(
    stream: &Stream,
    news: &Receiver<News>,
    address: &str,
    wait: Duration,
) -> Result<ExitCode, String> {
    let broken = |error: &io::Error| format!("the connection to {address} is broken: {error}");
    let closed = || format!("{address} has closed the connection");
    let unshown = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::from(exit::CLOSED_PIPE)),
        _ => Err(format!("cannot write to standard output: {error}")),
    };
    // Each thread says one thing, its last.
    let unsent = match news.recv().expect("two threads tell") {
        News::Closed(Ok(())) => return Err(closed()),
        News::Closed(Err(error)) => return Err(broken(&error)),
        News::Unshown(error) => return unshown(error),
        News::Typed(Err(error)) => return Err(format!("cannot read standard input: {error}")),
        News::Typed(Ok(())) => stream.end().err(),
        News::Unsent(error) => Some(error),
    };
    match (news.recv_timeout(wait), unsent) {
        (Ok(News::Unshown(error)), _) => unshown(error),
        (Ok(News::Closed(Err(error))), _) => Err(broken(&error)),
        (Ok(_), None) => Ok(ExitCode::SUCCESS),
        (Ok(_), Some(_)) => Err(closed()),
        (Err(_), None) => {
            Err(format!("{address} has not closed the connection in time; see --wait"))
        }
        (Err(_), Some(error)) => Err(broken(&error)),
    }
}
