//! What a panic said, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A panic as it was when it happened, in this process or in another.
///
/// # Examples
///
/// ```
/// use fourfold::process;
///
/// let error = process::spawn(|| -> u32 { panic!("oh no") }, ())?.join().unwrap_err();
/// let panic = error.panic().unwrap();
/// assert_eq!(panic.message(), "oh no");
/// assert!(panic.location().unwrap().contains(".rs:"));
/// # Ok::<(), fourfold::Error>(())
/// ```
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
