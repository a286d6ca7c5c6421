//! Whole numbers of any size.

use std::fmt;

/// A whole number of any size: Python 2's `long`, and Python 3's `int` beyond 32 bits.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::Long;
///
/// let big = Long::from_decimal("-170141183460469231731687303715884105729").expect("a number");
/// assert_eq!(big.to_i128(), None);
/// assert_eq!(big.to_string(), "-170141183460469231731687303715884105729");
/// assert_eq!(Long::from(255).to_i64(), Some(255));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Long {
    /// Two's complement, the low byte first, no byte more than needed; zero has none.
    bytes: Box<[u8]>,
}

impl Long {
    /// A number from its two's complement, the low byte first. No bytes at all are zero.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Long {
        let mut len = bytes.len();
        while let Some(&last) = bytes[..len].last() {
            let next_is_negative = len > 1 && bytes[len - 2] & 0x80 != 0;
            match last {
                0 if !next_is_negative => len -= 1,
                0xff if next_is_negative => len -= 1,
                _ => break,
            }
        }
        Long { bytes: bytes[..len].into() }
    }

    /// The two's complement, the low byte first, no byte more than needed; zero has none.
    #[must_use]
    pub fn as_le_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A number from decimal digits with an optional sign. It takes time with the square of their number.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Long> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] | digits => (false, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut limbs: Vec<u32> = Vec::with_capacity(digits.len() / 9 + 1);
        let mut rest = digits;
        while !rest.is_empty() {
            // The first chunk takes what does not divide by nine, so that all others are full.
            let take = if rest.len() % 9 == 0 { 9 } else { rest.len() % 9 };
            let (chunk, tail) = rest.split_at(take);
            rest = tail;
            let chunk = chunk.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            let mut carry = chunk;
            for limb in &mut limbs {
                let product = u64::from(*limb) * 1_000_000_000 + carry;
                *limb = product as u32;
                carry = product >> 32;
            }
            if carry > 0 {
                limbs.push(carry as u32);
            }
        }
        let mut bytes: Vec<u8> = limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        bytes.push(0);
        if negative {
            negate(&mut bytes);
        }
        Some(Long::from_le_bytes(&bytes))
    }

    /// Whether the number is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.bytes.last().is_some_and(|last| last & 0x80 != 0)
    }

    /// The number, if it fits.
    #[must_use]
    pub fn to_i128(&self) -> Option<i128> {
        let fill = if self.is_negative() { 0xff } else { 0 };
        let mut wide = [fill; 16];
        wide.get_mut(..self.bytes.len())?.copy_from_slice(&self.bytes);
        Some(i128::from_le_bytes(wide))
    }

    /// The number, if it fits.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        self.to_i128()?.try_into().ok()
    }

    /// The number, if it fits.
    #[must_use]
    pub fn to_u128(&self) -> Option<u128> {
        let mut wide = [0; 17];
        wide.get_mut(..self.bytes.len())?.copy_from_slice(&self.bytes);
        if self.is_negative() || wide[16] != 0 {
            return None;
        }
        Some(u128::from_le_bytes(*wide.first_chunk().expect("17 bytes")))
    }
}

/// Turns a two's complement into that of the opposite number.
fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
}

impl From<i32> for Long {
    fn from(number: i32) -> Self {
        Long::from_le_bytes(&number.to_le_bytes())
    }
}

impl From<i64> for Long {
    fn from(number: i64) -> Self {
        Long::from_le_bytes(&number.to_le_bytes())
    }
}

impl From<i128> for Long {
    fn from(number: i128) -> Self {
        Long::from_le_bytes(&number.to_le_bytes())
    }
}

impl From<u128> for Long {
    fn from(number: u128) -> Self {
        let mut bytes = [0; 17];
        bytes[..16].copy_from_slice(&number.to_le_bytes());
        Long::from_le_bytes(&bytes)
    }
}

/// Numbers of more bytes than this are shown in hexadecimal: decimal takes quadratic time.
const SHOWN_IN_DECIMAL: usize = 4096;

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(small) = self.to_i128() {
            return small.fmt(f);
        }
        let mut bytes = self.bytes.to_vec();
        if self.is_negative() {
            // One byte more, for the most negative number of its size.
            bytes.push(0xff);
            negate(&mut bytes);
        }
        if bytes.len() > SHOWN_IN_DECIMAL {
            let hex: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            let sign = if self.is_negative() { "-" } else { "" };
            return write!(f, "{sign}0x{}", hex.trim_start_matches('0'));
        }
        let mut limbs: Vec<u32> = bytes
            .chunks(4)
            .map(|chunk| chunk.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
            .collect();
        let mut chunks = Vec::new();
        while limbs.last().is_some() {
            let mut rest = 0;
            for limb in limbs.iter_mut().rev() {
                let part = rest << 32 | u64::from(*limb);
                *limb = (part / 1_000_000_000) as u32;
                rest = part % 1_000_000_000;
            }
            chunks.push(rest);
            while limbs.last() == Some(&0) {
                limbs.pop();
            }
        }
        let text: String = chunks.iter().rev().map(|chunk| format!("{chunk:09}")).collect();
        f.pad_integral(!self.is_negative(), "", text.trim_start_matches('0'))
    }
}

impl fmt::Debug for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        for (bytes, number) in [
            (&b""[..], 0),
            (b"\0", 0),
            (b"\0\0", 0),
            (b"\xff", -1),
            (b"\xff\xff\xff", -1),
            (b"\x80", -128),
            (b"\x80\0", 128),
            (b"\x80\xff", -128),
            (b"\x7f\xff", -129),
            (b"\0\x80", -32768),
        ] {
            assert_eq!(Long::from_le_bytes(bytes).to_i128(), Some(number), "{bytes:x?}");
            assert_eq!(Long::from_le_bytes(bytes), Long::from(number));
        }
        assert_eq!(Long::from(u128::MAX).to_u128(), Some(u128::MAX));
        assert_eq!(Long::from(u128::MAX).to_i128(), None);
        assert_eq!(Long::from(-1i64).to_u128(), None);
        for text in ["", "-", "+", "1_0", "0x1", " 1", "1-"] {
            assert_eq!(Long::from_decimal(text), None, "{text}");
        }
        let huge = Long::from_le_bytes(&[1; SHOWN_IN_DECIMAL + 1]).to_string();
        assert!(huge.starts_with("0x10101"), "{}", &huge[..20]);
    }

    proptest! {
        #[test]
        fn decimal_and_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let long = Long::from_le_bytes(&bytes);
            prop_assert_eq!(Long::from_decimal(&long.to_string()), Some(long));
        }

        #[test]
        fn as_the_standard_library_says(number: i128) {
            let long = Long::from(number);
            prop_assert_eq!(long.to_i128(), Some(number));
            prop_assert_eq!(long.to_u128(), u128::try_from(number).ok());
            prop_assert_eq!(long.to_i64(), i64::try_from(number).ok());
            prop_assert_eq!(long.to_string(), number.to_string());
            prop_assert_eq!(Long::from_decimal(&number.to_string()), Some(long));
        }
    }
}
