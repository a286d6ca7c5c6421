//! The thread on which the callbacks of the process scale run: never the supervisor's, which must not wait for a user.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

static RUNNER: Mutex<Option<(u32, Sender<Job>)>> = Mutex::new(None);

/// How long the thread stays without anything to do.
const IDLE: Duration = Duration::from_secs(10);

/// Holds it still, for a fork: the child finds it free.
pub(crate) fn hold() -> impl Sized {
    RUNNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Has `job` run soon, after those that were given earlier.
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
    let started = std::thread::Builder::new().name("fourfold-callbacks".into()).spawn(move || {
        loop {
            match receiver.recv_timeout(IDLE) {
                Ok(job) => job(),
                Err(_) => {
                    let mut runner = RUNNER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    match receiver.try_recv() {
                        Ok(job) => {
                            drop(runner);
                            job();
                        }
                        Err(_) => {
                            *runner = None;
                            return;
                        }
                    }
                }
            }
        }
    });
    match started {
        Ok(_) => {
            let _ = sender.send(job);
            *runner = Some((pid, sender));
        }
        Err(_) => {
            // No thread is to be had: late and here is better than never.
            drop(runner);
            job();
        }
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
