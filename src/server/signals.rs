//! The signals that a server's `main` goes by.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::low_level::{pipe, unregister};

use super::handle::{Ended, Server};
use crate::error::Result;
use crate::system::{ByDefault, Withheld, count_forks, forks, go_by_signals};

const SIGNALS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];
const ENDING: [i32; 2] = [SIGTERM, SIGINT];

/// Who goes by the signals. While nobody does, they do what they do by default; a handler once installed stays, so it has to be told
/// (`ByDefault`).
static USERS: Mutex<Users> = Mutex::new(Users { count: 0, are_installed: false, forks: 0 });

struct Users {
    count: usize,
    are_installed: bool,
    /// Those of another process, which this is a fork of, are not counted here.
    forks: u32,
}

fn users() -> MutexGuard<'static, Users> {
    let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
    if users.forks != forks() {
        (users.forks, users.count) = (forks(), 0);
    }
    users
}

/// Signals come through a pipe, one for those that end and one for that which renews. Its other end is not there in a fork of this process,
/// whose signals are its own.
#[derive(Debug)]
struct Taken {
    ids: Vec<SigId>,
    ends: Vec<Withheld>,
    forks: u32,
}

impl Taken {
    fn begin() -> Result<Taken> {
        count_forks();
        let mut users = users();
        if !users.are_installed {
            for signal in SIGNALS {
                register_conditional_default(signal, ByDefault)?;
            }
            users.are_installed = true;
        }
        users.count += 1;
        Ok(Taken { ids: Vec::new(), ends: Vec::new(), forks: users.forks })
    }

    /// They have somebody to come to now.
    fn are_taken(&self) {
        let _users = users();
        go_by_signals(true);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut users = users();
        if users.forks == self.forks {
            users.count -= 1;
            if users.count == 0 {
                go_by_signals(false);
            }
        }
        self.ends.clear();
        for id in self.ids.drain(..) {
            unregister(id);
        }
    }
}

/// A byte comes for each signal.
fn take(signals: &[i32], taken: &mut Taken) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    for signal in signals {
        let theirs = theirs.try_clone()?;
        taken.ends.push(Withheld::new(&theirs)?);
        taken.ids.push(pipe::register(*signal, theirs)?);
    }
    Ok(ours)
}

/// Waits for a signal. False at the end of the pipe.
fn has_come(pipe: &mut UnixStream) -> bool {
    loop {
        match pipe.read(&mut [0]) {
            // Other signals have handlers of their own.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return matches!(result, Ok(1..)),
        }
    }
}

/// The signals that a server's `main` goes by, kept for it from now on: SIGTERM, SIGINT (Ctrl-C) and SIGHUP.
///
/// [`Server::run_until_signal`] takes them over when it is called, and one that comes earlier ends the process, as it does by default. A program
/// that says that it is ready before that call takes them before it says so. One that comes meanwhile holds as soon as there is a server to
/// [run](Signals::run). When this is dropped they do what they do by default.
///
/// # Examples
///
/// ```no_run
/// use fourfold::server::{Conn, Server, Signals, Threads};
/// use std::time::Duration;
///
/// fn echo(conn: &mut Conn) -> std::io::Result<()> {
///     std::io::copy(&mut &*conn, &mut &*conn).map(drop)
/// }
///
/// let signals = Signals::take()?;
/// let server = Server::builder().listen("127.0.0.1:7007")?.start(Threads, echo)?;
/// println!("ready");
/// let ended = signals.run(&server, Duration::from_secs(10))?;
/// eprintln!("ended by signal {:?}", ended.signal);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
pub struct Signals {
    taken: Taken,
    end: UnixStream,
    renew: UnixStream,
    /// The last one that asked for the end.
    which: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes them over.
    ///
    /// # Errors
    ///
    /// If they cannot be, or there are no descriptors for it.
    pub fn take() -> Result<Signals> {
        let mut taken = Taken::begin()?;
        let which = Arc::new(AtomicUsize::new(0));
        for signal in ENDING {
            // Before the byte is written: who reads it finds the number.
            taken.ids.push(register_usize(signal, Arc::clone(&which), signal as usize)?);
        }
        let end = take(&ENDING, &mut taken)?;
        let renew = take(&[SIGHUP], &mut taken)?;
        taken.are_taken();
        Ok(Signals { taken, end, renew, which })
    }

    /// Serves until this process is asked to end: see [`Server::run_until_signal`].
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub fn run(self, server: &Server, limit: Duration) -> Result<Ended> {
        let Signals { taken, mut end, mut renew, which } = self;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let renewing = std::thread::Builder::new().name("fourfold-renew".into());
            renewing.spawn_scoped(scope, || {
                while has_come(&mut renew) && !over.load(Ordering::SeqCst) {
                    server.renew();
                }
            })?;
            has_come(&mut end);
            let signal = i32::try_from(which.load(Ordering::SeqCst)).ok();
            // The second one.
            let again = std::thread::Builder::new().name("fourfold-hurry".into());
            let again = again.spawn_scoped(scope, || {
                if has_come(&mut end) && !over.load(Ordering::SeqCst) {
                    server.cut_now();
                }
            });
            let ended = server.shutdown(limit);
            over.store(true, Ordering::SeqCst);
            // The write ends are gone with the registrations: both threads come to the end of their pipes.
            drop(taken);
            // Without that thread, the time that was given holds.
            let _ = again.map(std::thread::ScopedJoinHandle::join);
            Ok(Ended { signal, ..ended })
        })
    }
}
