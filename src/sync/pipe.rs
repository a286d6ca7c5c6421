//! Two ends, and messages that go from one to the other.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::channel::Channel;
use super::error::{GetError, PutError};
use super::park::{Wait, after};
use super::ring::Ring;
use super::store::{Fifo, Store};

/// How many messages a pipe holds that nobody has received.
const ROOM: usize = 1024;

/// A pipe, one way: messages come out whole, and in the order they were sent. It holds 1,024 messages that nobody has
/// received; then who sends waits.
///
/// Dropping an end closes it. The receiver gets what was sent before, and then the end of the pipe; the sender gets its message
/// back at once.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | one type; messages of any type that is `Send`, not copied |
/// | `process` | messages of any serde type; each call can fail: see [`process::pipe`](crate::process::pipe()) |
///
/// # Examples
///
/// ```
/// use fourfold::thread::{self, GetError, pipe};
///
/// let (sender, receiver) = pipe();
/// let child = thread::spawn(move || receiver.iter().count(), ())?;
/// sender.send("one")?;
/// sender.send("two")?;
/// drop(sender);
/// assert_eq!(child.join()?, 2);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn pipe<T>() -> (Sender<T>, Receiver<T>) {
    pipe_with_room(ROOM)
}

/// As [`pipe`], for so many messages that nobody has received.
///
/// # Panics
///
/// If `room` is 0, or more than memory could hold.
pub fn pipe_with_room<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(Fifo::Bounded(Ring::new(room))));
    (Sender { channel: channel.clone() }, Receiver { channel })
}

/// A pipe that goes both ways. Each way is as that of [`pipe`].
///
/// # Examples
///
/// ```
/// use fourfold::thread::{self, duplex};
///
/// let (here, there) = duplex::<u32, String>();
/// let child = thread::spawn(move || {
///     while let Ok(number) = there.recv() {
///         there.send(number.to_string()).unwrap();
///     }
/// }, ())?;
/// here.send(7)?;
/// assert_eq!(here.recv()?, "7");
/// drop(here);
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn duplex<A, B>() -> (Duplex<A, B>, Duplex<B, A>) {
    let ((forth, taken_there), (back, taken_here)) = (pipe(), pipe());
    (Duplex { out: forth, into: taken_here }, Duplex { out: back, into: taken_there })
}

/// The end of a pipe that messages are sent from. Dropping it closes it.
pub struct Sender<T> {
    channel: Arc<Channel<Fifo<T>>>,
}

/// The end of a pipe that messages come out of. Dropping it closes it, and drops what nobody has received.
pub struct Receiver<T> {
    channel: Arc<Channel<Fifo<T>>>,
}

/// An end of a pipe that goes both ways: it sends `A`, and receives `B`. Dropping it closes it.
pub struct Duplex<A, B = A> {
    out: Sender<A>,
    into: Receiver<B>,
}

impl<T> Sender<T> {
    /// Sends a message, and waits for room.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the message: the other end is closed.
    #[track_caller]
    pub fn send(&self, message: T) -> Result<(), PutError<T>> {
        let wait = Wait { what: "Sender::send", place: Location::caller() };
        self.channel.put(message, &wait, || None)
    }

    /// Sends a message if there is room, also before those who wait for it.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the message, or as [`send`](Sender::send).
    pub fn try_send(&self, message: T) -> Result<(), PutError<T>> {
        self.channel.try_put(message)
    }

    /// Sends a message, and waits for room for so long.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], with the message, or as [`send`](Sender::send).
    #[track_caller]
    pub fn send_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        let wait = Wait { what: "Sender::send_timeout", place: Location::caller() };
        self.channel.put(message, &wait, || after(limit))
    }

    /// Sends a message, for a future.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub async fn send_async(&self, message: T) -> Result<(), PutError<T>> {
        self.channel.put_async(message).await
    }

    /// Polls until there is room, or the other end is closed, and fills none.
    pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        self.channel.look_for_room()
    }
}

impl<T> Receiver<T> {
    /// Receives a message, and waits for one.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`]: the end of the pipe.
    #[track_caller]
    pub fn recv(&self) -> Result<T, GetError> {
        let wait = Wait { what: "Receiver::recv", place: Location::caller() };
        self.channel.get(&wait, || None)
    }

    /// Receives a message if there is one, also before those who wait for one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`recv`](Receiver::recv).
    pub fn try_recv(&self) -> Result<T, GetError> {
        self.channel.try_get()
    }

    /// Receives a message, and waits for one for so long.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`recv`](Receiver::recv).
    #[track_caller]
    pub fn recv_timeout(&self, limit: Duration) -> Result<T, GetError> {
        let wait = Wait { what: "Receiver::recv_timeout", place: Location::caller() };
        self.channel.get(&wait, || after(limit))
    }

    /// Receives a message, for a future. Dropped before, it has received none.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub async fn recv_async(&self) -> Result<T, GetError> {
        self.channel.get_async().await
    }

    /// Receives messages, and waits for them, until the end of the pipe.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Polls until there is a message, or the end, and takes none.
    pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        self.channel.look_for_items()
    }
}

impl<A, B> Duplex<A, B> {
    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As there, here and below.
    #[track_caller]
    pub fn send(&self, message: A) -> Result<(), PutError<A>> {
        self.out.send(message)
    }

    /// As [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As there, here and below.
    #[track_caller]
    pub fn recv(&self) -> Result<B, GetError> {
        self.into.recv()
    }

    /// As [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_recv(&self) -> Result<B, GetError> {
        self.into.try_recv()
    }

    /// As [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn recv_timeout(&self, limit: Duration) -> Result<B, GetError> {
        self.into.recv_timeout(limit)
    }

    /// The two ends on their own: where this one sends, and where it receives.
    pub fn split(self) -> (Sender<A>, Receiver<B>) {
        (self.out, self.into)
    }

    /// As that of [`Receiver`].
    pub(crate) fn look(&self) -> impl FnMut(&mut Context<'_>) -> Poll<()> {
        self.into.look()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.shut_down(false);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.shut_down(true);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("unreceived", &self.channel.store().len()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("unreceived", &self.channel.store().len()).finish()
    }
}

impl<A, B> fmt::Debug for Duplex<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex").field("out", &self.out).field("into", &self.into).finish()
    }
}
