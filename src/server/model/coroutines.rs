//! A coroutine for each connection, on a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::attend;
use super::super::core::{Accepted, Core};
use super::super::handle::start;
use super::super::handler::Handler;
use super::{Begin, Crew};
use crate::error::{Error, ErrorKind, Result};
use crate::green;

/// A coroutine for each connection, on so many threads, in turn. A read or a write that has to wait suspends the coroutine; what else
/// blocks, blocks its thread: see [`green`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coroutines(pub usize);

struct Hubs {
    queues: Vec<green::Queue<Accepted>>,
    next: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[allow(private_interfaces)]
impl<H: Handler> Begin<H> for Coroutines {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        if self.0 == 0 {
            return Err(Error::invalid("coroutines need a thread: Coroutines(1) at least"));
        }
        let handler = Arc::new(handler);
        let mut hubs =
            Hubs { queues: Vec::new(), next: AtomicUsize::new(0), threads: Mutex::default() };
        for _ in 0..self.0 {
            let queue = green::Queue::new();
            hubs.queues.push(queue.clone());
            let (core, handler) = (Arc::clone(core), Arc::clone(&handler));
            let (tell, told) = mpsc::channel();
            let thread = start("fourfold-hub", move || serve(&core, &handler, &queue, &tell))?;
            hubs.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
            // The hub has what it needs, before connections take it.
            told.recv().unwrap_or_else(|_| Err(Error::new(ErrorKind::NotStarted)))?;
        }
        Ok(Box::new(hubs))
    }
}

/// A hub, until its queue is shut down and its coroutines are over. It tells whether it has begun.
fn serve<H: Handler>(
    core: &Arc<Core>,
    handler: &Arc<H>,
    queue: &green::Queue<Accepted>,
    tell: &mpsc::Sender<Result<()>>,
) {
    let mut builder = green::Builder::new();
    if let Some(size) = core.settings.stack_size {
        builder = builder.stack_size(size);
    }
    let hub = green::run(|| {
        let _ = tell.send(Ok(()));
        for accepted in queue.iter() {
            let peer = accepted.peer.clone();
            let (for_it, handler) = (Arc::clone(core), Arc::clone(handler));
            let run = move || attend::in_coroutine(&for_it, &*handler, accepted);
            if let Err(error) = builder.spawn_local(run, ()) {
                core.reject(peer, error);
            }
        }
    });
    if let Err(error) = hub {
        // Connections that come yet are refused.
        queue.shut_down(true);
        if let Err(mpsc::SendError(Err(error))) = tell.send(Err(error)) {
            crate::system::tell(format_args!("fourfold server: a hub has ended: {error}"));
        }
    }
}

impl Crew for Hubs {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        // Relaxed: which one it is does not matter.
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len();
        let peer = accepted.peer.clone();
        let put = self.queues[index].put(accepted);
        put.map_err(|_| (peer, Error::new(ErrorKind::ShutDown)))
    }

    fn close(&self, are_idle: bool) {
        for queue in &self.queues {
            queue.shut_down(false);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if are_idle {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Hubs {
    fn drop(&mut self) {
        self.close(false);
    }
}
