//! One opaque error that says how a piece of work ended, to which task, where, and why.
//!
//! [`Error::kind`] is what to match on; [`Error::panic`], [`Error::signal`] and [`Error::exit_code`] give the
//! details of a kind; [`Error::task`], [`Error::pid`] and [`Error::scale`] say to whom it happened.

mod build;
mod kind;
mod opaque;
mod panic;
mod shield;
mod travel;

pub(crate) use self::kind::signal_name;
pub use self::kind::{ErrorKind, Scale};
pub use self::opaque::Error;
use self::opaque::Inner;
pub use self::panic::Panic;
pub(crate) use self::shield::shield;

/// The result of an operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How a piece of work ended: with its value, or with an [`Error`] that says exactly why not.
pub type Outcome<T> = std::result::Result<T, Error>;
