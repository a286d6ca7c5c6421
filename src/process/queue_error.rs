//! Why an item was not put into a queue or a pipe between processes, or did not come out of one.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Why an item was not put into a queue, or a message not sent through a pipe, between processes. It comes back.
///
/// # Examples
///
/// ```
/// use fourfold::process::{PutError, Queue};
///
/// let queue = Queue::bounded(1)?;
/// queue.put(1)?;
/// assert!(matches!(queue.try_put(2), Err(PutError::Full(2))));
/// queue.shut_down(false);
/// assert_eq!(queue.put(3).unwrap_err().into_item(), 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There is no room, or there was none within the time given.
    Full(T),
    /// The queue was shut down; of a pipe, the other end is closed, in every process that had it.
    ShutDown(T),
    /// The item cannot be serialised, there is no room for it in the memory that processes share, or the process that serves
    /// the queue is gone: the error says which. Of a pipe, the system has no memory or descriptors left for the message.
    Failed(T, Error),
}

impl<T> PutError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            PutError::Full(item) | PutError::ShutDown(item) | PutError::Failed(item, _) => item,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Full(_) => f.write_str("the queue is full"),
            PutError::ShutDown(_) => f.write_str("the queue was shut down"),
            PutError::Failed(_, error) => write!(f, "the item was not put: {error}"),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PutError::Failed(_, error) => Some(error),
            _ => None,
        }
    }
}

/// A queue that stays full is [`ErrorKind::TimedOut`], as one that stays empty.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Error {
        use crate::sync::PutError as Here;
        match error {
            PutError::Full(_) => Here::Full(()).into(),
            PutError::ShutDown(_) => Here::ShutDown(()).into(),
            PutError::Failed(_, error) => error,
        }
    }
}

/// Why no item came out of a queue, or no message out of a pipe, between processes.
///
/// # Examples
///
/// ```
/// use fourfold::process::{GetError, Queue};
///
/// let queue = Queue::<u32>::bounded(1)?;
/// assert!(matches!(queue.try_get(), Err(GetError::Empty)));
/// queue.shut_down(false);
/// assert!(matches!(queue.get(), Err(GetError::ShutDown)));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or none came within the time given.
    Empty,
    /// The queue was shut down and is empty; of a pipe, its end.
    ShutDown,
    /// A process died as it took an item, which is lost: told once for each, by a queue that was made to
    /// [`Report`](super::OnDeath::Report) it.
    TakerDied,
    /// The item cannot be read back, or the process that serves the queue is gone: the error says which. Of a pipe, a message that cannot
    /// be read back, or whose descriptors this process had no room for: it is lost, and what was sent after it is not.
    Failed(Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Empty => f.write_str("the queue is empty"),
            GetError::ShutDown => f.write_str("the queue was shut down"),
            GetError::TakerDied => f.write_str("who had taken an item has died, and it is lost"),
            GetError::Failed(error) => write!(f, "no item came out: {error}"),
        }
    }
}

impl std::error::Error for GetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            GetError::Failed(error) => Some(error),
            _ => None,
        }
    }
}

/// A queue that stays empty is [`ErrorKind::TimedOut`].
impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        use crate::sync::GetError as Here;
        match error {
            GetError::Empty => Here::Empty.into(),
            GetError::ShutDown => Here::ShutDown.into(),
            GetError::TakerDied => Error::new(ErrorKind::OwnerDied)
                .with_message("who had taken an item has died, and it is lost"),
            GetError::Failed(error) => error,
        }
    }
}

/// What becomes of an item that a process had taken out of a queue, and was not done with, when it died.
///
/// # Examples
///
/// ```
/// use fourfold::process::{OnDeath, Queue};
///
/// let queue = Queue::<u32>::bounded_with(8, OnDeath::Report)?;
/// queue.put(1)?;
/// assert_eq!(queue.get()?, 1);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDeath {
    /// Another gets it.
    #[default]
    HandBack,
    /// Another is told of it: by [`GetError::TakerDied`], or of a queue that is served, by what `lost` gives.
    Report,
    /// Nothing: it is gone.
    Drop,
}

impl OnDeath {
    pub(crate) fn from_number(number: u64) -> OnDeath {
        match number {
            1 => OnDeath::Report,
            2 => OnDeath::Drop,
            _ => OnDeath::HandBack,
        }
    }
}
