//! The ends of a pipe between processes.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::super::Fd;
use super::super::queue_error::{GetError, PutError};
use super::socket::{self, Letter, Received, Sent};
use crate::error::Result;
use crate::sync::park::{self, Wait, after};
use crate::system::reactor::{self, reactor};
use crate::system::ready::Direction;
use crate::task::Payload;
use crate::wait::{Waitable, Watch};

/// How long to let others take descriptors off, when too many are on their way.
const PAUSE: Duration = Duration::from_millis(1);

/// The end of a pipe that messages are sent from. Dropping it closes it, and so does the end of its process.
///
/// It travels as an argument or a value of a task, or in a message: see [`pipe`](super::pipe). It can be [waited for](crate::wait): until there
/// is room, or the other end is closed.
pub struct Sender<T> {
    socket: OwnedFd,
    messages: PhantomData<fn(T)>,
}

/// The end of a pipe that messages come out of. Dropping it closes it, and so does the end of its process; what nobody has
/// received is dropped when the last copy is.
///
/// It travels as an argument or a value of a task, or in a message: see [`pipe`](super::pipe). It can be [waited for](crate::wait): until there
/// is a message, or the end. So can its descriptor, by any poll: it is readable then.
pub struct Receiver<T> {
    socket: OwnedFd,
    messages: PhantomData<fn() -> T>,
}

impl<T> Sender<T> {
    pub(super) fn new(socket: OwnedFd) -> Sender<T> {
        Sender { socket, messages: PhantomData }
    }

    /// What a fork of this process may be kept from having.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// A copy of this end, for another process. The pipe ends when all copies are gone.
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, Sender};
    ///
    /// fn say(sender: Sender<u32>) {
    ///     sender.send(std::process::id()).unwrap();
    /// }
    ///
    /// let (sender, receiver) = process::pipe()?;
    /// let one = process::spawn(say, sender.try_clone()?)?;
    /// let two = process::spawn(say, sender)?;
    /// let mut said: Vec<u32> = receiver.iter().collect();
    /// said.sort();
    /// let mut pids = [one.pid(), two.pid()];
    /// pids.sort();
    /// assert_eq!(said, pids);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn try_clone(&self) -> Result<Sender<T>> {
        Ok(Sender::new(self.socket.try_clone()?))
    }
}

impl<T: Payload> Sender<T> {
    /// Sends a message, and waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the message: the other end is closed. [`PutError::Failed`], with the message: it cannot be sent.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "process::Sender::send", place: Location::caller() };
        self.send_by(message, |letter| self.deliver(letter, &wait, None))
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the message, or as [`send`](Sender::send).
    pub fn try_send(&self, message: T) -> Result<(), PutError<T>> {
        self.send_by(message, |letter| Ok(letter.send(&self.socket, false)?))
    }

    /// Sends a message, and waits for room for so long.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the message, or as [`send`](Sender::send).
    #[track_caller]
    pub fn send_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        let wait = Wait { what: "process::Sender::send_timeout", place: Location::caller() };
        let deadline = after(limit);
        self.send_by(message, |letter| self.deliver(letter, &wait, deadline))
    }

    /// Sends a message, for a future. Dropped before, it has sent nothing.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub async fn send_async(&self, message: T) -> Result<(), PutError<T>> {
        let mut letter = match Letter::pack(&message) {
            Ok(letter) => letter,
            Err(error) => return Err(PutError::Failed(message, error)),
        };
        let mut left = None;
        let sent = poll_fn(|context| self.poll_send(&mut letter, context, &mut left)).await;
        drop(left);
        told(sent, message)
    }

    fn send_by(
        &self,
        message: T,
        deliver: impl FnOnce(&mut Letter) -> Result<Sent>,
    ) -> Result<(), PutError<T>> {
        let sent = Letter::pack(&message).and_then(|mut letter| deliver(&mut letter));
        told(sent, message)
    }

    /// Sends, and waits for room, for ever or until then.
    fn deliver(&self, letter: &mut Letter, wait: &Wait, deadline: Option<Instant>) -> Result<Sent> {
        let blocks = deadline.is_none() && park::is_plain_thread();
        loop {
            let sent = letter.send(&self.socket, blocks)?;
            let is_over = || deadline.is_some_and(|deadline| deadline <= Instant::now());
            match sent {
                Sent::Full if !is_over() => {
                    park::wait_for(&[(self.socket.as_fd(), Direction::Write)], wait, deadline)?;
                }
                Sent::Crowded if !is_over() => {
                    let pause =
                        after(PAUSE).map(|until| deadline.map_or(until, |end| end.min(until)));
                    park::wait_for(&[], wait, pause)?;
                }
                Sent::Crowded => return Ok(Sent::Full),
                sent => return Ok(sent),
            }
        }
    }

    fn poll_send<'a>(
        &'a self,
        letter: &mut Letter,
        context: &mut Context<'_>,
        left: &mut Option<reactor::Watch<'a>>,
    ) -> Poll<Result<Sent>> {
        *left = None;
        match letter.send(&self.socket, false)? {
            Sent::Full => {
                let waker = context.waker();
                *left = reactor()?.watch(self.socket.as_fd(), Direction::Write, waker)?;
                Poll::Pending
            }
            Sent::Crowded => {
                *left = Some(reactor()?.at(Instant::now() + PAUSE, context.waker()));
                Poll::Pending
            }
            sent => Poll::Ready(Ok(sent)),
        }
    }
}

/// The answer to who sent the message.
fn told<T>(sent: Result<Sent>, message: T) -> Result<(), PutError<T>> {
    match sent {
        // It is dropped here: what has travelled is closed on this side.
        Ok(Sent::Whole) => Ok(()),
        Ok(Sent::Full | Sent::Crowded) => Err(PutError::Full(message)),
        Ok(Sent::Gone) => Err(PutError::ShutDown(message)),
        Err(error) => Err(PutError::Failed(message, error)),
    }
}

impl<T> Receiver<T> {
    pub(super) fn new(socket: OwnedFd) -> Receiver<T> {
        Receiver { socket, messages: PhantomData }
    }

    /// A copy of this end, for another process. Each message is received by one of them.
    ///
    /// # Errors
    ///
    /// If this process has no descriptor left.
    pub fn try_clone(&self) -> Result<Receiver<T>> {
        Ok(Receiver::new(self.socket.try_clone()?))
    }
}

impl<T: Payload> Receiver<T> {
    /// Receives a message, and waits for one.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`]: the end of the pipe. [`GetError::Failed`]: a message that cannot be read, and is lost.
    #[track_caller]
    pub fn recv(&self) -> Result<T, GetError> {
        let wait = Wait { what: "process::Receiver::recv", place: Location::caller() };
        self.receive(&wait, None)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`recv`](Receiver::recv).
    pub fn try_recv(&self) -> Result<T, GetError> {
        got(socket::receive(&self.socket, false))
    }

    /// Receives a message, and waits for one for so long.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`recv`](Receiver::recv).
    #[track_caller]
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, GetError> {
        let wait = Wait { what: "process::Receiver::recv_timeout", place: Location::caller() };
        self.receive(&wait, after(limit))
    }

    /// Receives a message, for a future. Dropped before, it has received none.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub async fn recv_async(&self) -> Result<T, GetError> {
        let mut left = None;
        poll_fn(|context| {
            left = None;
            match self.try_recv() {
                Err(GetError::Empty) => {}
                given => return Poll::Ready(given),
            }
            let watch = |waker| reactor()?.watch(self.socket.as_fd(), Direction::Read, waker);
            match watch(context.waker()) {
                Ok(watch) => left = watch,
                Err(error) => return Poll::Ready(Err(GetError::Failed(error.into()))),
            }
            Poll::Pending
        })
        .await
    }

    /// Receives messages, and waits for them, until the end of the pipe, or until one cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    fn receive(&self, wait: &Wait, deadline: Option<Instant>) -> Result<T, GetError> {
        let blocks = deadline.is_none() && park::is_plain_thread();
        loop {
            match got(socket::receive(&self.socket, blocks)) {
                Err(GetError::Empty) => {}
                given => return given,
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(GetError::Empty);
            }
            park::wait_for(&[(self.socket.as_fd(), Direction::Read)], wait, deadline)
                .map_err(|error| GetError::Failed(error.into()))?;
        }
    }
}

/// The answer to who wants a message.
fn got<T>(received: Result<Received<T>>) -> Result<T, GetError> {
    match received {
        Ok(Received::Message(message)) => Ok(message),
        Ok(Received::Empty) => Err(GetError::Empty),
        Ok(Received::End) => Err(GetError::ShutDown),
        Err(error) => Err(GetError::Failed(error)),
    }
}

/// By which it can be polled.
impl<T> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Ready when there is room, or the other end is closed.
impl<T> Waitable for Sender<T> {
    fn watch(&self) -> Watch<'_> {
        Watch::writable(self.socket.as_fd())
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fd(self.socket.as_fd()).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sender<T>, D::Error> {
        Ok(Sender::new(Fd::deserialize(deserializer)?.0))
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fd(self.socket.as_fd()).serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Receiver<T>, D::Error> {
        Ok(Receiver::new(Fd::deserialize(deserializer)?.0))
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("socket", &self.socket).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("socket", &self.socket).finish()
    }
}
