//! What all sockets share: calls that never block the thread, tried again when the socket is ready.
//!
//! A stream or datagram socket is told at each call not to block, whatever its own mode is, which stays as std has it: so a copy
//! of the descriptor elsewhere may be used as before. A listener has no such call, and is in the mode that does not block.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, recv, recvmsg, send, sendmsg,
};

use super::super::hub::{Direction, Sources};
use super::common::no_time;
use crate::sync::park::{Parker, Wait};

/// A socket of std, and what hubs know of it.
pub(super) struct Socket<S: AsFd> {
    /// There until it is taken out.
    io: Option<S>,
    sources: Sources,
    /// Shared by its clones, as the limits of std's sockets are. Made when the first is set or the first clone made.
    limits: OnceLock<Arc<Limits>>,
}

/// How long a read and a write may wait, in nanoseconds. 0 is no limit.
#[derive(Debug, Default)]
struct Limits([AtomicU64; 2]);

impl<S: AsFd> Socket<S> {
    pub(super) fn new(io: S) -> Socket<S> {
        Socket { io: Some(io), sources: Sources::default(), limits: OnceLock::new() }
    }

    #[inline]
    pub(super) fn io(&self) -> &S {
        self.io.as_ref().expect("taken out only when it is consumed")
    }

    /// Another handle on the same socket.
    pub(super) fn clone_as(&self, io: S) -> Socket<S> {
        let limits = self.limits.get_or_init(Arc::default).clone();
        Socket { io: Some(io), sources: Sources::default(), limits: OnceLock::from(limits) }
    }

    pub(super) fn into_io(mut self) -> S {
        let io = self.io.take().expect("taken out only here");
        self.sources.remove(io.as_fd());
        io
    }

    pub(super) fn limit(&self, direction: Direction) -> Option<Duration> {
        // Relaxed: it stands for itself.
        let nanos = self.limits.get()?.0[direction as usize].load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub(super) fn set_limit(
        &self,
        direction: Direction,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        if limit == Some(Duration::ZERO) {
            return Err(no_time());
        }
        // Longer than 584 years is no limit.
        let nanos = limit.map_or(0, |limit| u64::try_from(limit.as_nanos()).unwrap_or(0));
        let limits = self.limits.get_or_init(Arc::default);
        limits.0[direction as usize].store(nanos, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a call, again and again until it need not wait: within the limit of the direction.
    #[inline]
    pub(super) fn call<R>(
        &self,
        direction: Direction,
        wait: Wait,
        call: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let deadline = || {
            let limit = self.limit(direction)?;
            Instant::now().checked_add(limit)
        };
        self.call_until(direction, wait, deadline, call)
    }

    #[inline]
    fn call_until<R>(
        &self,
        direction: Direction,
        wait: Wait,
        deadline: impl Fn() -> Option<Instant>,
        mut call: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let io = self.io();
        // Of the first wait.
        let mut until = None;
        let mut may_try = self.sources.may_try(direction);
        loop {
            if may_try {
                match call(io) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.sources.used_up(direction, true);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => return result,
                }
            }
            let until = *until.get_or_insert_with(&deadline);
            if !self.sources.wait(io.as_fd(), direction, &wait, until)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            may_try = true;
        }
    }

    /// Waits until it can be written to, at most until the deadline: then false.
    pub(super) fn wait_writable(&self, wait: &Wait, deadline: Option<Instant>) -> io::Result<bool> {
        self.sources.wait(self.io().as_fd(), Direction::Write, wait, deadline)
    }

    /// As `call`, for what no descriptor is ready for: room in the queue of another socket. It is tried again after a while.
    pub(super) fn call_again<R>(
        &self,
        wait: Wait,
        call: impl Fn(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        let until =
            self.limit(Direction::Write).and_then(|limit| Instant::now().checked_add(limit));
        again_until(&wait, until, || call(self.io()))
    }

    /// Receives. `whole`: what is less than there was room for is all that there was.
    #[inline]
    pub(super) fn receive(
        &self,
        wait: Wait,
        buffer: &mut [u8],
        flags: RecvFlags,
        whole: bool,
    ) -> io::Result<usize> {
        let room = buffer.len();
        let count = self.call(Direction::Read, wait, |io| {
            Ok(recv(io, &mut *buffer, flags | RecvFlags::DONTWAIT)?.0)
        })?;
        self.took(Direction::Read, count, room, whole);
        Ok(count)
    }

    #[inline]
    pub(super) fn send(&self, wait: Wait, buffer: &[u8], whole: bool) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let count = self.call(Direction::Write, wait, |io| Ok(send(io, buffer, flags)?))?;
        self.took(Direction::Write, count, buffer.len(), whole);
        Ok(count)
    }

    pub(super) fn receive_vectored(
        &self,
        wait: Wait,
        buffers: &mut [IoSliceMut<'_>],
        whole: bool,
    ) -> io::Result<usize> {
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        let count = self.call(Direction::Read, wait, |io| {
            let mut none = RecvAncillaryBuffer::default();
            Ok(recvmsg(io, buffers, &mut none, RecvFlags::DONTWAIT)?.bytes)
        })?;
        self.took(Direction::Read, count, room, whole);
        Ok(count)
    }

    pub(super) fn send_vectored(
        &self,
        wait: Wait,
        buffers: &[IoSlice<'_>],
        whole: bool,
    ) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let count = self.call(Direction::Write, wait, |io| {
            Ok(sendmsg(io, buffers, &mut SendAncillaryBuffer::default(), flags)?)
        })?;
        let room = buffers.iter().map(|buffer| buffer.len()).sum();
        self.took(Direction::Write, count, room, whole);
        Ok(count)
    }

    /// A stream that took less than it was offered has nothing for the next call, which need not be tried before there is news.
    #[inline]
    fn took(&self, direction: Direction, count: usize, room: usize, whole: bool) {
        if whole && count > 0 && count < room {
            self.sources.used_up(direction, false);
        }
    }
}

impl<S: AsFd> Drop for Socket<S> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            self.sources.remove(io.as_fd());
        }
    }
}

impl<S: AsFd> AsFd for Socket<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io().as_fd()
    }
}

/// Calls until it would not block, or the deadline has passed, with pauses that grow.
pub(super) fn again_until<R>(
    wait: &Wait,
    deadline: Option<Instant>,
    call: impl Fn() -> io::Result<R>,
) -> io::Result<R> {
    let mut pause = Duration::from_micros(100);
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => return result,
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let next = deadline.map_or(now + pause, |deadline| deadline.min(now + pause));
        let parker = Parker::current();
        while parker.park(wait, Some(next)) {}
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
