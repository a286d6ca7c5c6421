//! The thread on which the callbacks of the process scale run: never the supervisor's, which must not wait for a user.
//!
//! A callback that waits for another task runs the callbacks behind it meanwhile: that task's may be among them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::channel::Parcel;
use crate::error::shield;
use crate::task::ticket::Tickets;
use crate::vocab::wait::Pending;

type Job = Box<dyn FnOnce() + Send>;
type Ends = (Rc<Receiver<Job>>, Sender<Job>);

static RUNNER: Mutex<Option<(u32, Sender<Job>)>> = Mutex::new(None);

/// How long the thread stays without anything to do.
const IDLE: Duration = Duration::from_secs(10);

thread_local! {
    /// On the thread that runs callbacks: where they come from, and a way to wake it.
    static JOBS: RefCell<Option<Ends>> = const { RefCell::new(None) };
}

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    RUNNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has `job` run soon, after those that were given earlier. A panic in it, or of what it drops, harms nothing else.
pub(crate) fn run(job: Job) {
    let mut runner = RUNNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let pid = std::process::id();
    let job = match &*runner {
        // The thread ends only while it holds the lock, so what is sent under the lock is received.
        Some((owner, sender)) if *owner == pid => match sender.send(job) {
            Ok(()) => return,
            Err(unsent) => unsent.0,
        },
        _ => job,
    };
    let (sender, receiver) = channel::<Job>();
    let nudge = sender.clone();
    let started = std::thread::Builder::new()
        .name("fourfold-callbacks".into())
        .spawn(move || run_all(receiver, nudge));
    match started {
        Ok(_) => {
            let _ = sender.send(job);
            *runner = Some((pid, sender));
        }
        Err(_) => {
            // No thread is to be had: late and here is better than never.
            drop(runner);
            shield(job);
        }
    }
}

/// Tickets of a value that was sent. They are given back by the thread of callbacks: it may have to wait for a process that is
/// stopped, which neither the supervisor nor who has a pool's lock can do.
pub(crate) struct Late(Tickets);

impl Late {
    pub(crate) fn new(tickets: Tickets) -> Late {
        Late(tickets)
    }

    pub(crate) fn of(parcel: &mut Parcel) -> Late {
        Late(std::mem::take(&mut parcel.tickets))
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let tickets = std::mem::take(&mut self.0);
            run(Box::new(move || drop(tickets)));
        }
    }
}

/// The life of the thread.
fn run_all(receiver: Receiver<Job>, nudge: Sender<Job>) {
    let receiver = Rc::new(receiver);
    JOBS.set(Some((receiver.clone(), nudge)));
    loop {
        match receiver.recv_timeout(IDLE) {
            Ok(job) => shield(job),
            Err(_) => {
                let mut runner = RUNNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                match receiver.try_recv() {
                    Ok(job) => {
                        drop(runner);
                        shield(job);
                    }
                    Err(_) => {
                        *runner = None;
                        return;
                    }
                }
            }
        }
    }
}

/// On the thread that runs callbacks: runs those that come until `pending` has come to pass or the deadline has. False on
/// any other thread.
pub(crate) fn wait(pending: &dyn Pending, deadline: Option<Instant>) -> bool {
    let jobs = JOBS.try_with(|jobs| jobs.borrow().clone()).ok().flatten();
    let Some((receiver, nudge)) = jobs else {
        return false;
    };
    let waker = Waker::from(Arc::new(Nudge(Mutex::new(nudge))));
    pending.register(&waker);
    while !pending.is_done() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match receiver.recv_timeout(left.unwrap_or(IDLE)) {
            Ok(job) => shield(job),
            Err(RecvTimeoutError::Timeout) if deadline.is_none() => {}
            Err(_) => {
                pending.forget(&waker);
                break;
            }
        }
    }
    true
}

/// Wakes the thread that runs callbacks, by one that does nothing.
struct Nudge(Mutex<Sender<Job>>);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        let nudge = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = nudge.send(Box::new(|| ()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_order_on_one_thread() {
        let (sender, receiver) = channel();
        for n in 0..100 {
            let sender = sender.clone();
            run(Box::new(move || {
                let _ = sender.send((n, std::thread::current().id()));
            }));
        }
        let first = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
        for n in 1..100 {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok((n, first.1)));
        }
    }
}
