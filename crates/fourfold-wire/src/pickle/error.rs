//! What can be wrong with a pickle, or with a value that is to become one.

use std::fmt;

use crate::Dialect;

/// Why a pickle cannot be read or written, or a value not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end within the pickle.
    Truncated {
        /// Where the opcode starts that is not complete, in bytes.
        at: usize,
    },
    /// Bytes follow the end of the pickle.
    Trailing {
        /// Where the pickle ends, in bytes.
        at: usize,
    },
    /// A byte that is no opcode of protocols 0 to 5.
    UnknownOpcode {
        /// Where, in bytes.
        at: usize,
        /// The byte.
        opcode: u8,
    },
    /// An opcode that needs something outside the pickle: a persistent id, the extension
    /// registry or an out-of-band buffer.
    RefusedOpcode {
        /// Where, in bytes.
        at: usize,
        /// Its name in Python's `pickletools`.
        name: &'static str,
    },
    /// The pickle says that it is of a protocol newer than 5.
    NewerProtocol {
        /// The protocol.
        version: u8,
    },
    /// The pickle makes no sense.
    Malformed {
        /// Where, in bytes.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A bound was reached.
    Limit {
        /// Which.
        what: Limited,
        /// The bound.
        limit: usize,
    },
    /// The pickle names a global that is not on the list.
    GlobalRefused {
        /// The module.
        module: String,
        /// The name in it.
        name: String,
    },
    /// The value cannot be said in this dialect.
    CannotSay {
        /// The dialect.
        dialect: Dialect,
        /// What cannot be said.
        what: &'static str,
    },
    /// A value is not what it should be.
    Unexpected {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// What a type's own `Serialize` or `Deserialize` said.
    Custom(String),
}

/// What an [`Error::Limit`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limited {
    /// The size of the pickle, in bytes.
    Bytes,
    /// The number of values in the pickle.
    Nodes,
    /// How deep values lie in each other.
    Depth,
    /// The number of entries in the memo.
    Memo,
    /// The decimal digits of a number.
    Digits,
    /// The steps of writing a value whose parts refer to each other in too many ways.
    Steps,
}

impl Error {
    pub(crate) fn unexpected(expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Unexpected { expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated { at } => write!(f, "the pickle ends within the opcode at {at}"),
            Error::Trailing { at } => write!(f, "bytes follow the pickle, which ends at {at}"),
            Error::UnknownOpcode { at, opcode } => {
                write!(f, "byte 0x{opcode:02x} at {at} of the pickle is no opcode")
            }
            Error::RefusedOpcode { at, name } => {
                write!(f, "opcode {name} at {at} needs something outside the pickle, refused")
            }
            Error::NewerProtocol { version } => {
                write!(f, "the pickle is of protocol {version}; known are 0 to 5")
            }
            Error::Malformed { at, what } => write!(f, "malformed pickle at {at}: {what}"),
            Error::Limit { what, limit } => match what {
                Limited::Bytes => write!(f, "the pickle is over the limit of {limit} bytes"),
                Limited::Nodes => write!(f, "the pickle holds more than {limit} values"),
                Limited::Depth => write!(f, "the pickle is nested deeper than {limit}"),
                Limited::Memo => write!(f, "the pickle's memo is over {limit} entries"),
                Limited::Digits => write!(f, "a number of more than {limit} decimal digits"),
                Limited::Steps => write!(f, "the value takes more than {limit} steps to write"),
            },
            Error::GlobalRefused { module, name } => {
                write!(f, "the pickle names {module}.{name}, which is not allowed")
            }
            Error::CannotSay { dialect, what } => {
                let readers = match dialect {
                    Dialect::Common => "every Python",
                    Dialect::Python2 => "Python 2",
                    Dialect::Python3 => "Python 3",
                };
                write!(f, "{what} cannot be written for {readers}")
            }
            Error::Unexpected { expected, found } => {
                write!(f, "expected {expected}, found {found}")
            }
            Error::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}
