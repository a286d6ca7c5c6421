//! Why an item was not put into a queue or did not come out of one.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// What is over when it is shut down.
const OVER: &str = "the queue takes and gives nothing more";

/// Why there is no place for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    ShutDown,
}

impl Refused {
    /// With the item that was to be put.
    pub(super) fn with<T>(self, item: T) -> PutError<T> {
        match self {
            Refused::Full => PutError::Full(item),
            Refused::ShutDown => PutError::ShutDown(item),
        }
    }
}

/// Why an item was not put into a queue. It comes back.
///
/// # Examples
///
/// ```
/// use fourfold::thread::{PutError, Queue};
///
/// let queue = Queue::bounded(1);
/// queue.put("one")?;
/// assert_eq!(queue.try_put("two"), Err(PutError::Full("two")));
/// queue.shut_down(false);
/// assert_eq!(queue.put("three").unwrap_err().into_item(), "three");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There is no room, or there was none within the time given.
    Full(T),
    /// The queue was shut down; of a pipe, the other end is closed.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            PutError::Full(item) | PutError::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "the queue is full",
            PutError::ShutDown(_) => "the queue was shut down",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {}

/// A queue that stays full is [`ErrorKind::TimedOut`], as one that stays empty.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Error {
        match error {
            PutError::Full(_) => Error::new(ErrorKind::TimedOut).with_message("the queue is full"),
            PutError::ShutDown(_) => Error::new(ErrorKind::ShutDown).with_message(OVER),
        }
    }
}

/// Why no item came out of a queue.
///
/// # Examples
///
/// ```
/// use fourfold::ErrorKind;
/// use fourfold::thread::{GetError, Queue};
///
/// let queue = Queue::<u32>::new();
/// assert_eq!(queue.try_get(), Err(GetError::Empty));
/// queue.shut_down(false);
/// assert_eq!(queue.get(), Err(GetError::ShutDown));
/// assert_eq!(fourfold::Error::from(GetError::Empty).kind(), ErrorKind::TimedOut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or none came within the time given.
    Empty,
    /// The queue was shut down and is empty; of a pipe, its end.
    ShutDown,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::ShutDown => "the queue was shut down",
        })
    }
}

impl std::error::Error for GetError {}

/// A queue that stays empty is [`ErrorKind::TimedOut`].
impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        match error {
            GetError::Empty => Error::new(ErrorKind::TimedOut).with_message("the queue is empty"),
            GetError::ShutDown => Error::new(ErrorKind::ShutDown).with_message(OVER),
        }
    }
}
