//! The signals that a server's `main` goes by.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register_conditional_default, register_usize};
use signal_hook::low_level::{pipe, unregister};

use super::handle::{Ended, Server};
use crate::error::Result;

const SIGNALS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];
const ENDING: [i32; 2] = [SIGTERM, SIGINT];

/// How many servers go by the signals, and whether signals do what they do by default: while none does. A handler once
/// installed stays, so it has to be told.
static USERS: Mutex<(usize, Option<Arc<AtomicBool>>)> = Mutex::new((0, None));

/// Signals come through a pipe, one for those that end and one for that which renews.
#[derive(Debug)]
struct Taken(Vec<SigId>);

impl Taken {
    fn begin() -> Result<Taken> {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        if users.1.is_none() {
            let default = Arc::new(AtomicBool::new(true));
            for signal in SIGNALS {
                register_conditional_default(signal, Arc::clone(&default))?;
            }
            users.1 = Some(default);
        }
        users.0 += 1;
        Ok(Taken(Vec::new()))
    }

    /// They have somebody to come to now.
    fn are_taken(&self) {
        if let (_, Some(default)) = &*USERS.lock().unwrap_or_else(PoisonError::into_inner) {
            default.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        users.0 -= 1;
        if let (0, Some(default)) = &*users {
            default.store(true, Ordering::SeqCst);
        }
        for id in self.0.drain(..) {
            unregister(id);
        }
    }
}

/// A byte comes for each signal.
fn take(signals: &[i32], taken: &mut Taken) -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    for signal in signals {
        taken.0.push(pipe::register(*signal, theirs.try_clone()?)?);
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
            taken.0.push(register_usize(signal, Arc::clone(&which), signal as usize)?);
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
