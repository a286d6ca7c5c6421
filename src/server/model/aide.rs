//! How the process of one connection learns of the shutdown.
//!
//! Its parent tells it by the end of a pipe. While the connection is young the handler's own thread looks: each read waits for the client
//! and for that end at once. One that goes on gets a thread that waits there, and its reads are reads again. So a short connection,
//! for which to start and to end a thread would cost more than all the rest of it, has none.
//!
//! | state | who looks at the pipe | it ends |
//! | --- | --- | --- |
//! | young | the handler's thread: before each read, and where it asks for `draining` | with read number `YOUNG`, or the first limit of the connection's own, which that wait would not keep |
//! | old | a thread of its own, from the moment on that it is started | with the process |
//!
//! Nothing is missed between the two: the end of a pipe stays, and the thread looks at it first. Nor does the watch of the ledger
//! miss anything while it has not been started: without limits of time in the settings it has deadlines to keep, with the first of
//! which it is started, and to tell a reader of the shutdown, for which the thread starts it; who reads while young is told by
//! its own look.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::super::core::Core;
use super::super::handle::start;
use crate::process::Receiver;

/// So many reads cost about as much in looking as the thread that would save them.
const YOUNG: u32 = 100;

#[derive(Debug)]
pub(crate) struct Aide {
    news: Receiver<()>,
    /// How many reads there have been; `YOUNG` and more once there is the thread.
    reads: AtomicU32,
}

impl Aide {
    pub(super) fn new(news: Receiver<()>) -> Aide {
        Aide { news, reads: AtomicU32::new(0) }
    }

    fn is_old(&self) -> bool {
        // Relaxed: the handler's thread alone changes it. One that it lends its connection to is ordered by that.
        self.reads.load(Relaxed) >= YOUNG
    }

    /// Before a read of the connection: waits until there is something to be read, or the server shuts down, if nobody else
    /// looks out for that.
    #[inline]
    pub(in super::super) fn look_out(&self, core: &Arc<Core>, socket: impl AsFd) {
        if !self.is_old() {
            self.look_out_young(core, socket);
        }
    }

    #[cold]
    fn look_out_young(&self, core: &Arc<Core>, socket: impl AsFd) {
        if core.ledger.is_draining() {
            return;
        }
        let reads = self.reads.load(Relaxed) + 1;
        if reads == YOUNG {
            return self.grow_old(core);
        }
        self.reads.store(reads, Relaxed);
        let (socket, news) = (socket.as_fd(), self.news.as_fd());
        let mut fds = [socket, news].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // A signal that came meanwhile is no news: the read would not hear of the end.
        let ready = loop {
            match poll(&mut fds, None) {
                Err(Errno::INTR) => {}
                ready => break ready,
            }
        };
        // Failed, it looks again before the next read, and this one is as it would be.
        if ready.is_ok() && !fds[1].revents().is_empty() {
            core.ledger.drain();
        }
    }

    /// Whether the server shuts down, if nobody else looks.
    pub(in super::super) fn look(&self, core: &Core) {
        if self.is_old() {
            return;
        }
        let mut fds = [PollFd::new(&self.news, PollFlags::IN)];
        let now = rustix::time::Timespec::default();
        if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
            core.ledger.drain();
        }
    }

    /// From here on a thread looks.
    pub(in super::super) fn grow_old(&self, core: &Arc<Core>) {
        if self.is_old() {
            return;
        }
        self.reads.store(YOUNG, Relaxed);
        let core = Arc::clone(core);
        // Without a thread it serves all the same; then the shutdown comes by the end of this process.
        let _ = start("fourfold-news", move || {
            if let Some(aide) = &core.aide {
                let _ = aide.news.recv();
            }
            core.ledger.drain();
            core.watch();
        });
    }
}
