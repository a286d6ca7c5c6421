//! What calls of a server's words can end in.

use std::fmt;

use fourfold_wire::pickle;
use fourfold_wire::talk::Exception;

use crate::error::{Error, ErrorKind};

/// Why a call did not give its value.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The call raised an exception of Python.
    Raised(Exception),
    /// The server could not do what it was asked, and says why: `RemoteError` to a Python program.
    Refused(String),
    /// The connection failed, or a value could not be put into Python's words or taken from them.
    Failed(Error),
}

impl CallError {
    /// The exception that the call raised.
    pub fn exception(&self) -> Option<&Exception> {
        match self {
            CallError::Raised(exception) => Some(exception),
            _ => None,
        }
    }

    /// The connection is gone that a lock was taken on, and with it the lock.
    pub(super) fn lost_hold() -> CallError {
        let what = "the connection that had taken it failed, and the server has freed it";
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::NotConnected));
        CallError::Failed(error.with_message(what))
    }

    pub(super) fn is(&self, module: &str, name: &str) -> bool {
        self.exception().is_some_and(|exception| exception.is(module, name))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Raised(exception) => exception.fmt(f),
            CallError::Refused(text) => write!(f, "refused by the server: {}", last_line(text)),
            CallError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError::Failed(error)
    }
}

impl From<pickle::Error> for CallError {
    fn from(error: pickle::Error) -> CallError {
        CallError::Failed(Error::new(ErrorKind::NotSerializable).with_source(error))
    }
}

/// The last line of a traceback is what says most.
fn last_line(text: &str) -> &str {
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("without a word").trim()
}

/// An exception is [`ErrorKind::Refused`], with it as the source; but what a queue raises when it is shut down is
/// [`ErrorKind::ShutDown`], and when nothing comes in time [`ErrorKind::TimedOut`].
impl From<CallError> for Error {
    fn from(error: CallError) -> Error {
        let kind = match &error {
            _ if error.is("queue", "ShutDown") => ErrorKind::ShutDown,
            _ if error.is("queue", "Empty") || error.is("queue", "Full") => ErrorKind::TimedOut,
            _ if error.is("builtins", "TimeoutError") => ErrorKind::TimedOut,
            _ => ErrorKind::Refused,
        };
        match error {
            CallError::Raised(exception) => Error::new(kind).with_source(exception),
            CallError::Refused(text) => {
                Error::new(kind).with_message(format!("the server says: {}", last_line(&text)))
            }
            CallError::Failed(error) => error,
        }
    }
}

/// What is over when it is shut down.
const OVER: &str = "the queue takes and gives nothing more";

/// Why an item was not put into a queue. It comes back.
#[derive(Debug)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There is no room, or there was none within the time given.
    Full(T),
    /// The queue was shut down.
    ShutDown(T),
    /// Something else.
    Failed(T, CallError),
}

impl<T> PutError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            PutError::Full(item) | PutError::ShutDown(item) | PutError::Failed(item, _) => item,
        }
    }

    pub(super) fn new(item: T, error: CallError) -> PutError<T> {
        if error.is("queue", "Full") {
            PutError::Full(item)
        } else if error.is("queue", "ShutDown") {
            PutError::ShutDown(item)
        } else {
            PutError::Failed(item, error)
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
            PutError::ShutDown(_) => Error::new(ErrorKind::ShutDown).with_message(OVER),
            PutError::Failed(_, error) => error.into(),
        }
    }
}

/// Why no item came out of a queue.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// There is none, or none came within the time given.
    Empty,
    /// The queue was shut down.
    ShutDown,
    /// Something else.
    Failed(CallError),
}

impl GetError {
    pub(super) fn new(error: CallError) -> GetError {
        if error.is("queue", "Empty") {
            GetError::Empty
        } else if error.is("queue", "ShutDown") {
            GetError::ShutDown
        } else {
            GetError::Failed(error)
        }
    }
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

/// A queue that stays empty is [`ErrorKind::TimedOut`].
impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        match error {
            GetError::Empty => Error::new(ErrorKind::TimedOut).with_message("the queue is empty"),
            GetError::ShutDown => Error::new(ErrorKind::ShutDown).with_message(OVER),
            GetError::Failed(error) => error.into(),
        }
    }
}
