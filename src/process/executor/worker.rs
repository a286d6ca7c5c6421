//! One worker, as the pool sees it: what it was sent, what it has answered, what is still to be written to it.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::task::Task;
use crate::process::channel::{Frame, Inbox, Kind, Parcel, send_ahead, wake, write_frame};
use crate::process::launch::Proc;
use crate::process::memory::Meter;
use crate::process::shared::End;

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not said that it is ready.
    Starting,
    /// It takes tasks.
    Ready,
    /// It is sent nothing any more, and ends when it has answered.
    Retiring,
}

pub(super) struct Worker {
    pub(super) proc: Arc<Proc>,
    pub(super) phase: Phase,
    pub(super) inbox: Inbox,
    /// The tasks it was sent and has not answered, in order.
    pub(super) sent: VecDeque<u64>,
    pub(super) epoch: u32,
    /// Answers read, modulo 2³², as the page counts tasks taken up.
    pub(super) answered: u32,
    /// Tasks it was sent since it started, but for those that were taken back.
    pub(super) total: u64,
    /// Bytes that the stream had no room for.
    pub(super) out: Vec<u8>,
    /// Of the stream to it.
    end: End,
    /// Where in `out` descriptors go ahead of a frame, and which.
    parcels: VecDeque<(usize, Parcel)>,
    /// Tasks that the task it runs has submitted to the pool, and that have no outcome yet.
    pub(super) nested: HashSet<u64>,
    /// A moving average of how long a task takes, in ns.
    average: u64,
    /// Whether a timer is set for the task that runs.
    pub(super) timer: bool,
    /// Whether the epoll set tells when the socket has room.
    pub(super) wants_writable: bool,
    /// Why it cannot start, in its own words.
    pub(super) failure: Option<String>,
    /// Watches its memory while it is there.
    pub(super) meter: Option<Meter>,
}

/// How much work to send ahead of an answer. A wake-up takes some tens of µs.
const AHEAD: Duration = Duration::from_micros(400);
/// Tasks sent ahead at the most.
const MAX_DEPTH: usize = 64;
/// Bytes that may wait to be written before nothing more is sent.
const MAX_OUT: usize = 64 << 10;

impl Worker {
    pub(super) fn new(proc: Arc<Proc>) -> Worker {
        Worker {
            proc,
            phase: Phase::Starting,
            inbox: Inbox::new(),
            sent: VecDeque::new(),
            epoch: 0,
            answered: 0,
            total: 0,
            out: Vec::new(),
            end: End::default(),
            parcels: VecDeque::new(),
            nested: HashSet::new(),
            average: u64::MAX,
            timer: false,
            wants_writable: false,
            failure: None,
            meter: None,
        }
    }

    /// How many tasks it may have at a time.
    pub(super) fn depth(&self) -> usize {
        if self.average == u64::MAX {
            return 1;
        }
        (AHEAD.as_nanos() as u64 / self.average.max(1)).clamp(1, MAX_DEPTH as u64) as usize
    }

    pub(super) fn has_room(&self) -> bool {
        self.phase == Phase::Ready
            && self.sent.len() < self.depth()
            && self.out.len() < MAX_OUT
            && !self.waits()
    }

    /// Whether its task has tasks of its own under way.
    pub(super) fn waits(&self) -> bool {
        !self.nested.is_empty()
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.phase == Phase::Retiring
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.sent.is_empty()
    }

    /// Notes how long a task took.
    pub(super) fn learn(&mut self, ns: u64) {
        self.average = match self.average {
            u64::MAX => ns,
            // One long task ends the sending ahead at once; short ones bring it back little by little.
            average if ns > average => ns.min(average.saturating_mul(16).max(ns / 2)),
            average => average - (average - ns) / 4,
        };
    }

    /// Queues a task for writing. One with descriptors is sent only to a worker with nothing else to do, and they go at once.
    pub(super) fn send(&mut self, id: u64, task: &Task) -> io::Result<()> {
        self.sent.push_back(id);
        self.total += 1;
        if task.has_fds() {
            debug_assert!(self.out.is_empty(), "sent to an idle worker only");
            send_ahead(&self.proc.socket, &task.parcel, true)?;
        }
        write_frame(&mut self.out, Kind::Task, id, task.entry, self.epoch, &task.parcel);
        Ok(())
    }

    /// Queues something else for writing: word of a task that its task has submitted.
    pub(super) fn tell(&mut self, kind: Kind, number: u64, word: u64, parcel: Parcel) {
        let start = self.out.len();
        write_frame(&mut self.out, kind, number, word, 0, &parcel);
        if parcel.fd_count() > 0 {
            self.parcels.push_back((start, parcel));
        }
    }

    /// Writes what there is room for, and wakes the worker if it sleeps. Whether the socket had room for all descriptors; what
    /// waits for room in the stream is written when the worker has read.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut written = 0;
        let result = self.write_out(&mut written);
        self.out.drain(..written);
        for (at, _) in &mut self.parcels {
            *at -= written;
        }
        if written > 0 && self.proc.page.stream_to_worker().has_to_wake() {
            wake(&self.proc.socket);
        }
        result
    }

    fn write_out(&mut self, written: &mut usize) -> io::Result<bool> {
        let stream = self.proc.page.stream_to_worker();
        loop {
            if let Some((_, parcel)) = self.parcels.front().filter(|(at, _)| *at == *written) {
                match send_ahead(&self.proc.socket, parcel, true) {
                    Ok(()) => drop(self.parcels.pop_front()),
                    Err(error) if is_for_now(&error) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            let until = self.parcels.front().map_or(self.out.len(), |(at, _)| *at);
            let part = &self.out[*written..until];
            *written += stream.write(&mut self.end, part)?;
            if *written < until {
                if !stream.ask_for_room(&mut self.end)? {
                    return Ok(true);
                }
            } else if until == self.out.len() {
                return Ok(true);
            }
        }
    }

    /// Reads once what it has written. Whether there was anything.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        let stream = self.proc.page.stream_from_worker();
        let some = self.inbox.read(stream)?;
        if some && stream.is_asked_for_room() {
            // It sleeps on that very number, if it does.
            let flags = rustix::thread::futex::Flags::empty();
            let _ = rustix::thread::futex::wake(stream.starved(), flags, 1);
        }
        Ok(some)
    }

    /// The next frame of what was read.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        self.inbox.next_of_stream(&self.proc.socket)
    }

    /// From here on it rings when it writes. True: it has written something already.
    pub(super) fn fall_asleep(&self) -> bool {
        self.inbox.fall_asleep(self.proc.page.stream_from_worker())
    }

    /// Kills one that cannot be talked to, and sends it nothing more. Its end tells the rest.
    pub(super) fn give_up(&mut self) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Retiring;
        }
        self.proc.kill(None);
    }

    /// Sends it nothing more, and hangs up: it ends when it has answered.
    pub(super) fn retire(&mut self) {
        if self.phase != Phase::Retiring {
            self.phase = Phase::Retiring;
            let _ = rustix::net::shutdown(&self.proc.socket, rustix::net::Shutdown::Write);
        }
    }

    /// Why a worker that has ended was never ready.
    pub(super) fn why_not_started(&mut self) -> String {
        let told = self.failure.take();
        told.or_else(|| self.proc.explain().map(|error| error.to_string())).unwrap_or_default()
    }

    /// Whether this task runs, or is about to: it has been taken up.
    pub(super) fn has_taken(&self, id: u64) -> bool {
        let taken = self.proc.page.taken().0.wrapping_sub(self.answered) as usize;
        self.sent.iter().take(taken).any(|sent| *sent == id)
    }

    /// Takes back what has not been taken up, the first sent first.
    pub(super) fn take_back(&mut self) -> Vec<u64> {
        let taken = self.proc.page.take_back(self.epoch);
        self.epoch = self.epoch.wrapping_add(1);
        let kept = (taken.wrapping_sub(self.answered) as usize).min(self.sent.len());
        let back = self.sent.split_off(kept);
        self.total -= back.len() as u64;
        back.into()
    }

    /// The task that it runs, as far as its answers have been read.
    pub(super) fn running(&self) -> Option<u64> {
        self.victim()
    }

    /// The task that the worker had taken up and not answered when it died.
    pub(super) fn victim(&self) -> Option<u64> {
        let taken = self.proc.page.taken().0.wrapping_sub(self.answered);
        if taken == 0 { None } else { self.sent.front().copied() }
    }
}

/// How many of the tasks that wait one of these workers is to have.
pub(super) fn share<'a>(waiting: usize, workers: impl Iterator<Item = &'a Worker>) -> usize {
    if waiting < 2 {
        return 1;
    }
    let ready = workers.filter(|worker| worker.phase == Phase::Ready).count();
    waiting.div_ceil(ready.max(1))
}

/// Whether a socket takes later what it does not take now: it is full, or too many descriptors are on their way.
pub(super) fn is_for_now(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::TOOMANYREFS.raw_os_error())
}
