//! Why a message was not sent through a pipe between processes, or not received.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// What is over when the other end is gone.
const OVER: &str = "the other end of the pipe is closed";

/// Why a message was not sent. It comes back.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, PutError};
///
/// let (sender, receiver) = process::pipe()?;
/// drop(receiver);
/// let Err(PutError::ShutDown(message)) = sender.send("for nobody".to_owned()) else { panic!("sent") };
/// assert_eq!(message, "for nobody");
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There is no room, or there was none within the time given.
    Full(T),
    /// The other end is closed, in every process that had it.
    ShutDown(T),
    /// It cannot be serialised, or the system has no memory or descriptors left for it.
    Failed(T, Error),
}

impl<T> PutError<T> {
    /// The message.
    pub fn into_item(self) -> T {
        match self {
            PutError::Full(item) | PutError::ShutDown(item) | PutError::Failed(item, _) => item,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Full(_) => f.write_str("the pipe is full"),
            PutError::ShutDown(_) => f.write_str(OVER),
            PutError::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for PutError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PutError::Failed(_, error) => error.source(),
            _ => None,
        }
    }
}

/// A pipe that stays full is [`ErrorKind::TimedOut`], as one that stays empty.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Error {
        match error {
            PutError::Full(_) => Error::new(ErrorKind::TimedOut).with_message("the pipe is full"),
            PutError::ShutDown(_) => Error::new(ErrorKind::ShutDown).with_message(OVER),
            PutError::Failed(_, error) => error,
        }
    }
}

/// Why no message was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or none came within the time given.
    Empty,
    /// The end of the pipe: the other end is closed, in every process that had it, and all that was sent has been received.
    ShutDown,
    /// A message came that could not be read back, or whose descriptors this process had no room for; it is lost. What
    /// was sent after it is not.
    Failed(Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Empty => f.write_str("the pipe is empty"),
            GetError::ShutDown => f.write_str(OVER),
            GetError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            GetError::Failed(error) => error.source(),
            _ => None,
        }
    }
}

/// A pipe that stays empty is [`ErrorKind::TimedOut`].
impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        match error {
            GetError::Empty => Error::new(ErrorKind::TimedOut).with_message("the pipe is empty"),
            GetError::ShutDown => Error::new(ErrorKind::ShutDown).with_message(OVER),
            GetError::Failed(error) => error,
        }
    }
}
