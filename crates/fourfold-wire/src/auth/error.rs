//! Why an authentication failed.

use std::fmt;

/// Why an authentication failed. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthError {
    /// The peer's answer is not the MAC under our key: it has another key, or none.
    WrongKey,
    /// The peer said that our answer is wrong.
    Rejected,
    /// The peer authenticates by MD5, and the policy refuses that.
    Md5Refused,
    /// The peer names a digest that this protocol does not know.
    UnknownDigest,
    /// The peer's challenge is shorter than 20 bytes.
    ShortChallenge,
    /// The frame is not what comes next in a handshake.
    Unexpected {
        /// What should have come.
        expected: &'static str,
    },
    /// The handshake has ended, in success or not, and takes no more frames.
    Over,
    /// The system gave no random numbers.
    NoRandom,
}

impl AuthError {
    /// The frame to send to the peer before the connection is closed, if there is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::auth::AuthError;
    ///
    /// assert_eq!(AuthError::WrongKey.reply(), Some(&b"#FAILURE#"[..]));
    /// assert_eq!(AuthError::Rejected.reply(), None);
    /// ```
    #[must_use]
    pub fn reply(&self) -> Option<&'static [u8]> {
        match self {
            Self::WrongKey | Self::Md5Refused | Self::UnknownDigest | Self::ShortChallenge => {
                Some(super::handshake::FAILURE)
            }
            _ => None,
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKey => f.write_str("the peer does not know the key"),
            Self::Rejected => f.write_str("the peer refused our key"),
            Self::Md5Refused => f.write_str("the peer authenticates by MD5, which is refused here"),
            Self::UnknownDigest => f.write_str("the peer asks for a digest that is not known here"),
            Self::ShortChallenge => f.write_str("the peer's challenge is too short"),
            Self::Unexpected { expected } => {
                write!(f, "the peer did not send {expected}: it does not authenticate as expected")
            }
            Self::Over => f.write_str("the handshake is over"),
            Self::NoRandom => f.write_str("no random numbers from the system"),
        }
    }
}

impl std::error::Error for AuthError {}
