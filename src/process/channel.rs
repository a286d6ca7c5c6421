//! Frames with descriptors over a stream socket between a parent and its child.
//!
//! A frame is a header of [`HEADER`] bytes and a body of at most [`INLINE`], filled up to a multiple of [`UNIT`]; a longer body goes in a memfd, as the
//! first descriptor of the frame, so frames are small, and what is sent never waits long for the other side. Descriptors are
//! attached to the first bytes of their frame, at most [`FDS_PER_MESSAGE`] to a message. A read ends behind the bytes
//! that descriptors came with, so they arrive no later than their frame and in its order.
//!
//! A pool and its workers send their frames by streams in the page that they share, and by the socket only the descriptors, ahead of
//! their frame, and single bytes that wake (see `executor/README.md`).
//!
//! Neither side trusts the other's numbers: lengths and counts are checked before they are used.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::page::Stream;
use super::shared::{End, UNIT};
use crate::task::envelope::Envelope;
use crate::task::ticket::Tickets;

/// Bytes of a header.
pub(crate) const HEADER: usize = 32;
/// Bytes of a body beyond which it goes in a memfd.
pub(crate) const INLINE: usize = 32 << 10;
/// Descriptors that the kernel takes with one message (`SCM_MAX_FD`).
pub(crate) const FDS_PER_MESSAGE: usize = 253;
/// Descriptors that one frame can carry: one message for each byte of the header.
pub(crate) const MAX_FDS: usize = FDS_PER_MESSAGE * HEADER - 1;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the child: who you are to be. The first frame.
    Hello = 1,
    /// To the child: call the entry `word` with the body.
    Task = 2,
    /// From the child: ready for tasks; `word` is the identity of its image.
    Ready = 3,
    /// From the child: the value of task `id`; `word` is how long it took, in ns.
    Value = 4,
    /// From the child: task `id` panicked.
    Panicked = 5,
    /// From the child: a value or an argument of task `id` cannot be serialised.
    NotSerializable = 6,
    /// From the child: it cannot start; the body says why.
    Failed = 7,
    /// From the child: a task submits another one to its own pool.
    Submit = 8,
    /// From the child: a question about task `id` that a task of its own submitted.
    Ask = 9,
    /// To the child: the outcome of task `id` that a task of its own submitted; in `word` the kind that its worker answered
    /// with, or 0 for an error of the pool's, and the worker's process id, 8 bits up.
    Outcome = 10,
    /// To the child: the answer to an `Ask` about `id`.
    Told = 11,
    /// From the child: task `id`, which came with descriptors, has been taken up.
    Taken = 12,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::*;
        [
            Hello,
            Task,
            Ready,
            Value,
            Panicked,
            NotSerializable,
            Failed,
            Submit,
            Ask,
            Outcome,
            Told,
            Taken,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// What one side tells the other.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) id: u64,
    pub(crate) word: u64,
    pub(crate) epoch: u32,
    pub(crate) parcel: Parcel,
}

/// A body and its descriptors; at who sends it, also the tickets in it.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) body: Body,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) tickets: Tickets,
}

/// The bytes of a value: here, or in a memfd that has nothing else in it.
#[derive(Debug)]
pub(crate) enum Body {
    Inline(Vec<u8>),
    Memfd(OwnedFd),
    /// Its descriptors did not arrive: this process had no room for them.
    Lost,
}

impl Default for Body {
    fn default() -> Body {
        Body::Inline(Vec::new())
    }
}

impl Parcel {
    /// Puts a long body into a memfd.
    pub(crate) fn new(body: Vec<u8>, fds: Vec<OwnedFd>) -> io::Result<Parcel> {
        if fds.len() > MAX_FDS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} descriptors in one value; at most {MAX_FDS} can be sent", fds.len()),
            ));
        }
        if body.len() <= INLINE {
            let tickets = Tickets::default();
            return Ok(Parcel { body: Body::Inline(body), fds, tickets });
        }
        Parcel::in_memfd(&body, fds)
    }

    /// Puts a body into a memfd, whatever its length.
    pub(crate) fn in_memfd(body: &[u8], fds: Vec<OwnedFd>) -> io::Result<Parcel> {
        let memfd = rustix::fs::memfd_create("fourfold-body", MemfdFlags::CLOEXEC)?;
        let mut file = File::from(memfd);
        file.write_all(body)?;
        Ok(Parcel { body: Body::Memfd(file.into()), fds, tickets: Tickets::default() })
    }

    /// As `new`, for a value.
    pub(crate) fn of(value: Envelope) -> io::Result<Parcel> {
        let parcel = Parcel::new(value.body, value.fds)?;
        Ok(Parcel { tickets: value.tickets, ..parcel })
    }

    fn lost() -> Parcel {
        Parcel { body: Body::Lost, ..Parcel::default() }
    }

    /// The bytes and the descriptors.
    pub(crate) fn open(self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let bytes = match self.body {
            Body::Inline(bytes) => bytes,
            Body::Memfd(fd) => {
                // Read by position: the sender may keep the same open file to send it once more.
                let len = rustix::fs::fstat(&fd)?.st_size as usize;
                let mut bytes = Vec::new();
                bytes
                    .try_reserve_exact(len)
                    .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
                let file = File::from(fd);
                let mut reader = PositionedReader { file: &file, offset: 0 };
                reader.read_to_end(&mut bytes)?;
                bytes
            }
            Body::Lost => return Err(Errno::MFILE.into()),
        };
        Ok((bytes, self.fds))
    }

    /// How many descriptors go along.
    pub(crate) fn fd_count(&self) -> usize {
        self.fds.len() + usize::from(matches!(self.body, Body::Memfd(_)))
    }
}

struct PositionedReader<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for PositionedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// How many bytes fill a body of that length up.
fn filler(len: usize) -> usize {
    len.next_multiple_of(UNIT) - len
}

/// Writes the header and an inline body of a frame.
pub(crate) fn write_frame(
    out: &mut Vec<u8>,
    kind: Kind,
    id: u64,
    word: u64,
    epoch: u32,
    parcel: &Parcel,
) {
    let body: &[u8] = match &parcel.body {
        Body::Inline(bytes) => bytes,
        Body::Memfd(_) | Body::Lost => &[],
    };
    out.reserve(HEADER + body.len());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.push(kind as u8);
    out.push(u8::from(matches!(parcel.body, Body::Memfd(_))));
    out.extend_from_slice(&(parcel.fd_count() as u16).to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(body);
    out.extend_from_slice(&[0; UNIT][..filler(body.len())]);
}

/// Sends a frame whole, on a blocking socket.
pub(crate) fn send_frame(
    socket: impl AsFd,
    kind: Kind,
    id: u64,
    word: u64,
    epoch: u32,
    parcel: &Parcel,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, kind, id, word, epoch, parcel);
    send_bytes(socket, &bytes, parcel)
}

/// Sends bytes, the frame of `parcel` first, with the parcel's descriptors, blocking.
pub(crate) fn send_bytes(socket: impl AsFd, bytes: &[u8], parcel: &Parcel) -> io::Result<()> {
    send_held(socket, bytes, parcel, None, || ()).map_err(|unsent| unsent.error)
}

/// What was not sent, or not all of it.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: io::Error,
    /// Some of it is on its way: the other side will never see whole frames again.
    pub(crate) begun: bool,
}

/// As [`send_bytes`], with what `hold` gives held as long as the bytes are under way, and not while this waits for others to
/// take descriptors off: for so long, or as long as it takes.
pub(crate) fn send_held<G>(
    socket: impl AsFd,
    bytes: &[u8],
    parcel: &Parcel,
    limit: Option<Duration>,
    hold: impl Fn() -> G,
) -> Result<(), Unsent> {
    let mut crowd = Crowd { began: None, limit };
    loop {
        let held = hold();
        let mut sent = 0;
        let mut send = || {
            send_fds_from(&socket, bytes, parcel, &mut sent, false)?;
            while sent < bytes.len() {
                sent += send_some(&socket, &bytes[sent..], false)?;
            }
            Ok(())
        };
        let error: io::Error = match send() {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        drop(held);
        let begun = sent > 0;
        let is_crowded = error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error());
        if begun || !is_crowded {
            return Err(Unsent { error, begun });
        }
        crowd.wait().map_err(|error| Unsent { error, begun })?;
    }
}

/// How long one waits with something in hand that others need, until fewer descriptors are on their way.
pub(crate) const CROWDED: Duration = Duration::from_secs(30);

/// Waits while the system takes no more descriptors: so many are on their way between processes of this user already. Those
/// that take them off need a moment.
struct Crowd {
    began: Option<Instant>,
    limit: Option<Duration>,
}

impl Crowd {
    fn wait(&mut self) -> io::Result<()> {
        let waited = self.began.get_or_insert_with(Instant::now).elapsed();
        if self.limit.is_some_and(|limit| waited > limit) {
            return Err(io::Error::other(format!(
                "more descriptors are on their way between processes than RLIMIT_NOFILE allows, since {waited:.0?}"
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }
}

/// That the other side is gone is no error of a send: its end tells it.
pub(crate) fn unless_gone(sent: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    sent.or_else(|error| match error.kind() {
        BrokenPipe | ConnectionReset => Ok(()),
        _ => Err(error),
    })
}

/// Sends the first bytes of `bytes`, the frame of `parcel`, with the parcel's descriptors, and gives their number. A socket
/// that does not block has room for them if it has sent all that came before. It does not wait where too many descriptors are on
/// their way ([`Errno::TOOMANYREFS`]), unless some of the frame has gone.
pub(crate) fn send_fds(
    socket: impl AsFd,
    bytes: &[u8],
    parcel: &Parcel,
    nonblocking: bool,
) -> io::Result<usize> {
    let mut sent = 0;
    send_fds_from(socket, bytes, parcel, &mut sent, nonblocking)?;
    Ok(sent)
}

/// As [`send_fds`], and counts what was sent also if it fails then.
fn send_fds_from(
    socket: impl AsFd,
    bytes: &[u8],
    parcel: &Parcel,
    sent: &mut usize,
    nonblocking: bool,
) -> io::Result<()> {
    let memfd = match &parcel.body {
        Body::Memfd(fd) => Some(fd.as_fd()),
        Body::Inline(_) | Body::Lost => None,
    };
    let fds: Vec<_> = memfd.into_iter().chain(parcel.fds.iter().map(AsFd::as_fd)).collect();
    let chunks = fds.chunks(FDS_PER_MESSAGE).collect::<Vec<_>>();
    let mut crowd = Crowd { began: None, limit: Some(CROWDED) };
    for (index, chunk) in chunks.iter().enumerate() {
        let last = index + 1 == chunks.len();
        let part = if last { &bytes[*sent..] } else { &bytes[*sent..*sent + 1] };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(chunk));
        let flags = flags(nonblocking);
        *sent += loop {
            match sendmsg(&socket, &[IoSlice::new(part)], &mut control, flags) {
                Err(Errno::INTR) => {}
                // A frame that has begun must end.
                Err(Errno::TOOMANYREFS) if *sent > 0 => crowd.wait()?,
                other => break other?,
            }
        };
    }
    Ok(())
}

/// Sends what the socket takes.
pub(crate) fn send_some(socket: impl AsFd, bytes: &[u8], nonblocking: bool) -> io::Result<usize> {
    loop {
        match rustix::net::send(&socket, bytes, flags(nonblocking)) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn flags(nonblocking: bool) -> SendFlags {
    let flags = SendFlags::NOSIGNAL;
    if nonblocking { flags | SendFlags::DONTWAIT } else { flags }
}

/// Room for what a child that runs one small task gets.
const LITTLE: usize = 2 << 10;
/// Room for two frames.
const ENOUGH: usize = 2 * (HEADER + INLINE);

/// The receiving end: bytes and descriptors as they come, frames as they are whole.
pub(crate) struct Inbox {
    /// `start..filled` has been read and is not yet taken. Little room at first, as each page of it costs a young process a
    /// fault; once that has been filled, room for two frames, so that there is always room for one.
    buffer: Box<[u8]>,
    start: usize,
    filled: usize,
    messages: VecDeque<Message>,
    /// Of the stream, if frames come by one.
    end: End,
}

/// The descriptors of one message.
struct Message {
    fds: Vec<OwnedFd>,
    /// Some did not arrive: this process could not hold them.
    truncated: bool,
}

/// Messages with descriptors that may come ahead of their frames: more than there is room for frames with any.
const MAX_MESSAGES: usize = 8 << 10;

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Some,
    WouldBlock,
    End,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox {
            buffer: vec![0; LITTLE].into_boxed_slice(),
            start: 0,
            filled: 0,
            messages: VecDeque::new(),
            end: End::default(),
        }
    }

    /// Reads once. Whole frames are to be taken out first: what is left then leaves room for one.
    pub(crate) fn receive(&mut self, socket: impl AsFd, nonblocking: bool) -> io::Result<Received> {
        self.make_room();
        let filled = self.filled;
        let target = &mut self.buffer[filled..];
        let (received, count) = receive(socket, target, nonblocking, &mut self.messages)?;
        self.filled += count;
        Ok(received)
    }

    /// Reads once from a stream, as `receive`. Whether there was anything.
    pub(crate) fn read(&mut self, stream: &Stream) -> io::Result<bool> {
        self.make_room();
        let count = stream.read(&mut self.end, &mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count > 0)
    }

    /// Has this side woken when there is more in a stream. True: there is already.
    pub(crate) fn fall_asleep(&self, stream: &Stream) -> bool {
        stream.fall_asleep(&self.end)
    }

    /// Reads once from the socket of a stream, descriptors and what wakes.
    pub(crate) fn receive_calls(
        &mut self,
        socket: impl AsFd,
        nonblocking: bool,
    ) -> io::Result<Received> {
        if self.messages.len() > MAX_MESSAGES {
            return Err(malformed("descriptors without their frames"));
        }
        let (received, _) = receive(socket, &mut [0; 64], nonblocking, &mut self.messages)?;
        Ok(received)
    }

    /// The next frame that has come by a stream, if all of it is there.
    pub(crate) fn next_of_stream(&mut self, socket: impl AsFd) -> io::Result<Option<Frame>> {
        let messages = self.buffer[self.start..self.filled]
            .first_chunk::<HEADER>()
            .map_or(0, |header| messages_of(fd_count(header)));
        // They were sent before the frame was.
        while self.messages.len() < messages && self.receive_calls(&socket, true)? == Received::Some
        {
        }
        self.next()
    }

    /// The next frame, if all of it is there.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
        let bytes = &self.buffer[self.start..self.filled];
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let len = u32::from_le_bytes(header[..4].try_into().expect("4 bytes")) as usize;
        let count = fd_count(header);
        let in_memfd = header[5] != 0;
        let Some(kind) = Kind::from_byte(header[4]) else {
            return Err(malformed("an unknown kind of frame"));
        };
        if len > INLINE || count > MAX_FDS + 1 || (in_memfd && (count == 0 || len != 0)) {
            return Err(malformed("a frame with impossible sizes"));
        }
        let whole = HEADER + len + filler(len);
        if bytes.len() < whole {
            return Ok(None);
        }
        let (id, word) = (word(8), word(16));
        let epoch = u32::from_le_bytes(header[24..28].try_into().expect("4 bytes"));
        let body = bytes[HEADER..HEADER + len].to_vec();
        self.start += whole;
        let messages = messages_of(count);
        if self.messages.len() < messages {
            return Err(malformed("fewer descriptors than announced"));
        }
        let (mut fds, mut truncated) = (Vec::new(), false);
        for message in self.messages.drain(..messages) {
            truncated |= message.truncated;
            fds.extend(message.fds);
        }
        if truncated {
            return Ok(Some(Frame { kind, id, word, epoch, parcel: Parcel::lost() }));
        }
        if fds.len() != count {
            return Err(malformed("other descriptors than announced"));
        }
        let body = match in_memfd {
            true => Body::Memfd(fds.remove(0)),
            false => Body::Inline(body),
        };
        let parcel = Parcel { body, fds, tickets: Tickets::default() };
        Ok(Some(Frame { kind, id, word, epoch, parcel }))
    }

    /// Moves what is left, which is less than a frame, to the front once it is in the way. There is room for a byte at the
    /// least then, and for more than that once there was too little.
    fn make_room(&mut self) {
        let was_filled = self.filled == self.buffer.len();
        if self.start == self.filled {
            (self.start, self.filled) = (0, 0);
        } else if self.buffer.len() - self.filled < HEADER + INLINE {
            self.buffer.copy_within(self.start..self.filled, 0);
            (self.start, self.filled) = (0, self.filled - self.start);
        }
        if was_filled && self.buffer.len() < ENOUGH {
            let mut larger = vec![0; ENOUGH].into_boxed_slice();
            larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = larger;
        }
    }
}

fn fd_count(header: &[u8; HEADER]) -> usize {
    u16::from_le_bytes([header[6], header[7]]) as usize
}

/// In how many messages so many descriptors come.
fn messages_of(fds: usize) -> usize {
    fds.div_ceil(FDS_PER_MESSAGE)
}

/// Reads once from a socket.
fn receive(
    socket: impl AsFd,
    target: &mut [u8],
    nonblocking: bool,
    messages: &mut VecDeque<Message>,
) -> io::Result<(Received, usize)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if nonblocking {
        flags |= RecvFlags::DONTWAIT;
    }
    let received = loop {
        let mut target = [IoSliceMut::new(&mut *target)];
        match recvmsg(&socket, &mut target, &mut control, flags) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    match received {
        Ok(message) => {
            let truncated = message.flags.contains(ReturnFlags::CTRUNC);
            let mut fds = Vec::new();
            for part in control.drain() {
                if let RecvAncillaryMessage::ScmRights(some) = part {
                    fds.extend(some);
                }
            }
            if truncated || !fds.is_empty() {
                messages.push_back(Message { fds, truncated });
            }
            let received = if message.bytes == 0 { Received::End } else { Received::Some };
            Ok((received, message.bytes))
        }
        Err(Errno::AGAIN) => Ok((Received::WouldBlock, 0)),
        // The other side died with something of ours unread.
        Err(Errno::CONNRESET) => Ok((Received::End, 0)),
        Err(error) => Err(error.into()),
    }
}

/// Sends the descriptors of a parcel ahead of its frame, which goes by a stream. If it does not block and fails, none has gone.
pub(crate) fn send_ahead(socket: impl AsFd, parcel: &Parcel, nonblocking: bool) -> io::Result<()> {
    let messages = messages_of(parcel.fd_count());
    // More than fit one message are sent without a pause: half of them would be nothing.
    let nonblocking = nonblocking && messages == 1;
    send_fds(socket, &[0; HEADER][..messages], parcel, nonblocking).map(drop)
}

/// Wakes the other side of a stream.
pub(crate) fn wake(socket: impl AsFd) {
    // Where there is no room for a byte there are some to wake it; and one that is gone needs no waking.
    let _ = send_some(socket, &[0], true);
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
