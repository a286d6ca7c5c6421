//! What the kernel tells a hub: the bell of its remote, and which descriptors are ready.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::remote::Remote;

/// The token of the bell. Sources have those below.
const BELL: u64 = u64::MAX;

/// A sleep is no longer than this: kernels before 5.11 take milliseconds in an `int`.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(super) fn new(remote: &Remote) -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // By edges: the counter is never read, and each ring is an edge.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, remote.bell(), epoll::EventData::new_u64(BELL), flags)?;
        Ok(Poller { epoll, events: Vec::with_capacity(256) })
    }

    /// Waits until something is ready, at most until the deadline: not at all, if it has passed. Calls `ready` with the token
    /// of each source that is.
    pub(super) fn wait(
        &mut self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(u64, epoll::EventFlags),
    ) -> io::Result<()> {
        let limit = deadline.map_or(LONGEST_SLEEP, |deadline| {
            deadline.saturating_duration_since(Instant::now()).min(LONGEST_SLEEP)
        });
        let limit =
            Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            if event.data.u64() != BELL {
                ready(event.data.u64(), event.flags);
            }
        }
        Ok(())
    }
}
