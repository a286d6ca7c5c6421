//! One vocabulary of concurrency at four scales.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("fourfold runs on Linux only (x86-64 and aarch64, kernel 5.10 or newer)");

pub mod error;

pub use error::{Error, ErrorKind, Result};
