//! One vocabulary of concurrency at four scales.
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("fourfold runs on Linux only (x86-64 and aarch64, kernel 5.10 or newer)");

pub mod error;
pub mod process;
pub mod task;
pub mod thread;
pub mod vocab;

pub use error::{Error, ErrorKind, Outcome, Result, Scale};
pub use vocab::{Handle, as_completed};

/// Call this first thing in `main`.
pub fn init() {
    process::entry::serve_if_child();
}
