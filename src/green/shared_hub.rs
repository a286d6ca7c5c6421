//! The hub for coroutines that are started where there is none: one for the process, on a thread of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::body::{Body, Holds};
use super::control::Control;
use super::hub::{self, Remote};
use super::stack::Class;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};

/// The hub, and the process that its thread is of: a fork takes along none but the thread that calls it.
static HUB: Mutex<Option<(u32, &'static Remote)>> = Mutex::new(None);

/// Starts a coroutine on it.
pub(super) fn start<T, C, F, K>(
    control: Arc<Control>,
    class: Class,
    body: Body<T, C, F, K>,
) -> Result<()>
where
    T: 'static,
    K: Holds + Send + 'static,
    C: FnOnce(K, Outcome<T>) + Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let remote = remote()?;
    start_on(remote, control, class, body)
}

/// Starts a coroutine on the hub of another thread. The end of `main` waits for it, unless it is a daemon.
pub(super) fn start_on<T, C, F, K>(
    remote: &'static Remote,
    control: Arc<Control>,
    class: Class,
    body: Body<T, C, F, K>,
) -> Result<()>
where
    T: 'static,
    K: Holds + Send + 'static,
    C: FnOnce(K, Outcome<T>) + Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let presence = (!control.daemon).then(Presence::new);
    let request = move |hub: &hub::Hub| {
        // The body is put back here if the hub refuses it.
        let kept = std::rc::Rc::new(std::cell::Cell::new(Some((body, presence))));
        let taken = kept.clone();
        let run = move || {
            if let Some((body, presence)) = taken.take() {
                body.run();
                drop(presence);
            }
        };
        if let Err(error) = hub.start(hub.free_slot(), control, class, run)
            && let Some((body, _presence)) = kept.take()
        {
            body.done.refuse(error);
        }
    };
    remote.ask(Box::new(request)).map_err(|_| {
        Error::new(ErrorKind::ShutDown).with_scale(Scale::Green).with_message("the hub has ended")
    })
}

fn remote() -> Result<&'static Remote> {
    let pid = std::process::id();
    let mut hub = HUB.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((owner, remote)) = *hub
        && owner == pid
    {
        return Ok(remote);
    }
    let remote = begin("green".to_owned())?.0;
    *hub = Some((pid, remote));
    Ok(remote)
}

/// The shared hub, if it was ever asked for in this process.
pub(super) fn present_hub() -> Option<&'static Remote> {
    let hub = HUB.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    hub.filter(|(owner, _)| *owner == std::process::id()).map(|(_, remote)| remote)
}

/// Starts a thread with a hub.
pub(super) fn begin(name: String) -> Result<(&'static Remote, thread::JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(1);
    let serve = move || {
        hub::serve(|remote| {
            let _ = sender.send(remote);
        });
    };
    let thread = thread::Builder::new().name(name).spawn(serve).map_err(|error| {
        Error::new(ErrorKind::NotStarted)
            .with_scale(Scale::Green)
            .with_message("the system gave no thread for a hub")
            .with_source(error)
    })?;
    let remote = receiver.recv().expect("a hub tells how it began")?;
    Ok((remote, thread))
}

/// The foreground coroutines that run on hubs of other threads than their starters'.
static PRESENT: Mutex<Present> = Mutex::new(Present { started: 0, alive: 0 });
static LEFT: Condvar = Condvar::new();

struct Present {
    started: u64,
    alive: u64,
}

/// The process that `PRESENT` counts for.
static OWNER: AtomicU32 = AtomicU32::new(0);

fn present() -> std::sync::MutexGuard<'static, Present> {
    let mut present = PRESENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    // Relaxed: under the lock.
    if OWNER.swap(pid, Ordering::Relaxed) != pid {
        present.alive = 0;
    }
    present
}

/// A coroutine that the end of `main` waits for, as long as this lives.
pub(super) struct Presence {
    pid: u32,
}

impl Presence {
    pub(super) fn new() -> Presence {
        let mut present = present();
        present.started += 1;
        present.alive += 1;
        Presence { pid: std::process::id() }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut present = present();
        if self.pid == std::process::id() {
            present.alive -= 1;
        }
        if present.alive == 0 {
            LEFT.notify_all();
        }
    }
}

/// Waits until none of them is left. How many have ever been started.
pub(crate) fn wait_for_foreground() -> u64 {
    let present = LEFT.wait_while(present(), |present| present.alive > 0);
    present.unwrap_or_else(|poisoned| poisoned.into_inner()).started
}
