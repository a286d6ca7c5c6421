//! What can end or disturb a conversation.

use std::fmt;

use crate::auth::AuthError;
use crate::frame::FrameError;
use crate::pickle;

/// Why a conversation cannot go on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TalkError {
    /// The peers did not come to trust each other.
    Auth(AuthError),
    /// The bytes are no frames, or too long.
    Frame(FrameError),
    /// A message is no pickle, or over a limit.
    Pickle(pickle::Error),
    /// A message is a pickle, but not what comes next.
    Unexpected(&'static str),
}

impl fmt::Display for TalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TalkError::Auth(error) => error.fmt(f),
            TalkError::Frame(error) => error.fmt(f),
            TalkError::Pickle(error) => error.fmt(f),
            TalkError::Unexpected(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for TalkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TalkError::Auth(error) => Some(error),
            TalkError::Frame(error) => Some(error),
            TalkError::Pickle(error) => Some(error),
            TalkError::Unexpected(_) => None,
        }
    }
}

impl From<AuthError> for TalkError {
    fn from(error: AuthError) -> Self {
        TalkError::Auth(error)
    }
}

impl From<FrameError> for TalkError {
    fn from(error: FrameError) -> Self {
        TalkError::Frame(error)
    }
}

impl From<pickle::Error> for TalkError {
    fn from(error: pickle::Error) -> Self {
        TalkError::Pickle(error)
    }
}
