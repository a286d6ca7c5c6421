//! The hub for coroutines that are started where there is none: one for the process, on a thread of its own.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use super::body::{Body, Holds};
use super::control::Record;
use super::hub::{self, Remote};
use super::stack::Class;
use crate::error::{Error, ErrorKind, Outcome, Result, Scale};
use crate::sync::Event;

/// The hub, and the process that its thread is of: a fork takes along none but the thread that calls it.
static HUB: Mutex<Option<(u32, &'static Remote)>> = Mutex::new(None);

/// Starts a coroutine on it.
pub(super) fn start<T, C, F, K>(
    control: Arc<Record>,
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
    control: Arc<Record>,
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

/// Holds still what is here, for a fork: the child finds the locks free.
pub(super) fn hold() -> impl Sized + 'static {
    let hub = HUB.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    (hub, PRESENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

fn remote() -> Result<&'static Remote> {
    super::fork::look_after();
    let pid = std::process::id();
    let mut hub = HUB.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some((owner, remote)) = *hub
        && owner == pid
    {
        return Ok(remote);
    }
    let remote = begin("green".to_owned())?.remote;
    *hub = Some((pid, remote));
    Ok(remote)
}

/// The shared hub, if it was ever asked for in this process.
pub(super) fn present_hub() -> Option<&'static Remote> {
    let hub = HUB.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    hub.filter(|(owner, _)| *owner == std::process::id()).map(|(_, remote)| remote)
}

/// A thread with a hub.
pub(super) struct Serving {
    pub(super) remote: &'static Remote,
    pub(super) thread: thread::JoinHandle<()>,
    /// Set when the hub is gone, with all its coroutines: from then on the thread waits for nothing but the destructors of its
    /// thread-locals.
    pub(super) ended: Arc<Event>,
}

/// Sets the event, whatever happens.
struct Ending(Arc<Event>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Starts a thread with a hub.
pub(super) fn begin(name: String) -> Result<Serving> {
    let (sender, receiver) = sync_channel(1);
    let ended = Arc::new(Event::new());
    let ending = Ending(ended.clone());
    let serve = move || {
        let _ending = ending;
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
    Ok(Serving { remote, thread, ended })
}

/// The foreground coroutines that run on hubs of other threads than their starters'.
static PRESENT: Mutex<Present> = Mutex::new(Present { owner: 0, started: 0, alive: 0 });
static LEFT: Condvar = Condvar::new();

struct Present {
    /// The process that this counts for.
    owner: u32,
    started: u64,
    alive: u64,
}

/// For the process of this number, which is the calling one. By its number, and not by how many forks were counted: a fork of a zygote is
/// made behind the C library's back.
fn present(pid: u32) -> MutexGuard<'static, Present> {
    let mut present = PRESENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if present.owner != pid {
        present.owner = pid;
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
        // Asked for once, and not under the lock: it is a system call.
        Presence::of(std::process::id())
    }

    /// As `new`, where the number of this process is known.
    pub(super) fn of(pid: u32) -> Presence {
        let mut present = present(pid);
        present.started += 1;
        present.alive += 1;
        Presence { pid }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let pid = std::process::id();
        let mut present = present(pid);
        if self.pid == pid {
            present.alive -= 1;
        }
        if present.alive == 0 {
            LEFT.notify_all();
        }
    }
}

/// Waits until none of them is left. How many have ever been started.
pub(crate) fn wait_for_foreground() -> u64 {
    let present = LEFT.wait_while(present(std::process::id()), |present| present.alive > 0);
    present.unwrap_or_else(|poisoned| poisoned.into_inner()).started
}
