//! A thread for each connection, of its own or of a pool.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::attend;
use super::super::core::{Accepted, Core};
use super::super::handler::Handler;
use super::{Begin, Crew};
use crate::error::{Error, ErrorKind, Result};
use crate::thread;

/// A thread of its own for each connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threads;

/// A pool of so many threads, one for each connection while it lasts. When all are busy, the next connection waits in the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadPool(pub usize);

struct Each<H> {
    core: Arc<Core>,
    handler: Arc<H>,
}

#[allow(private_interfaces)]
impl<H: Handler> Begin<H> for Threads {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        Ok(Box::new(Each { core: Arc::clone(core), handler: Arc::new(handler) }))
    }
}

impl<H: Handler> Crew for Each<H> {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        let peer = accepted.peer.clone();
        let (core, handler) = (Arc::clone(&self.core), Arc::clone(&self.handler));
        let mut builder = std::thread::Builder::new().name("fourfold-conn".into());
        if let Some(size) = core.settings.stack_size {
            builder = builder.stack_size(size);
        }
        let started = builder.spawn(move || attend::in_thread(&core, &*handler, accepted));
        started
            .map(drop)
            .map_err(|error| (peer, Error::from(error).with_message("no thread for it")))
    }
}

struct Pool<H> {
    core: Arc<Core>,
    handler: Arc<H>,
    threads: Mutex<Option<thread::Executor>>,
}

#[allow(private_interfaces)]
impl<H: Handler> Begin<H> for ThreadPool {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        let mut builder = thread::Executor::builder().workers(self.0).name("fourfold-conn");
        if let Some(size) = core.settings.stack_size {
            builder = builder.stack_size(size);
        }
        let threads = Mutex::new(Some(builder.build()?));
        Ok(Box::new(Pool { core: Arc::clone(core), handler: Arc::new(handler), threads }))
    }

    fn most_at_once(&self) -> Option<usize> {
        Some(self.0)
    }
}

impl<H: Handler> Crew for Pool<H> {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        let (core, handler) = (Arc::clone(&self.core), Arc::clone(&self.handler));
        let peer = accepted.peer.clone();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(threads) = &*threads else { return Err((peer, Error::new(ErrorKind::ShutDown))) };
        let for_it = Arc::clone(&self.core);
        let task = threads.submit(move || attend::in_thread(&core, &*handler, accepted), ());
        task.on_done(move |outcome| {
            // Not begun: there is no thread.
            if let Err(error) = outcome {
                for_it.reject(peer, Error::new(error.kind()).with_message(error.to_string()));
            }
        });
        Ok(())
    }

    fn close(&self, are_idle: bool) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        if are_idle {
            threads.shutdown();
        } else {
            // It waits for what runs, which nobody else is to.
            let end = std::thread::Builder::new().name("fourfold-end".into());
            let _ = end.spawn(move || threads.shutdown_now());
        }
    }
}
