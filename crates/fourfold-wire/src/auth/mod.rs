//! Mutual authentication with a shared key, as stock peers do it, as state machines.
//!
//! The server challenges first, then the client; each answers with a MAC of the challenge under
//! the shared key. What is sent depends on the age of the peer:
//!
//! | | challenge | answer |
//! | --- | --- | --- |
//! | CPython 2.7 to 3.11 | 20 random bytes | HMAC-MD5 of them, 16 bytes as they are |
//! | CPython 3.12 and later | `{sha256}` and 40 random bytes | `{sha256}` and the MAC of all of the challenge |
//!
//! They mix: an old peer answers a new challenge with HMAC-MD5 of all of it, the name included,
//! and a new peer answers an old challenge the old way. A [`Policy`] can refuse MD5, and then
//! peers before 3.12 are refused.
//!
//! The protocol proves that both ends know the key. It does not encrypt, and nothing ties it to
//! the connection: who can relay bytes between two ends can take over after the handshake. It
//! belongs on loopback, on Unix sockets and inside tunnels.

mod digest;
mod error;
mod handshake;
mod key;

pub use digest::Digest;
pub use error::AuthError;
#[cfg(feature = "random")]
pub(crate) use handshake::random_nonce;
pub use handshake::{Challenge, Established, Handshake, NONCE, Policy, Step};
pub use key::Key;
