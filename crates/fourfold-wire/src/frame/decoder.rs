//! Frames out of bytes as they come.

use super::{DEFAULT_LIMIT, FrameError};
use crate::Framing;

/// The least room that [`Decoder::space`] gives, in bytes.
const LEAST_SPACE: usize = 8 << 10;
/// A buffer that grew beyond this for one long frame is given back afterwards, in bytes.
const KEEP: usize = 16 << 10;

/// Cuts a stream of bytes into frames.
///
/// Bytes go in by [`push`](Decoder::push), or without a copy by [`space`](Decoder::space) and
/// [`filled`](Decoder::filled); frames come out of [`next_frame`](Decoder::next_frame). The buffer at most
/// doubles at a time and only for bytes that came, so a peer that announces a gigabyte and sends
/// nothing costs nothing.
///
/// # Examples
///
/// ```
/// use fourfold_wire::frame::Decoder;
///
/// let mut decoder = Decoder::default();
/// decoder.push(b"\0\0\0\x03on");
/// assert_eq!(decoder.next_frame()?, None);
/// decoder.push(b"e\0\0\0\x00");
/// assert_eq!(decoder.next_frame()?, Some(&b"one"[..]));
/// assert_eq!(decoder.next_frame()?, Some(&b""[..]));
/// assert_eq!(decoder.next_frame()?, None);
/// # Ok::<(), fourfold_wire::frame::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    limit: u64,
    /// Bytes `start..end` came and are not given out yet; those behind `end` are room.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    failed: Option<FrameError>,
}

impl Default for Decoder {
    /// For a peer that is not known yet, with [`DEFAULT_LIMIT`].
    fn default() -> Self {
        Decoder::new(Framing::default(), DEFAULT_LIMIT)
    }
}

impl Decoder {
    /// A decoder for one family of peers that refuses frames of more than `limit` bytes.
    #[must_use]
    pub fn new(framing: Framing, limit: u64) -> Decoder {
        Decoder { framing, limit, buffer: Vec::new(), start: 0, end: 0, failed: None }
    }

    /// Changes the family, once the peer is known. It holds from the next frame on.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// Changes the limit in bytes, for example after authentication. It holds from the next frame on.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Adds bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Room to read into: never empty, larger while a long frame is coming.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use fourfold_wire::frame::Decoder;
    ///
    /// let mut stream: &[u8] = b"\0\0\0\x02ok";
    /// let mut decoder = Decoder::default();
    /// let n = stream.read(decoder.space())?;
    /// decoder.filled(n);
    /// assert_eq!(decoder.next_frame()?, Some(&b"ok"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn space(&mut self) -> &mut [u8] {
        let held = self.end - self.start;
        let wanted = match self.header() {
            Ok(Some((header, length))) => (header as u64 + length).saturating_sub(held as u64),
            _ => 0,
        };
        // No more than what is already here: the buffer doubles at most.
        let most = held.max(LEAST_SPACE);
        let room = usize::try_from(wanted).unwrap_or(usize::MAX).clamp(LEAST_SPACE, most);
        self.make_room(room);
        let end = self.end;
        &mut self.buffer[end..]
    }

    /// Says that `n` bytes were read into [`space`](Decoder::space).
    ///
    /// # Panics
    ///
    /// When `n` is more than the room there was.
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.buffer.len() - self.end, "more bytes than there was room for");
        self.end += n;
    }

    /// The next whole frame, or `None` until more bytes come.
    ///
    /// # Errors
    ///
    /// A length that is over the limit or makes no sense. The stream cannot be followed any
    /// more, so the same error comes again at each call.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.header() {
            Err(error) => {
                self.failed = Some(error);
                Err(error)
            }
            Ok(Some((header, length))) if length <= (self.end - self.start - header) as u64 => {
                let from = self.start + header;
                self.start = from + length as usize;
                Ok(Some(&self.buffer[from..self.start]))
            }
            Ok(_) => Ok(None),
        }
    }

    /// How many bytes wait here that are not part of a frame given out.
    ///
    /// More than 0 when the stream ends means that it ended within a frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.end - self.start
    }

    /// How many bytes of memory the buffer takes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The size of the next frame's header and its length, once that much is here.
    fn header(&self) -> Result<Option<(usize, u64)>, FrameError> {
        let bytes = &self.buffer[self.start..self.end];
        let Some(short) = bytes.first_chunk::<4>() else { return Ok(None) };
        let (header, length) = match (self.framing, i32::from_be_bytes(*short)) {
            (_, n @ 0..) => (4, n as u64),
            (Framing::Python2, n) => (4, u64::from(n as u32)),
            (Framing::Python38, -1) => match bytes.get(4..12) {
                Some(long) => (12, u64::from_be_bytes(long.try_into().expect("8 bytes"))),
                None => return Ok(None),
            },
            (_, n) => return Err(FrameError::NegativeLength(n)),
        };
        if length > self.limit || usize::try_from(length).is_err() {
            return Err(FrameError::TooLong { length, limit: self.limit });
        }
        Ok(Some((header, length)))
    }

    /// Makes `buffer[end..]` at least `room` bytes long.
    fn make_room(&mut self, room: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEEP && room <= KEEP {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.len() - self.end >= room {
            return;
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < room {
            self.buffer.resize(self.end + room, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_each_family() {
        let mut bytes = u32::MAX.to_be_bytes().to_vec();
        bytes.extend_from_slice(&3u64.to_be_bytes());
        bytes.extend_from_slice(b"abc");
        let read = |framing, limit| {
            let mut decoder = Decoder::new(framing, limit);
            decoder.push(&bytes);
            decoder.next_frame().map(|frame| frame.map(<[u8]>::to_vec))
        };
        assert_eq!(read(Framing::Python38, 10), Ok(Some(b"abc".to_vec())));
        assert_eq!(read(Framing::Python36, 10), Err(FrameError::NegativeLength(-1)));
        let length = u64::from(u32::MAX);
        assert_eq!(read(Framing::Python2, 10), Err(FrameError::TooLong { length, limit: 10 }));
        assert_eq!(read(Framing::Python2, length), Ok(None));
    }

    #[test]
    fn an_announced_gigabyte_costs_nothing_until_it_comes() {
        let mut decoder = Decoder::new(Framing::Python38, 2 << 30);
        decoder.push(&(1u32 << 30).to_be_bytes());
        assert!(decoder.space().len() <= LEAST_SPACE);
        let mut came = 0;
        for _ in 0..12 {
            let n = decoder.space().len();
            decoder.filled(n);
            came += n;
            assert!(decoder.capacity() <= 2 * (came + LEAST_SPACE), "{came}");
            assert_eq!(decoder.next_frame(), Ok(None));
        }
    }

    #[test]
    fn a_long_frame_is_read_in_few_steps_and_its_buffer_given_back() {
        let length = 5_000_000;
        let mut decoder = Decoder::default();
        decoder.push(&(length as u32).to_be_bytes());
        let (mut sent, mut steps) = (0, 0);
        while decoder.next_frame().expect("a frame").is_none() {
            let space = decoder.space();
            let n = space.len().min(length - sent);
            space[..n].fill(7);
            decoder.filled(n);
            (sent, steps) = (sent + n, steps + 1);
        }
        assert_eq!(sent, length);
        assert!(steps < 20, "{steps}");
        decoder.push(b"\0\0\0\0");
        assert!(decoder.capacity() <= KEEP);
        assert_eq!(decoder.next_frame(), Ok(Some(&b""[..])));
    }

    #[test]
    fn an_error_stays() {
        let mut decoder = Decoder::new(Framing::Python38, 3);
        decoder.push(b"\0\0\0\x04");
        let error = FrameError::TooLong { length: 4, limit: 3 };
        assert_eq!(decoder.next_frame(), Err(error));
        decoder.set_limit(10);
        assert_eq!(decoder.next_frame(), Err(error));
    }
}
