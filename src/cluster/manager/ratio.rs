//! Fractions, compared exactly.

use std::cmp::Ordering;

use fourfold_wire::pickle::Long;

use super::decimal::Dec;
use super::number::{BEYOND_INTS, Num};

pub(super) fn ratio(above: i128, below: i128) -> Option<Num<'static>> {
    let (mut a, mut b) = (above.checked_abs()?, below.checked_abs()?);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let (above, below) = match below.signum() {
        1 => (above / a, below / a),
        -1 => (-(above / a), -(below / a)),
        _ => return None,
    };
    Some(if below == 1 { Num::Int(above) } else { Num::Ratio(above, below) })
}

/// `a / b` beside `c / d`, both below the line above zero: by their whole parts, then by the rests turned over.
pub(super) fn ratios(mut a: i128, mut b: i128, mut c: i128, mut d: i128) -> Ordering {
    loop {
        let wholes = a.div_euclid(b).cmp(&c.div_euclid(d));
        let (rest, other) = (a.rem_euclid(b), c.rem_euclid(d));
        if wholes != Ordering::Equal || rest == 0 || other == 0 {
            return wholes.then(rest.signum().cmp(&other.signum()));
        }
        (a, b, c, d) = (d, other, b, rest);
    }
}

pub(super) fn ratio_with_float(above: i128, below: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    match (above < 0, float < 0.0) {
        (false, true) => return Some(Ordering::Greater),
        (true, false) => return Some(Ordering::Less),
        (true, true) => return ratio_with_float(-above, below, -float).map(Ordering::reverse),
        (false, false) if float >= BEYOND_INTS => return Some(Ordering::Less),
        (false, false) => {}
    }
    let wholes = (above / below).cmp(&(float.trunc() as i128));
    // A part of one in binary: exact as long as its digits lie within what is held.
    let scaled = float.fract() * (1u128 << 126) as f64;
    match wholes {
        Ordering::Equal if scaled.fract() == 0.0 => {
            Some(ratios(above % below, below, scaled as i128, 1 << 126))
        }
        Ordering::Equal => {
            (above as f64 / below as f64).partial_cmp(&float).filter(|it| it.is_ne())
        }
        order => Some(order),
    }
}

/// The longest division that is written down, in digits. In lowest terms, a fraction of these sizes that ends at all ends
/// before.
const DIGITS: usize = 256;

/// The digits of a fraction, and whether that is all of it.
fn divided(above: i128, below: i128) -> Option<(Dec, bool)> {
    // With room for the next digit of the rest.
    let below = below.unsigned_abs();
    if below > u128::MAX / 10 {
        return None;
    }
    let whole = above.unsigned_abs() / below;
    let mut rest = above.unsigned_abs() % below;
    let mut text = format!("{}{whole}.", if above < 0 { "-" } else { "" });
    for _ in 0..DIGITS {
        if rest == 0 {
            break;
        }
        rest *= 10;
        text.push(char::from(b'0' + (rest / below) as u8));
        rest %= below;
    }
    Some((Dec::parse(&text)?, rest == 0))
}

/// The number in digits, where it has an end.
pub(super) fn in_digits(above: i128, below: i128) -> Option<Dec> {
    divided(above, below).filter(|(_, is_all)| *is_all).map(|(dec, _)| dec)
}

/// Which is smaller: nothing if the digits that are written down do not tell.
pub(super) fn ratio_with_decimal(above: i128, below: i128, dec: &Dec) -> Option<Ordering> {
    let (digits, is_all) = divided(above, below)?;
    match digits.order(dec) {
        order if is_all => Some(order),
        // What is cut off makes it larger on its side of zero.
        Ordering::Equal if above > 0 => Some(Ordering::Greater),
        Ordering::Equal => Some(Ordering::Less),
        // The two differ within the digits that are there.
        order if dec.digits.len() <= DIGITS / 2 => Some(order),
        _ => None,
    }
}

/// Whether a fraction in lowest terms may have an end in digits, as far as the last of its lower ones tell.
pub(super) fn may_end(below: &Long) -> bool {
    let bytes = below.as_le_bytes();
    let fives = bytes.iter().fold(0u32, |sum, &byte| (sum + u32::from(byte)) % 5);
    bytes.first().is_none_or(|byte| byte % 2 == 0) || fives == 0
}

/// A fraction by the text that older versions write, or one whose parts no `i128` holds.
pub(super) fn wide(above: Long, below: Long) -> Option<Num<'static>> {
    match (above.to_i128(), below.to_i128()) {
        (Some(above), Some(below)) => ratio(above, below),
        _ => Some(Num::Wide(Box::new((above, below)))),
    }
}
