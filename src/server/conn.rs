//! A connection, as its handler has it.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Address;
use super::core::Core;
use super::ledger::{At, Entry, Verdict};
use super::model::stream::Stream;

/// A client's connection: it is read from and written to in plain blocking code, under every model.
///
/// A read or a write that has to wait blocks the thread, or suspends the coroutine, whichever the model has for the
/// connection. `&Conn` reads and writes as `Conn` does, so a [`BufReader`](std::io::BufReader) of it leaves it free to be written to.
///
/// A **turn** begins with the first byte that is read after an answer, and ends when the handler has answered and reads again. In
/// between, the connection is *idle*. Limits of time and the end of the server go by that: see [`Builder`](super::Builder).
/// While the server shuts down, a read between turns gives the end of the input, so that a handler's loop ends as
/// if the client had gone.
///
/// # Errors
///
/// A read or a write over one of the server's limits is [`TimedOut`](io::ErrorKind::TimedOut), and so is everything after it: the connection is
/// closed. One over a limit of this connection's own ([`set_read_timeout`](Conn::set_read_timeout)) is `TimedOut` too, and may be tried again.
///
/// # Examples
///
/// ```
/// use fourfold::server::Conn;
/// use std::io::{self, BufRead, BufReader, Write};
///
/// /// Answers each line in upper case.
/// fn shout(conn: &mut Conn) -> io::Result<()> {
///     for line in BufReader::new(&*conn).lines() {
///         writeln!(&*conn, "{}", line?.to_uppercase())?;
///     }
///     Ok(())
/// }
/// ```
pub struct Conn {
    entry: Arc<Entry>,
    core: Arc<Core>,
    /// It has answered since it last read.
    answered: Cell<bool>,
    /// It has been told of the shutdown.
    told: Cell<bool>,
    /// Since when the client is silent, if a read was given up over a limit of this connection's own.
    silent: Cell<Option<u64>>,
    write_limit: Cell<Option<Duration>>,
    /// When the turn began, where latency is measured.
    began: Cell<Option<Instant>>,
}

impl Conn {
    pub(super) fn new(core: &Arc<Core>, stream: Stream, peer: Address) -> Conn {
        Conn {
            entry: core.ledger.enter(stream, peer),
            core: Arc::clone(core),
            answered: Cell::new(false),
            told: Cell::new(false),
            silent: Cell::new(None),
            write_limit: Cell::new(None),
            began: Cell::new(None),
        }
    }

    /// Where the client calls from.
    pub fn peer(&self) -> &Address {
        &self.entry.peer
    }

    /// Whether the server is shutting down: a handler that is at something long may come to an end by it.
    pub fn draining(&self) -> bool {
        if let Some(aide) = &self.core.aide {
            aide.look(&self.core);
        }
        self.core.ledger.is_draining()
    }

    /// How long one read may wait, on top of the server's limits. `None`: as long as those say.
    ///
    /// # Errors
    ///
    /// A limit of zero is refused, as std does.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        if let Some(aide) = &self.core.aide {
            aide.grow_old(&self.core);
        }
        self.entry.stream.set_read_timeout(limit)
    }

    /// How long one write may wait, on top of the server's limits. `None`: as long as those say.
    ///
    /// # Errors
    ///
    /// A limit of zero is refused, as std does.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.entry.stream.set_write_timeout(limit)?;
        self.write_limit.set(limit);
        Ok(())
    }

    /// When the connection is to be closed, whatever it is at: not before, and at most some 20 ms after. `None` takes it back.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.core.ledger.set_deadline(&self.entry, deadline);
        self.core.watch();
    }

    /// Tells the client that nothing more will be written, or read.
    ///
    /// # Errors
    ///
    /// If the connection is closed already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.entry.stream.shutdown(how)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.entry.verdict()
    }

    /// The next turn has begun with what was read already.
    pub(super) fn goes_on(&self) {
        if self.answered.replace(false) {
            self.end_turn();
        }
        self.entry.turn_begins(&self.core.ledger);
    }

    /// Whether something was written since the last read.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// What was written since is no answer to a turn.
    pub(super) fn set_answered(&self, answered: bool) {
        self.answered.set(answered);
    }

    pub(super) fn max_message(&self) -> usize {
        self.core.settings.max_message
    }

    #[inline]
    fn end_turn(&self) {
        if self.entry.in_turn() {
            self.silent.set(None);
        }
        self.entry.turn_ends();
        if let Some(began) = self.began.take() {
            self.core.tally.latency(began.elapsed());
        }
    }

    #[inline]
    fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (entry, ledger) = (&*self.entry, &self.core.ledger);
        if self.answered.replace(false) {
            self.end_turn();
        }
        let is_turn = entry.in_turn();
        let at = if is_turn { At::Reading } else { At::Idle };
        match self.silent.get() {
            Some(since) => entry.is_still_at(at, since),
            None => entry.is_at(at, ledger),
        }
        if let Some(aide) = &self.core.aide {
            aide.look_out(&self.core, &entry.stream);
        }
        if !is_turn && ledger.is_draining() {
            // What had come before is a turn yet; it is the last.
            if self.told.replace(true) {
                return Ok(0);
            }
            let _ = entry.stream.shutdown(Shutdown::Read);
        }
        let result = loop {
            match entry.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        if let Err(error) = result {
            let error = self.explain(error);
            if is_own_limit(&error) {
                // The client is as silent as before.
                self.silent.set(Some(entry.since()));
            }
            return Err(error);
        }
        entry.is_at(At::Working, ledger);
        self.silent.set(None);
        match result {
            Ok(0) => self.may_go_on().map(|()| 0),
            Ok(count) => {
                entry.turn_begins(ledger);
                if self.core.settings.latency && self.began.get().is_none() {
                    self.began.set(Some(Instant::now()));
                }
                Ok(count)
            }
            Err(error) => Err(self.explain(error)),
        }
    }

    #[inline]
    fn written(&self, write: impl Fn(&Stream) -> io::Result<usize>) -> io::Result<usize> {
        let (entry, ledger) = (&*self.entry, &self.core.ledger);
        entry.is_at(At::Writing, ledger);
        let result = loop {
            match write(&entry.stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        entry.is_at(At::Working, ledger);
        let count = result.map_err(|error| self.explain(error))?;
        if count > 0 {
            self.answered.set(true);
        }
        Ok(count)
    }

    /// The end of the input is that of the client's, or the watch's doing.
    fn may_go_on(&self) -> io::Result<()> {
        match self.entry.verdict() {
            Verdict::None => Ok(()),
            verdict => Err(told(verdict)),
        }
    }

    #[cold]
    fn explain(&self, error: io::Error) -> io::Error {
        match self.entry.verdict() {
            Verdict::None if error.kind() == io::ErrorKind::WouldBlock => {
                io::ErrorKind::TimedOut.into()
            }
            Verdict::None => error,
            verdict => told(verdict),
        }
    }
}

/// Whether a wait was given up over a limit of the connection's own: not by the kernel, whose errors have a number, nor by the watch.
pub(super) fn is_own_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
        && error.raw_os_error().is_none()
        && error.get_ref().is_none()
}

/// The error of a connection that was closed by the watch.
pub(super) fn told(verdict: Verdict) -> io::Error {
    let (kind, what) = match verdict {
        Verdict::None => (io::ErrorKind::Other, "the connection is closed"),
        Verdict::Idle => (io::ErrorKind::TimedOut, "the client began no turn in time"),
        Verdict::Read => (io::ErrorKind::TimedOut, "the client did not end its turn in time"),
        Verdict::Write => (io::ErrorKind::TimedOut, "the client did not take its answer in time"),
        Verdict::Handler => (io::ErrorKind::TimedOut, "the turn was not answered in time"),
        Verdict::Deadline => (io::ErrorKind::TimedOut, "the connection's deadline is over"),
        Verdict::Cut => (io::ErrorKind::ConnectionAborted, "the server has shut down"),
    };
    io::Error::new(kind, what)
}

impl Read for &Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer)
    }
}

impl Write for &Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written(|stream| stream.write(bytes, self.write_limit.get()))
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.written(|stream| stream.write_vectored(bytes, self.write_limit.get()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_some(buffer)
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        (&mut &*self).write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.entry.stream.as_fd()
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("peer", self.peer()).finish_non_exhaustive()
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.answered.get() {
            self.end_turn();
        }
        self.core.leave(&self.entry);
    }
}
