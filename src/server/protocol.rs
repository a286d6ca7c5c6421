//! Protocols that answer message by message, and what they are given of their input.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::conn::{Conn, is_own_limit};

/// What becomes of a connection after a step of its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Go,
    /// It is closed, once the answer is written.
    Close,
}

/// One connection's conversation: what is answered to what.
///
/// It is called with what has come, and writes its answer into a buffer; it never waits for the client itself. So an event loop
/// runs thousands of them on one stack, and the other models drive it by blocking calls, with the same result.
///
/// No step should take long: under [`Events`](super::Events) the other connections of its loop wait meanwhile.
pub trait Protocol: Send + 'static {
    /// The client has connected: what is said before it says anything.
    ///
    /// # Errors
    ///
    /// Closes the connection.
    fn connected(&mut self, _answer: &mut Vec<u8>) -> io::Result<Flow> {
        Ok(Flow::Go)
    }

    /// Something has come. It takes what it can use from the input, and is called again until it takes no more; what it leaves
    /// is there next time, with more behind it. At the end of the input it is called if there is anything left, once.
    ///
    /// # Errors
    ///
    /// Closes the connection, once what it had answered is written.
    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow>;

    /// After how long a silence of the client [`quiet`](Protocol::quiet) is called, again and again: 1 ms at least. It is
    /// looked at once a connection.
    fn wake_after(&self) -> Option<Duration> {
        None
    }

    /// The client has been silent for so long. What is said then is no answer to a turn, and does not end its silence. Not called while the client
    /// has not taken what was said before.
    ///
    /// # Errors
    ///
    /// Closes the connection.
    fn quiet(&mut self, _answer: &mut Vec<u8>) -> io::Result<Flow> {
        Ok(Flow::Go)
    }
}

/// What has come from a client and was not taken yet.
///
/// # Examples
///
/// ```
/// use fourfold::server::Input;
///
/// let mut input = Input::of(b"one\r\ntwo");
/// assert_eq!(input.line(), Some(&b"one"[..]));
/// assert_eq!(input.line(), None);
/// assert_eq!(input.bytes(), b"two");
/// assert_eq!(input.take(2), Some(&b"tw"[..]));
/// assert_eq!(input.all(), b"o");
/// ```
#[derive(Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    taken: usize,
    is_end: bool,
}

impl<'a> Input<'a> {
    /// Some bytes as input, for a protocol's own tests.
    pub fn of(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, taken: 0, is_end: false }
    }

    /// All that is there, without taking it.
    pub fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.taken..]
    }

    /// Whether nothing will come behind it: the client has ended its side.
    pub fn is_end(&self) -> bool {
        self.is_end
    }

    /// Takes so many bytes, if as many are there.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes().get(..count)?;
        self.taken += count;
        Some(bytes)
    }

    /// Takes all that is there.
    pub fn all(&mut self) -> &'a [u8] {
        let bytes = self.bytes();
        self.taken = self.bytes.len();
        bytes
    }

    /// Takes a line, if a whole one is there: without its end, which is `\n` or `\r\n`.
    pub fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.bytes().iter().position(|byte| *byte == b'\n')?;
        let line = self.take(end + 1)?;
        let line = &line[..end];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// How much is read at once.
pub(super) const CHUNK: usize = 16 << 10;

/// What a protocol has not taken yet, and what it has answered: the same under each model.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// What came before and was left.
    left: Vec<u8>,
    /// What is to be written, from `written` on.
    pub(super) answer: Vec<u8>,
    pub(super) written: usize,
}

impl Buffers {
    /// Hands what has come to the protocol. An error comes once what was answered before is written.
    pub(super) fn feed(
        &mut self,
        protocol: &mut dyn Protocol,
        came: &[u8],
        is_end: bool,
        most: usize,
    ) -> io::Result<Flow> {
        let joined = !self.left.is_empty();
        if joined {
            self.left.extend_from_slice(came);
        }
        let bytes = if joined { &self.left[..] } else { came };
        let mut input = Input { bytes, taken: 0, is_end };
        let mut flow = Flow::Go;
        while flow == Flow::Go && !input.bytes().is_empty() {
            let before = input.taken;
            flow = protocol.received(&mut input, &mut self.answer)?;
            if input.taken == before {
                break;
            }
        }
        let (taken, rest) = (input.taken, input.bytes().len());
        if flow == Flow::Go && rest > most {
            let what = format!("a message of more than {most} bytes: see Builder::max_message");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        if joined {
            self.left.drain(..taken);
        } else {
            self.left.extend_from_slice(&came[taken..]);
        }
        if self.left.is_empty() && self.left.capacity() > CHUNK {
            self.left = Vec::new();
        }
        Ok(flow)
    }

    pub(super) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    pub(super) fn unwritten(&self) -> &[u8] {
        &self.answer[self.written..]
    }

    /// So much more was written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written == self.answer.len() {
            self.written = 0;
            self.answer.clear();
            if self.answer.capacity() > 4 * CHUNK {
                self.answer = Vec::new();
            }
        }
    }

    fn flush(&mut self, conn: &Conn) -> io::Result<()> {
        if !self.answer.is_empty() {
            (&*conn).write_all(&self.answer)?;
            self.wrote(self.answer.len());
        }
        Ok(())
    }
}

/// Drives a protocol by blocking calls, to the end of its connection.
pub(super) fn hold<P: Protocol>(protocol: &mut P, conn: &Conn) -> io::Result<()> {
    let mut buffers = Buffers::default();
    let result = protocol.connected(&mut buffers.answer);
    buffers.flush(conn)?;
    let mut flow = result?;
    let wake = protocol.wake_after();
    let mut chunk = vec![0; CHUNK / 4];
    let mut heard = Instant::now();
    while flow == Flow::Go {
        if let Some(wake) = wake {
            let rest = wake.saturating_sub(heard.elapsed()).max(Duration::from_millis(1));
            conn.set_read_timeout(Some(rest))?;
        }
        let result = match (&*conn).read(&mut chunk) {
            Err(error) if wake.is_some() && is_own_limit(&error) => {
                if wake.is_some_and(|wake| heard.elapsed() < wake) {
                    continue;
                }
                heard = Instant::now();
                let result = protocol.quiet(&mut buffers.answer);
                // It answers to no turn.
                let answered = conn.has_answered();
                buffers.flush(conn)?;
                conn.set_answered(answered);
                result
            }
            Err(error) => return Err(error),
            Ok(0) => {
                if buffers.has_left() {
                    let result = buffers.feed(protocol, &[], true, usize::MAX);
                    buffers.flush(conn)?;
                    result?;
                }
                return Ok(());
            }
            Ok(count) => {
                heard = Instant::now();
                buffers.feed(protocol, &chunk[..count], false, conn.max_message())
            }
        };
        buffers.flush(conn)?;
        flow = result?;
        if buffers.has_left() {
            conn.goes_on();
        }
    }
    Ok(())
}
