//! What can be wrong with a frame.

use std::fmt;

/// Why a frame cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is over the limit of the decoder.
    TooLong {
        /// The length in front of the frame, in bytes.
        length: u64,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// The length is negative, which this family of peers does not give a meaning.
    NegativeLength(i32),
    /// A frame of this length cannot be said to this family of peers.
    CannotSay {
        /// The length of the frame, in bytes.
        length: u64,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length, limit } => {
                write!(f, "a frame of {length} bytes, over the limit of {limit}")
            }
            Self::NegativeLength(n) => write!(f, "a frame of negative length {n}"),
            Self::CannotSay { length } => {
                write!(f, "a frame of {length} bytes is too long for this peer's protocol")
            }
        }
    }
}

impl std::error::Error for FrameError {}
