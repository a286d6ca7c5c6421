//! The signals that a server's `main` goes by.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::{pipe, unregister};

use super::handle::{Ended, Server};
use crate::error::Result;

const SIGNALS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// How many servers go by the signals, and whether signals do what they do by default: while none does. A handler once
/// installed stays, so it has to be told.
static USERS: Mutex<(usize, Option<Arc<AtomicBool>>)> = Mutex::new((0, None));

/// Signals come through a pipe, one for those that end and one for that which renews.
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

pub(super) fn run(server: &Server, limit: Duration) -> Result<Ended> {
    let mut taken = Taken::begin()?;
    let mut end = take(&[SIGTERM, SIGINT], &mut taken)?;
    let mut renew = take(&[SIGHUP], &mut taken)?;
    taken.are_taken();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let renewing = std::thread::Builder::new().name("fourfold-renew".into());
        renewing.spawn_scoped(scope, || {
            while matches!(renew.read(&mut [0]), Ok(1..)) && !over.load(Ordering::SeqCst) {
                server.renew();
            }
        })?;
        let _ = end.read(&mut [0]);
        // The second one.
        let again = scope.spawn(|| {
            if matches!(end.read(&mut [0]), Ok(1..)) && !over.load(Ordering::SeqCst) {
                server.cut_now();
            }
        });
        let ended = server.shutdown(limit);
        over.store(true, Ordering::SeqCst);
        // The write ends are gone with the registrations: both threads come to the end of their pipes.
        drop(taken);
        let _ = again.join();
        Ok(ended)
    })
}
