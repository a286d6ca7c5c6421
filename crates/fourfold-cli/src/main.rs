//! The `fourfold` command.
#![forbid(unsafe_code)]
fn main() {}
