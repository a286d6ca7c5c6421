//! Which Python is at the other end, and what follows from it for frames and pickles.

/// The language a value was written in.
///
/// The two Pythons use the same opcodes for different things: `BINUNICODE` is `unicode` to one and
/// `str` to the other, and the standard library's modules have other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Python 2, pickle protocols 0 to 2.
    Python2,
    /// Python 3, pickle protocol 3 and later.
    Python3,
}

/// How a length is written in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Framing {
    /// CPython 2.7: an unsigned 32-bit length, no escape.
    Python2,
    /// CPython 3.6 and 3.7: a signed 32-bit length, no escape.
    Python36,
    /// CPython 3.8 and later: a signed 32-bit length; -1 says that 64 bits of length follow.
    ///
    /// All frames below 2 GiB look the same in every family, so this is also what to use while the
    /// peer is not known.
    #[default]
    Python38,
}

/// What a pickle is written for.
///
/// | | protocol | text | bytes | globals |
/// | --- | --- | --- | --- | --- |
/// | [`Common`](Dialect::Common) | 2 | ASCII as `str` of either Python, else `BINUNICODE` | `_codecs.encode` | Python 2 names |
/// | [`Python2`](Dialect::Python2) | 2 | as above | `BINSTRING` | Python 2 names |
/// | [`Python3`](Dialect::Python3) | 4 | `BINUNICODE` | `BINBYTES` | Python 3 names |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// What every stock interpreter from 2.7 on reads: for a peer that is not known yet.
    #[default]
    Common,
    /// For CPython 2.7.
    Python2,
    /// For CPython 3.4 and later.
    Python3,
}

impl Dialect {
    /// The language of the interpreter that reads this dialect best.
    pub(crate) fn is_python3(self) -> bool {
        self == Dialect::Python3
    }
}

/// What is known of the peer so far, from its authentication and from the pickles it sent.
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Dialect, Framing, Peer};
///
/// let mut peer = Peer::default();
/// assert_eq!(peer.dialect(), Dialect::Common);
/// peer.saw_pickle(b"\x80\x02N.");
/// assert_eq!((peer.dialect(), peer.framing()), (Dialect::Python2, Framing::Python2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    named_digests: bool,
    protocol: Option<u8>,
}

impl Peer {
    /// Takes note that the peer named its digest, as CPython does from 3.12 on.
    pub fn saw_named_digest(&mut self) {
        self.named_digests = true;
    }

    /// Takes note of the pickle protocol that the peer writes, from a message of its.
    ///
    /// A message that does not start with a `PROTO` opcode changes nothing.
    pub fn saw_pickle(&mut self, message: &[u8]) {
        if let [0x80, version, ..] = message {
            self.protocol = Some(*version);
        }
    }

    /// The pickle protocol that the peer writes, where it is known.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.protocol
    }

    /// The language the peer speaks, where it is known.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        match self.protocol {
            Some(3..) => Some(Language::Python3),
            _ if self.named_digests => Some(Language::Python3),
            Some(_) => Some(Language::Python2),
            None => None,
        }
    }

    /// Whether the peer is known to be older than CPython 3.13. Of 3.12 that cannot be known: both speak in the same way.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::Peer;
    ///
    /// let mut peer = Peer::default();
    /// peer.saw_pickle(b"\x80\x04N.");
    /// assert!(peer.is_before_313());
    /// peer.saw_named_digest();
    /// assert!(!peer.is_before_313());
    /// ```
    #[must_use]
    pub fn is_before_313(&self) -> bool {
        // Digests have names from 3.12 on, and the protocol is the fifth from 3.14 on.
        !self.named_digests && self.protocol.is_some_and(|protocol| protocol <= 4)
    }

    /// What to write pickles in for this peer.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.language() {
            None => Dialect::Common,
            Some(Language::Python2) => Dialect::Python2,
            Some(Language::Python3) => Dialect::Python3,
        }
    }

    /// How to read and write this peer's frames.
    #[must_use]
    pub fn framing(&self) -> Framing {
        match (self.named_digests, self.protocol) {
            (false, Some(0..=2)) => Framing::Python2,
            (false, Some(3)) => Framing::Python36,
            _ => Framing::Python38,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_its_digest_or_its_protocol() {
        let mut peer = Peer::default();
        assert_eq!((peer.language(), peer.framing()), (None, Framing::Python38));
        for (protocol, dialect, framing) in [
            (2, Dialect::Python2, Framing::Python2),
            (3, Dialect::Python3, Framing::Python36),
            (4, Dialect::Python3, Framing::Python38),
            (5, Dialect::Python3, Framing::Python38),
        ] {
            peer.saw_pickle(&[0x80, protocol]);
            assert_eq!((peer.dialect(), peer.framing()), (dialect, framing));
        }
        let mut peer = Peer::default();
        peer.saw_pickle(b"(dp0\n.");
        assert_eq!(peer.protocol(), None);
        peer.saw_named_digest();
        assert_eq!((peer.dialect(), peer.framing()), (Dialect::Python3, Framing::Python38));
    }
}
