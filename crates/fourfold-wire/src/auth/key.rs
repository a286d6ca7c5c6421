//! The shared key.

use std::fmt;

/// The key that both ends share: `authkey` in Python.
///
/// It is shown nowhere, not by `Debug` either.
///
/// # Examples
///
/// ```
/// use fourfold_wire::auth::Key;
///
/// let key = Key::new(b"a secret");
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// ```
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of any bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Key {
        Key(bytes.into())
    }

    /// The bytes of the key, to hand it on to whoever may know it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
