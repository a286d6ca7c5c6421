//! What a panic said, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A panic as it was when it happened, in this process or in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

impl Panic {
    /// The text of the panic; `Box<dyn Any>` if its payload was not a text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place, as `file:line:column`, where known.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The backtrace, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asked for one where the work ran.
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(place) => write!(f, "panicked at {place}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}
