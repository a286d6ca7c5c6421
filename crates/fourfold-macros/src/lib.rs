//! The attributes `#[fourfold::main]` and `#[fourfold::task]`.
#![forbid(unsafe_code)]
