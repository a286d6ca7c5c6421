//! What the tests share: the captured messages and the interpreters of this machine.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

mod captures;
mod pythons;

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use captures::{Frame, Message, conversations, messages};
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use pythons::{Python, pythons};

/// Bytes from hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "an odd number of digits");
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// Hexadecimal digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
