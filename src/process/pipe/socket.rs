//! A message on its way: one packet of a Unix socket, whatever its size.
//!
//! A packet is a head of [`HEAD`] bytes and a body of at most [`INLINE`], with the descriptors of the message; a longer body is a
//! memory file, and the first of the descriptors. The kernel gives a packet whole or not at all, so there is never a part of
//! one. What the other side says is checked before it is used.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::super::channel::{Body, FDS_PER_MESSAGE, Parcel};
use crate::error::{Error, ErrorKind, Result};
use crate::task::envelope::Envelope;
use crate::task::{Payload, codec, fd, travel};

/// Bytes of a head: whether the body is in a memory file, 0, how many descriptors come along (2), the length of the body here (4).
const HEAD: usize = 8;

/// Bytes of a body beyond which it goes in a memory file. Measured: a packet of 64 KiB is there and back in a quarter of the time that
/// the file takes, and a socket has room for three; a larger one needs memory in one piece that the kernel may not have.
const INLINE: usize = 64 << 10;

/// Descriptors that a message can carry beside its body.
const MAX_FDS: usize = FDS_PER_MESSAGE - 1;

/// What a message is called in errors.
const WHAT: &str = "message";

/// Two sockets, each the other end of the other.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A message, ready to be sent.
pub(super) struct Letter {
    head: [u8; HEAD],
    parcel: Parcel,
}

/// What came of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Whole,
    /// There is no room. The socket tells when there is.
    Full,
    /// Too many descriptors are on their way. Nobody tells when they have been taken off.
    Crowded,
    /// The other end is gone.
    Gone,
}

/// What came of an attempt to receive.
pub(super) enum Received<T> {
    Message(T),
    Empty,
    End,
}

impl Letter {
    pub(super) fn pack<T: Payload>(message: &T) -> Result<Letter> {
        let Envelope { body, fds, tickets } = Envelope::pack(message, WHAT)?;
        if fds.len() > MAX_FDS {
            return Err(Error::invalid(format!(
                "{} descriptors in one message; at most {MAX_FDS} can be sent",
                fds.len()
            )));
        }
        let mut parcel = match body.len() {
            0..=INLINE => Parcel { body: Body::Inline(body), fds, ..Parcel::default() },
            _ => Parcel::in_memfd(&body, fds)?,
        };
        parcel.tickets = tickets;
        Ok(Letter { head: head(&parcel), parcel })
    }

    /// Sends it. If it `blocks`, it waits for room.
    pub(super) fn send(&mut self, socket: impl AsFd, blocks: bool) -> io::Result<Sent> {
        let sent = match self.try_send(&socket, blocks) {
            // The packet is too large for a socket as this system makes them, or for its memory: then a small one.
            Err(Errno::MSGSIZE | Errno::NOBUFS) if self.put_in_memfd()? => {
                self.try_send(&socket, blocks)?
            }
            sent => sent?,
        };
        if sent == Sent::Whole {
            std::mem::take(&mut self.parcel.tickets).sent();
        }
        Ok(sent)
    }

    /// False if it was there already.
    fn put_in_memfd(&mut self) -> io::Result<bool> {
        let Body::Inline(body) = &self.parcel.body else { return Ok(false) };
        let parcel = Parcel::in_memfd(body, std::mem::take(&mut self.parcel.fds))?;
        (self.parcel.body, self.parcel.fds) = (parcel.body, parcel.fds);
        self.head = head(&self.parcel);
        Ok(true)
    }

    fn try_send(&self, socket: impl AsFd, blocks: bool) -> Result<Sent, Errno> {
        let (bytes, memfd): (&[u8], _) = match &self.parcel.body {
            Body::Inline(bytes) => (bytes, None),
            Body::Memfd(fd) => (&[], Some(fd.as_fd())),
            Body::Lost => unreachable!("only what is received can be lost"),
        };
        let mut flags = SendFlags::NOSIGNAL;
        if !blocks {
            flags |= SendFlags::DONTWAIT;
        }
        let parts = [IoSlice::new(&self.head), IoSlice::new(bytes)];
        let fds: Vec<_> =
            memfd.into_iter().chain(self.parcel.fds.iter().map(AsFd::as_fd)).collect();
        let sent = loop {
            let sent = match fds.is_empty() {
                true => sendmsg(&socket, &parts, &mut SendAncillaryBuffer::default(), flags),
                false => {
                    let mut space =
                        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
                    let mut control = SendAncillaryBuffer::new(&mut space);
                    control.push(SendAncillaryMessage::ScmRights(&fds));
                    sendmsg(&socket, &parts, &mut control, flags)
                }
            };
            if sent != Err(Errno::INTR) {
                break sent;
            }
        };
        match sent {
            Ok(_) => Ok(Sent::Whole),
            Err(Errno::AGAIN) => Ok(Sent::Full),
            Err(Errno::TOOMANYREFS) => Ok(Sent::Crowded),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Ok(Sent::Gone),
            Err(error) => Err(error),
        }
    }
}

fn head(parcel: &Parcel) -> [u8; HEAD] {
    let len = match &parcel.body {
        Body::Inline(bytes) => bytes.len() as u32,
        Body::Memfd(_) | Body::Lost => 0,
    };
    let mut head = [0; HEAD];
    head[0] = u8::from(matches!(parcel.body, Body::Memfd(_)));
    head[2..4].copy_from_slice(&(parcel.fd_count() as u16).to_le_bytes());
    head[4..].copy_from_slice(&len.to_le_bytes());
    head
}

thread_local! {
    /// Room for a packet, when it is not in use.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Receives a message. If it `blocks`, it waits for one.
pub(super) fn receive<T: Payload>(socket: impl AsFd, blocks: bool) -> Result<Received<T>> {
    let spare = BUFFER.try_with(Cell::take).ok().flatten();
    let mut buffer = spare.unwrap_or_else(|| vec![0; HEAD + INLINE].into_boxed_slice());
    let received = match read_packet(socket, &mut buffer, blocks) {
        Ok(Some((len, fds, flags))) => open(&buffer[..len], fds, flags).map(Received::Message),
        Ok(None) => Ok(Received::End),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Received::Empty),
        Err(error) => Err(error.into()),
    };
    let _ = BUFFER.try_with(|spare| spare.set(Some(buffer)));
    received
}

/// A packet's length, its descriptors, and what the kernel says of both; `None` at the end.
fn read_packet(
    socket: impl AsFd,
    buffer: &mut [u8],
    blocks: bool,
) -> io::Result<Option<(usize, Vec<OwnedFd>, ReturnFlags)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    if !blocks {
        flags |= RecvFlags::DONTWAIT;
    }
    loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            // No message is as short as this.
            Ok(message) if message.bytes == 0 => return Ok(None),
            Ok(message) => {
                let mut fds = Vec::new();
                for part in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = part {
                        fds.extend(rights);
                    }
                }
                return Ok(Some((message.bytes, fds, message.flags)));
            }
            // Said once, when the other end is closed with something unread; what it had sent is still to come.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The message in a packet.
fn open<T: Payload>(packet: &[u8], fds: Vec<OwnedFd>, flags: ReturnFlags) -> Result<T> {
    if flags.contains(ReturnFlags::CTRUNC) {
        return Err(Error::from(io::Error::from(Errno::MFILE))
            .with_message("a message is lost, as there was no room for its descriptors"));
    }
    let (head, body) = packet.split_first_chunk::<HEAD>().ok_or_else(|| malformed("no head"))?;
    let in_memfd = head[0] != 0;
    let count = u16::from_le_bytes([head[2], head[3]]) as usize;
    let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if flags.contains(ReturnFlags::TRUNC) || len != body.len() {
        return Err(malformed("another length than it says"));
    }
    if count != fds.len() || in_memfd && (count == 0 || len != 0) {
        return Err(malformed("other descriptors than it says"));
    }
    if !in_memfd {
        return read(body, fds);
    }
    let mut fds = fds.into_iter();
    let body = Body::Memfd(fds.next().expect("counted above"));
    let (body, fds) = Parcel { body, fds: fds.collect(), ..Parcel::default() }.open()?;
    read(&body, fds)
}

/// A value that may have come with a ticket for the words in it.
fn read<T: Payload>(body: &[u8], fds: Vec<OwnedFd>) -> Result<T> {
    fd::provide(fds, || travel::receive(|| codec::decode(body, WHAT)))
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::NotSerializable).with_message(format!("a message that is none: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::send;
    use rustix::net::sockopt::set_socket_send_buffer_size;

    fn received<T: Payload>(socket: &OwnedFd) -> T {
        match receive(socket, false).unwrap() {
            Received::Message(message) => message,
            Received::Empty | Received::End => panic!("no message is there"),
        }
    }

    #[test]
    fn a_packet_that_is_too_large_for_the_socket_goes_as_a_file() {
        let (one, two) = pair().unwrap();
        set_socket_send_buffer_size(&one, 4096).unwrap();
        let text = "x".repeat(INLINE / 2);
        let mut letter = Letter::pack(&text).unwrap();
        assert_eq!(letter.send(&one, false).unwrap(), Sent::Whole);
        assert_eq!(letter.head[0], 1, "in a file");
        assert!(received::<String>(&two) == text);
    }

    #[test]
    fn what_is_no_message_is_an_error_and_the_next_one_comes() {
        let (one, two) = pair().unwrap();
        let letter = Letter::pack(&7_u32).unwrap();
        let Body::Inline(body) = &letter.parcel.body else { panic!("so little") };
        let whole = [&letter.head[..], body].concat();
        let mut faults = vec![whole[..4].to_vec(), whole[..HEAD].to_vec(), vec![0xff; HEAD]];
        // Half of one, one with more behind, one in a file that did not come, one longer than any.
        faults.push([&whole[..], &[0]].concat());
        faults.push([1, 0, 1, 0, 0, 0, 0, 0].to_vec());
        faults.push([1, 0, 0, 0, 0, 0, 0, 0].to_vec());
        faults.push(vec![0; HEAD + INLINE + 1]);
        for fault in faults {
            send(&one, &fault, SendFlags::empty()).unwrap();
            send(&one, &whole, SendFlags::empty()).unwrap();
            let Err(error) = receive::<u32>(&two, false) else { panic!("{fault:?} was read") };
            assert_eq!(error.kind(), ErrorKind::NotSerializable, "{fault:?}");
            assert_eq!(received::<u32>(&two), 7);
        }
        drop(one);
        assert!(matches!(receive::<u32>(&two, false), Ok(Received::End)));
    }
}
