//! Python's text, which may hold surrogates that no other holds.

use std::borrow::Cow;
use std::fmt;

/// Text as Python has it: any sequence of code points, lone surrogates too.
///
/// It is kept in UTF-8, with surrogates encoded as any other code point, which Python calls
/// `surrogatepass`. Nearly all text is plain UTF-8, and then [`as_str`](Text::as_str) costs nothing.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::Text;
///
/// let text = Text::from("naïve");
/// assert_eq!(text.as_str(), Some("naïve"));
/// let lone = Text::from_code_points([0x61, 0xd800])?;
/// assert_eq!(lone.as_str(), None);
/// assert_eq!(lone.to_string_lossy(), "a\u{fffd}");
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Utf8(String),
    /// UTF-8 with at least one surrogate in it.
    Surrogates(Vec<u8>),
}

impl Text {
    /// Text from UTF-8 that may hold encoded surrogates; `None` if it is no such thing.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Text> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Text(Repr::Utf8(text))),
            Err(error) => {
                let bytes = error.into_bytes();
                is_generalised_utf8(&bytes).then_some(Text(Repr::Surrogates(bytes)))
            }
        }
    }

    /// Text of the given code points, surrogates allowed.
    ///
    /// # Errors
    ///
    /// A number that is no code point.
    pub fn from_code_points(points: impl IntoIterator<Item = u32>) -> Result<Text, super::Error> {
        let mut bytes = Vec::new();
        for point in points {
            push_code_point(&mut bytes, point)
                .ok_or(super::Error::Malformed { at: 0, what: "a code point over U+10FFFF" })?;
        }
        Ok(Text::from_bytes(bytes).expect("encoded code points"))
    }

    /// The text, unless it holds lone surrogates.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::Utf8(text) => Some(text),
            Repr::Surrogates(_) => None,
        }
    }

    /// The text in UTF-8, with surrogates encoded as any other code point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Utf8(text) => text.as_bytes(),
            Repr::Surrogates(bytes) => bytes,
        }
    }

    /// The text with U+FFFD in place of each lone surrogate.
    #[must_use]
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Utf8(text) => Cow::Borrowed(text),
            Repr::Surrogates(_) => self
                .code_points()
                .map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect::<String>()
                .into(),
        }
    }

    /// The code points, surrogates included.
    pub fn code_points(&self) -> impl Iterator<Item = u32> + Clone + '_ {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (point, len) = decode(rest)?;
            rest = &rest[len..];
            Some(point)
        })
    }

    /// The bytes of a text that has no code point over U+00FF.
    pub(crate) fn to_latin1(&self) -> Option<Vec<u8>> {
        if self.as_bytes().is_ascii() {
            return Some(self.as_bytes().to_vec());
        }
        self.code_points().map(|point| u8::try_from(point).ok()).collect()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(Repr::Utf8(text.to_owned()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(Repr::Utf8(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Utf8(text) => text.fmt(f),
            Repr::Surrogates(_) => {
                f.write_str("\"")?;
                for point in self.code_points() {
                    match char::from_u32(point) {
                        Some(c) => write!(f, "{}", c.escape_debug())?,
                        None => write!(f, "\\u{{{point:x}}}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

/// Appends a code point in UTF-8, a surrogate as if it were a character.
pub(crate) fn push_code_point(out: &mut Vec<u8>, point: u32) -> Option<()> {
    match char::from_u32(point) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None if (0xd800..0xe000).contains(&point) => {
            let low = |shift: u32| 0x80 | (point >> shift & 0x3f) as u8;
            out.extend_from_slice(&[0xe0 | (point >> 12) as u8, low(6), low(0)]);
        }
        None => return None,
    }
    Some(())
}

/// The first code point of generalised UTF-8 and how many bytes it takes.
fn decode(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = *bytes.first()?;
    let (len, least) = match first {
        0..=0x7f => return Some((u32::from(first), 1)),
        0xc2..=0xdf => (2, 0x80),
        0xe0..=0xef => (3, 0x800),
        0xf0..=0xf4 => (4, 0x1_0000),
        _ => return None,
    };
    let mut point = u32::from(first) & (0x7f >> len);
    for &byte in bytes.get(1..len)? {
        if byte & 0xc0 != 0x80 {
            return None;
        }
        point = point << 6 | u32::from(byte & 0x3f);
    }
    (least..=0x10_ffff).contains(&point).then_some((point, len))
}

fn is_generalised_utf8(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match decode(bytes) {
            Some((_, len)) => bytes = &bytes[len..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_are_kept_and_pairs_of_them_are_not_joined() {
        for points in [vec![0xd800], vec![0xd83d, 0xde00], vec![0x41, 0xdfff, 0x1_f600, 0xe9]] {
            let text = Text::from_code_points(points.clone()).expect("code points");
            assert_eq!(text.as_str(), None);
            assert_eq!(text.code_points().collect::<Vec<_>>(), points);
            assert_eq!(Text::from_bytes(text.as_bytes().to_vec()), Some(text));
        }
        assert!(Text::from_code_points([0x11_0000]).is_err());
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        for bytes in
            [&b"\xff"[..], b"\xc0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xed\xa0", b"a\x80"]
        {
            assert_eq!(Text::from_bytes(bytes.to_vec()), None, "{bytes:x?}");
        }
    }
}
