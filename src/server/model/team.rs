//! The workers of a pool and the connections that they have, or will have: what is behind the pool's lock.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::core::{Accepted, Seat};
use super::super::counters::Counters;
use super::super::handle::LAST;
use super::pool::Along;
use super::worker::{FromWorker, ToWorker};
use crate::error::{Error, Result};
use crate::process::{Child, Duplex, Fd, Late, PutError};

/// So many connections may be pending at a worker: fewer than a pipe has room for, where nothing goes along with them.
const PENDING: usize = 64;
/// A connection is closed that could not be sent so often, because of what goes along with it.
const FAILURES: u32 = 20;
/// How often it is tried to tell a worker something for which there is no room.
const PAUSE: Duration = Duration::from_millis(1);
/// A copy of a socket, and what its message takes on its way.
const SPARE: usize = 3;

/// What a process is allowed.
pub(super) type Rights = [i64; 3];

#[derive(Default)]
pub(super) struct State {
    pub(super) workers: Vec<Worker>,
    pub(super) next_id: u64,
    /// Where the round has come to.
    pub(super) turn: usize,
    pub(super) homeless: VecDeque<Accepted>,
    /// Descriptors that stand for nothing, but for those that it takes to hand out one connection when no others are left.
    pub(super) spare: Vec<OwnedFd>,
    /// Of workers that have ended.
    pub(super) counted: Counters,
    pub(super) lost: u64,
    /// How often in a row one could not be sent.
    pub(super) failed: u32,
    pub(super) keepers: Vec<JoinHandle<()>>,
    pub(super) is_stopping: bool,
    pub(super) is_killed: bool,
}

/// A worker, as long as it lives.
pub(super) struct Worker {
    pub(super) id: u64,
    pub(super) end: Arc<Duplex<ToWorker, FromWorker>>,
    pub(super) child: Child<Result<Counters>>,
    /// What this process was allowed when it was started.
    pub(super) rights: Rights,
    /// It takes connections.
    pub(super) is_ready: bool,
    /// It was told to end when its connections have, and is given no more.
    pub(super) is_retired: bool,
    /// It was told to let go of them, and to end them at once.
    pub(super) is_drained: bool,
    pub(super) is_hurried: bool,
    /// It is to be replaced, and the one that replaces it is on its way.
    pub(super) is_due: bool,
    pub(super) pending: VecDeque<Accepted>,
    pub(super) seats: Vec<Seat>,
    /// Tickets of its connections, by how many it had been given with them.
    pub(super) late: HashMap<u64, Late>,
    /// It has no descriptors, until then.
    pub(super) short: Option<Instant>,
    pub(super) left: u64,
    pub(super) given: u64,
    pub(super) began: Instant,
    pub(super) counters: Counters,
}

impl State {
    pub(super) fn worker(&mut self, id: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    /// Sets descriptors aside.
    pub(super) fn save(&mut self, bell: &OwnedFd) {
        while self.spare.len() < SPARE {
            let Ok(spare) = bell.try_clone() else { return };
            self.spare.push(spare);
        }
    }

    /// Whether there is a worker that can be given another, of these rights if they matter.
    pub(super) fn has_room(&self, room: usize, rights: Option<Rights>) -> bool {
        self.workers.iter().any(|worker| worker.can_take(room, rights))
    }

    /// Gives a connection to the next worker that can take it, with what goes along.
    pub(super) fn give(
        &mut self,
        accepted: Accepted,
        (mut along, late): Along,
        room: usize,
        rights: Option<Rights>,
    ) -> Result<(), (Accepted, Unsent)> {
        let has_more = along.is_some();
        let has_tickets = along.as_ref().is_some_and(|packed| packed.has_tickets);
        let count = self.workers.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let worker = &mut self.workers[at];
            if !worker.can_take(room, rights) {
                continue;
            }
            let Ok(copy) = accepted.socket.try_clone_fd() else {
                return Err((accepted, Unsent::Short(None)));
            };
            let message = ToWorker::Take(Fd(copy), accepted.peer.clone(), along.take());
            let unsent = match worker.end.try_send(message) {
                Ok(()) => {
                    self.failed = 0;
                    worker.given += 1;
                    if has_tickets {
                        worker.late.insert(worker.given, late);
                    }
                    worker.pending.push_back(accepted);
                    self.turn = at + 1;
                    return Ok(());
                }
                Err(PutError::Full(_)) => Unsent::Nobody,
                Err(PutError::ShutDown(_)) => {
                    worker.is_ready = false;
                    Unsent::Gone
                }
                Err(PutError::Failed(_, error)) => {
                    self.failed += 1;
                    let is_for_ever = has_more && self.failed >= FAILURES;
                    Unsent::Short(is_for_ever.then_some(error))
                }
            };
            // What goes along was written, and can be sent once. Else the next one may have room.
            if has_more || matches!(unsent, Unsent::Short(_)) {
                return Err((accepted, unsent));
            }
        }
        Err((accepted, Unsent::Nobody))
    }
}

impl Worker {
    /// Whether it can be given another connection.
    pub(super) fn can_take(&self, room: usize, rights: Option<Rights>) -> bool {
        let is_short = self.short.is_some_and(|until| Instant::now() < until);
        self.is_ready
            && !self.is_retired
            && !is_short
            && self.pending.len() < PENDING
            && self.pending.len() + self.seats.len() < room
            && rights.is_none_or(|rights| self.rights == rights)
    }

    pub(super) fn retire(&mut self, limit: Duration) {
        if !std::mem::replace(&mut self.is_retired, true) {
            self.tell(ToWorker::Retire(limit));
        }
    }

    pub(super) fn drain(&mut self, limit: Duration) {
        self.is_retired = true;
        if !std::mem::replace(&mut self.is_drained, true) {
            self.tell(ToWorker::Drain(limit));
        }
    }

    pub(super) fn tell(&self, mut message: ToWorker) {
        let until = Instant::now() + LAST;
        // Behind connections with what goes along with them it may have to wait for room: on this thread, which has the lock of them all.
        while let Err(unsent) = self.end.try_send(message) {
            if !matches!(unsent, PutError::Full(_)) || Instant::now() >= until {
                // It is gone, or does not read.
                self.child.kill();
                return;
            }
            message = unsent.into_item();
            std::thread::sleep(PAUSE);
        }
    }
}

/// Why a connection was not given to anybody.
pub(super) enum Unsent {
    /// There is nobody for it just now.
    Nobody,
    /// Somebody is gone, who was passed over.
    Gone,
    /// There is no memory or descriptor for it, again and again if there is an error.
    Short(Option<Error>),
}
