//! Why an item was not put into a queue between processes, or did not come out of one.

use std::fmt;

use crate::error::{Error, ErrorKind, Scale};

/// Why an item was not put into a queue. It comes back.
///
/// # Examples
///
/// ```
/// use fourfold::process::{LifoQueue, PutError};
///
/// let queue = LifoQueue::bounded(1)?;
/// queue.put("one".to_owned())?;
/// assert!(matches!(queue.try_put("two".to_owned()), Err(PutError::Full(two)) if two == "two"));
/// queue.shut_down(false)?;
/// assert_eq!(queue.put("three".to_owned()).unwrap_err().into_item(), "three");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There is no room, or there was none within the time given.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
    /// The item cannot be serialised, or the queue cannot be reached.
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
            PutError::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {}

/// A queue that stays full is [`ErrorKind::TimedOut`], as one that stays empty.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Error {
        match error {
            PutError::Full(_) => Error::new(ErrorKind::TimedOut).with_message("the queue is full"),
            PutError::ShutDown(_) => shut_down(),
            PutError::Failed(_, error) => error,
        }
    }
}

fn shut_down() -> Error {
    Error::new(ErrorKind::ShutDown)
        .with_message("the queue takes and gives nothing more")
        .with_scale(Scale::Process)
}

/// Why no item came out of a queue.
///
/// # Examples
///
/// ```
/// use fourfold::process::{GetError, LifoQueue};
///
/// let queue = LifoQueue::<u32>::new()?;
/// assert!(matches!(queue.try_get(), Err(GetError::Empty)));
/// queue.shut_down(false)?;
/// assert!(matches!(queue.get(), Err(GetError::ShutDown)));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or none came within the time given.
    Empty,
    /// The queue was shut down and is empty.
    ShutDown,
    /// The item cannot be read back, which loses it, or the queue cannot be reached.
    Failed(Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Empty => f.write_str("the queue is empty"),
            GetError::ShutDown => f.write_str("the queue was shut down"),
            GetError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GetError {}

impl From<Error> for GetError {
    fn from(error: Error) -> GetError {
        GetError::Failed(error)
    }
}

/// A queue that stays empty is [`ErrorKind::TimedOut`].
impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        match error {
            GetError::Empty => Error::new(ErrorKind::TimedOut).with_message("the queue is empty"),
            GetError::ShutDown => shut_down(),
            GetError::Failed(error) => error,
        }
    }
}
