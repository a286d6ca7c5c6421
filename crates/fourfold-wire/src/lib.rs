//! The protocol of Python's `multiprocessing.managers`, without I/O.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod auth;
pub mod frame;
mod peer;
pub mod pickle;
pub mod talk;

pub use peer::{Dialect, Framing, Language, Peer};
