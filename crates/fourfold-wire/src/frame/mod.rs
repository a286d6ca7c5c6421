//! Frames: a length, then that many bytes.
//!
//! [`Decoder`] takes bytes as they come and gives frames; [`write`](write()) and [`seal`] put the length in
//! front. All bytes of a frame are kept in one buffer that grows as bytes come, never as the
//! length says, and a length over the limit is an error as soon as it is read.

mod decoder;
mod encode;
mod error;

pub use decoder::Decoder;
pub use encode::{Header, PREFIX, begin, seal, write};
pub use error::FrameError;

/// The longest frame that a stock peer accepts while it authenticates, in bytes.
pub const AUTH_LIMIT: u64 = 256;

/// The limit of a [`Decoder`] that is not told another, in bytes: 64 MiB.
pub const DEFAULT_LIMIT: u64 = 64 << 20;
