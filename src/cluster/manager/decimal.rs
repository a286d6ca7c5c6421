//! Numbers in decimal digits, of any size.

use std::cmp::Ordering;

use fourfold_wire::pickle::Long;

/// The longest whole number that is made of one, in digits.
const LONGEST: usize = 2048;

/// A number in decimal digits: `0.DIGITS` times ten to the power of `point`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dec {
    pub(super) negative: bool,
    infinite: bool,
    /// Without zeros at either end; zero has none.
    pub(super) digits: Vec<u8>,
    pub(super) point: i64,
}

impl Dec {
    fn infinite(negative: bool) -> Dec {
        Dec { negative, infinite: true, digits: Vec::new(), point: 0 }
    }

    pub(super) fn is_zero(&self) -> bool {
        !self.infinite && self.digits.is_empty()
    }

    /// As `str` of a `Decimal` has it.
    pub(super) fn parse(text: &str) -> Option<Dec> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if ["inf", "infinity"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Some(Dec::infinite(negative));
        }
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.parse().ok()?),
            None => (text, 0i64),
        };
        let (before, behind) = text.split_once('.').unwrap_or((text, ""));
        let mut digits = [before.as_bytes(), behind.as_bytes()].concat();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = match digits.is_empty() {
            true => 0,
            false => exponent.checked_add(before.len() as i64 - zeros as i64)?,
        };
        Some(Dec { negative: negative && !digits.is_empty(), infinite: false, digits, point })
    }

    pub(super) fn of_float(value: f64) -> Option<Dec> {
        match value.is_finite() {
            // No float has more digits behind the point.
            true => Dec::parse(&format!("{value:.1074}")),
            false if value.is_nan() => None,
            false => Some(Dec::infinite(value < 0.0)),
        }
    }

    /// The nearest float.
    pub(super) fn to_float(&self) -> f64 {
        let size = match std::str::from_utf8(&self.digits) {
            _ if self.infinite => f64::INFINITY,
            Ok(digits) if !digits.is_empty() => {
                format!("0.{digits}e{}", self.point).parse().unwrap_or(f64::NAN)
            }
            _ => 0.0,
        };
        if self.negative { -size } else { size }
    }

    /// The whole number that it is, if it is a short one.
    pub(super) fn to_long(&self) -> Option<Long> {
        let point = usize::try_from(self.point).ok()?;
        if self.infinite || point < self.digits.len() || point > LONGEST {
            return None;
        }
        let mut text = String::from(if self.negative { "-0" } else { "0" });
        text.push_str(std::str::from_utf8(&self.digits).ok()?);
        text.extend(std::iter::repeat_n('0', point - self.digits.len()));
        Long::from_decimal(&text)
    }

    pub(super) fn order(&self, other: &Dec) -> Ordering {
        let signed = |dec: &Dec| match (dec.negative, dec.infinite || !dec.digits.is_empty()) {
            (_, false) => 0,
            (true, true) => -1,
            (false, true) => 1,
        };
        let sides = signed(self).cmp(&signed(other));
        sides.then_with(|| {
            let sizes = (self.infinite, self.point, &self.digits);
            let sizes = sizes.cmp(&(other.infinite, other.point, &other.digits));
            if self.negative { sizes.reverse() } else { sizes }
        })
    }
}
