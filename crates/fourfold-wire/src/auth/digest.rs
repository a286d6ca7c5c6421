//! The digests that stock peers name, and their MACs.

use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use md5::Md5;
use sha2::{Sha256, Sha384};
use sha3::{Sha3_256, Sha3_384};

use super::Key;

/// A digest that stock peers accept by name.
///
/// # Examples
///
/// ```
/// use fourfold_wire::auth::Digest;
///
/// assert_eq!(Digest::from_name(b"sha3_256"), Some(Digest::Sha3_256));
/// assert_eq!(Digest::from_name(b"sha512"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// `md5`, the only one before CPython 3.12.
    Md5,
    /// `sha256`, what CPython 3.12 and later ask for.
    Sha256,
    /// `sha384`
    Sha384,
    /// `sha3_256`
    Sha3_256,
    /// `sha3_384`
    Sha3_384,
}

impl Digest {
    /// All of them.
    pub const ALL: [Digest; 5] =
        [Digest::Md5, Digest::Sha256, Digest::Sha384, Digest::Sha3_256, Digest::Sha3_384];

    /// The name between the braces of a challenge.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Digest::Md5 => "md5",
            Digest::Sha256 => "sha256",
            Digest::Sha384 => "sha384",
            Digest::Sha3_256 => "sha3_256",
            Digest::Sha3_384 => "sha3_384",
        }
    }

    /// The digest of that name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Digest> {
        Digest::ALL.into_iter().find(|digest| digest.name().as_bytes() == name)
    }

    /// Splits `{name}rest`. `None`: no such prefix, or a name that is not known.
    pub(super) fn split(message: &[u8]) -> Option<(Digest, &[u8])> {
        let rest = message.strip_prefix(b"{")?;
        let end = rest.iter().position(|&byte| byte == b'}')?;
        Some((Digest::from_name(&rest[..end])?, &rest[end + 1..]))
    }

    /// The HMAC of `message` by this digest.
    pub(super) fn mac(self, key: &Key, message: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(key: &Key, message: &[u8]) -> Vec<u8> {
            keyed::<M>(key).chain_update(message).finalize().into_bytes().to_vec()
        }
        match self {
            Digest::Md5 => of::<Hmac<Md5>>(key, message),
            Digest::Sha256 => of::<Hmac<Sha256>>(key, message),
            Digest::Sha384 => of::<SimpleHmac<Sha384>>(key, message),
            Digest::Sha3_256 => of::<SimpleHmac<Sha3_256>>(key, message),
            Digest::Sha3_384 => of::<SimpleHmac<Sha3_384>>(key, message),
        }
    }

    /// Whether `mac` is the HMAC of `message`, found in time that does not depend on how it differs.
    pub(super) fn verify(self, key: &Key, message: &[u8], mac: &[u8]) -> bool {
        fn of<M: Mac + KeyInit>(key: &Key, message: &[u8], mac: &[u8]) -> bool {
            keyed::<M>(key).chain_update(message).verify_slice(mac).is_ok()
        }
        match self {
            Digest::Md5 => of::<Hmac<Md5>>(key, message, mac),
            Digest::Sha256 => of::<Hmac<Sha256>>(key, message, mac),
            Digest::Sha384 => of::<SimpleHmac<Sha384>>(key, message, mac),
            Digest::Sha3_256 => of::<SimpleHmac<Sha3_256>>(key, message, mac),
            Digest::Sha3_384 => of::<SimpleHmac<Sha3_384>>(key, message, mac),
        }
    }
}

fn keyed<M: Mac + KeyInit>(key: &Key) -> M {
    <M as KeyInit>::new_from_slice(key.expose()).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_of_the_published_vectors() {
        // RFC 2202 and RFC 4231, test case 2.
        let key = Key::new(b"Jefe");
        let message = b"what do ya want for nothing?";
        let hex = |digest: Digest| -> String {
            digest.mac(&key, message).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(hex(Digest::Md5), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(
            hex(Digest::Sha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        for digest in Digest::ALL {
            let mut mac = digest.mac(&key, message);
            assert!(digest.verify(&key, message, &mac));
            assert!(!digest.verify(&key, message, &mac[1..]));
            mac[3] ^= 1;
            assert!(!digest.verify(&key, message, &mac));
        }
    }
}
