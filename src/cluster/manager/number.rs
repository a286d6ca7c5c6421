//! Numbers as Python compares them: equal across their types, exactly.

use std::cmp::Ordering;

use fourfold_wire::pickle::{Long, Made, Node, NodeRef};

use super::decimal::Dec;

/// A number of Python.
#[derive(Clone, Debug)]
pub(super) enum Num<'a> {
    Int(i128),
    /// What an `i128` does not hold.
    Long(&'a Long),
    Float(f64),
    Decimal(Dec),
    /// In lowest terms, the second above one.
    Ratio(i128, i128),
}

/// The longest number, in bytes, that is written in digits to compare it with one that is.
const DIGITS: usize = 1024;
/// The first whole number above zero that no `i128` holds.
const BEYOND_INTS: f64 = (1u128 << 127) as f64;
/// No float is as long as this, in bytes.
const BEYOND_FLOATS: usize = 130;

/// The arguments of a call of `module.name`.
pub(super) fn call_of<'a>(node: NodeRef<'a>, module: &str, name: &str) -> Option<Vec<NodeRef<'a>>> {
    let object = node.as_object()?;
    if node.class()?.python3() != (module, name) || !object.steps.is_empty() {
        return None;
    }
    match object.made {
        Made::Reduce { .. } => {
            node.made_with().filter(|args| args.len() <= 3).map(Iterator::collect)
        }
        _ => None,
    }
}

fn whole(node: NodeRef<'_>) -> Option<i128> {
    match node.node() {
        Node::Int(value) => Some((*value).into()),
        Node::Long(long) => long.to_i128(),
        _ => None,
    }
}

impl<'a> Num<'a> {
    pub(super) fn of(node: NodeRef<'a>) -> Option<Num<'a>> {
        Some(match node.node() {
            Node::Bool(value) => Num::Int((*value).into()),
            Node::Int(value) => Num::Int((*value).into()),
            Node::Long(long) => long.to_i128().map_or(Num::Long(long), Num::Int),
            Node::Float(value) => Num::Float(*value),
            Node::Object(_) => return Num::of_object(node),
            _ => return None,
        })
    }

    fn of_object(node: NodeRef<'a>) -> Option<Num<'a>> {
        let (module, name) = node.class()?.python3();
        let args = call_of(node, module, name)?;
        match (module, name, &args[..]) {
            ("decimal" | "_decimal", "Decimal", [text]) => match text.as_str()? {
                text if text.to_ascii_lowercase().contains("nan") => Some(Num::Float(f64::NAN)),
                text => Dec::parse(text).map(Num::Decimal),
            },
            ("fractions", "Fraction", [above, below]) => ratio(whole(*above)?, whole(*below)?),
            ("fractions", "Fraction", [text]) => {
                let text = text.as_str()?;
                let (above, below) = text.split_once('/').unwrap_or((text, "1"));
                ratio(above.parse().ok()?, below.parse().ok()?)
            }
            ("builtins", "complex", [real, imaginary]) if imaginary.as_f64() == Some(0.0) => {
                Some(Num::Float(real.as_f64()?))
            }
            _ => None,
        }
    }

    /// Which is smaller. Nothing is smaller or larger than what is not a number.
    pub(super) fn order(&self, other: &Num<'_>) -> Option<Ordering> {
        use Num::{Decimal, Float, Int, Long, Ratio};
        match (self, other) {
            (Int(a), Int(b)) => Some(a.cmp(b)),
            (Float(a), Float(b)) => a.partial_cmp(b),
            (Int(a), Float(b)) => int_with_float(*a, *b),
            (Float(a), Int(b)) => int_with_float(*b, *a).map(Ordering::reverse),
            (Long(a), Long(b)) => Some(longs(a, b)),
            (Long(a), Int(_) | Ratio(..)) => Some(sign(a)),
            (Int(_) | Ratio(..), Long(b)) => Some(sign(b).reverse()),
            (Long(a), Float(b)) => long_with_float(a, *b),
            (Float(a), Long(b)) => long_with_float(b, *a).map(Ordering::reverse),
            (Ratio(a, b), Ratio(c, d)) => Some(ratios(*a, *b, *c, *d)),
            (Ratio(a, b), Int(c)) => Some(ratios(*a, *b, *c, 1)),
            (Int(a), Ratio(b, c)) => Some(ratios(*a, 1, *b, *c)),
            (Ratio(a, b), Float(c)) => ratio_with_float(*a, *b, *c),
            (Float(a), Ratio(b, c)) => ratio_with_float(*b, *c, *a).map(Ordering::reverse),
            // Python orders none of these.
            (Ratio(..), Decimal(_)) | (Decimal(_), Ratio(..)) => None,
            (Decimal(_), _) | (_, Decimal(_)) => Some(self.digits()?.order(&other.digits()?)),
        }
    }

    fn digits(&self) -> Option<Dec> {
        match self {
            Num::Int(value) => Dec::parse(&value.to_string()),
            Num::Long(long) if long.as_le_bytes().len() <= DIGITS => Dec::parse(&long.to_string()),
            Num::Float(value) => Dec::of_float(*value),
            Num::Decimal(dec) => Some(dec.clone()),
            Num::Long(_) | Num::Ratio(..) => None,
        }
    }

    /// Writes bytes that are the same for equal numbers, and only for those.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Num::Int(value) => counted(b'i', &value.to_le_bytes(), out),
            Num::Float(value) => {
                let whole = *value as i128;
                match int_with_float(whole, *value) {
                    Some(Ordering::Equal) => counted(b'i', &whole.to_le_bytes(), out),
                    _ => counted(b'f', &value.to_bits().to_le_bytes(), out),
                }
            }
            Num::Long(long) => match self.as_float(long.as_le_bytes().len() <= BEYOND_FLOATS) {
                Some(float) => counted(b'f', &float.to_bits().to_le_bytes(), out),
                None => counted(b'l', long.as_le_bytes(), out),
            },
            Num::Decimal(dec) => match (dec.to_long(), self.as_float(true)) {
                (Some(long), float) => match (long.to_i128(), float) {
                    (Some(value), _) => Num::Int(value).write_key(out),
                    (None, Some(float)) => Num::Float(float).write_key(out),
                    (None, None) => counted(b'l', long.as_le_bytes(), out),
                },
                (None, Some(float)) => Num::Float(float).write_key(out),
                (None, None) => {
                    out.push(u8::from(dec.negative));
                    out.extend_from_slice(&dec.point.to_le_bytes());
                    counted(b'D', &dec.digits, out);
                }
            },
            // In lowest terms, such a one is a float if its digits fit, and none other is.
            Num::Ratio(above, below)
                if below.count_ones() == 1 && above.unsigned_abs() < 1 << 53 =>
            {
                Num::Float(*above as f64 / *below as f64).write_key(out);
            }
            Num::Ratio(above, below) => {
                out.extend_from_slice(&above.to_le_bytes());
                counted(b'q', &below.to_le_bytes(), out);
            }
        }
    }

    /// The float that is exactly this number, if there is one.
    fn as_float(&self, is_small: bool) -> Option<f64> {
        let dec = if is_small { self.digits()? } else { return None };
        let float = dec.to_float();
        (Dec::of_float(float)?.order(&dec) == Ordering::Equal).then_some(float)
    }
}

pub(super) fn counted(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn int_with_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let whole = float.trunc();
    if whole >= BEYOND_INTS {
        return Some(Ordering::Less);
    }
    if whole < -BEYOND_INTS {
        return Some(Ordering::Greater);
    }
    Some(int.cmp(&(whole as i128)).then_with(|| {
        let rest = float - whole;
        0.0.partial_cmp(&rest).unwrap_or(Ordering::Equal)
    }))
}

/// What a number that no `i128` holds is beside one that it does.
fn sign(long: &Long) -> Ordering {
    if long.is_negative() { Ordering::Less } else { Ordering::Greater }
}

fn longs(a: &Long, b: &Long) -> Ordering {
    let sides = b.is_negative().cmp(&a.is_negative());
    sides.then_with(|| {
        let (a_bytes, b_bytes) = (a.as_le_bytes(), b.as_le_bytes());
        let lengths = a_bytes.len().cmp(&b_bytes.len());
        let lengths = if a.is_negative() { lengths.reverse() } else { lengths };
        // In two's complement of one length, the larger bytes are the larger number on either side of zero.
        lengths.then_with(|| a_bytes.iter().rev().cmp(b_bytes.iter().rev()))
    })
}

fn ratio(above: i128, below: i128) -> Option<Num<'static>> {
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
fn ratios(mut a: i128, mut b: i128, mut c: i128, mut d: i128) -> Ordering {
    loop {
        let wholes = a.div_euclid(b).cmp(&c.div_euclid(d));
        let (rest, other) = (a.rem_euclid(b), c.rem_euclid(d));
        if wholes != Ordering::Equal || rest == 0 || other == 0 {
            return wholes.then(rest.signum().cmp(&other.signum()));
        }
        (a, b, c, d) = (d, other, b, rest);
    }
}

fn long_with_float(long: &Long, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return 0.0.partial_cmp(&float);
    }
    if long.as_le_bytes().len() > BEYOND_FLOATS {
        return Some(sign(long));
    }
    Some(Dec::parse(&long.to_string())?.order(&Dec::of_float(float)?))
}

fn ratio_with_float(above: i128, below: i128, float: f64) -> Option<Ordering> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use fourfold_wire::pickle::Value;

    fn dec(text: &str) -> Num<'static> {
        Num::Decimal(Dec::parse(text).expect("a number"))
    }

    fn key(num: &Num<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        num.write_key(&mut out);
        out
    }

    #[test]
    fn numbers_are_equal_and_ordered_across_their_types() {
        let long = |text: &str| {
            let mut builder = fourfold_wire::pickle::Builder::new();
            let root = builder.long(Long::from_decimal(text).expect("digits"));
            builder.finish(root)
        };
        let big = long(&format!("1{}", "0".repeat(50)));
        let two200 = long("1606938044258990275541962092341162602522202993782792835301376");
        let num = |value: &'static Value| Num::of(value.root()).expect("a number");
        let (big, two200) = (Box::leak(Box::new(big)), Box::leak(Box::new(two200)));
        let half = || ratio(2, 4).expect("a ratio");
        // In order, and those in a row equal.
        let rows = [
            vec![dec("-Infinity"), Num::Float(f64::NEG_INFINITY)],
            vec![dec("-1.5"), Num::Float(-1.5), ratio(-3, 2).expect("a ratio")],
            vec![dec("-0.00"), Num::Int(0), Num::Float(-0.0)],
            vec![dec("1E-400")],
            vec![dec("0.1")],
            vec![Num::Float(0.1)],
            vec![half(), dec("0.500"), Num::Float(0.5)],
            vec![dec("1.0"), dec("1.00"), Num::Int(1), Num::Float(1.0)],
            vec![Num::Int(i128::MAX)],
            vec![dec("1E+50"), num(big)],
            vec![num(two200), Num::Float(2f64.powi(200))],
            vec![dec("Infinity"), Num::Float(f64::INFINITY)],
        ];
        for (at, row) in rows.iter().enumerate() {
            for (other_at, other) in rows.iter().enumerate() {
                for (a, b) in row.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    let ratio = |num: &Num<'_>| matches!(num, Num::Ratio(..));
                    let decimal = |num: &Num<'_>| matches!(num, Num::Decimal(_));
                    if !(ratio(a) && decimal(b) || decimal(a) && ratio(b)) {
                        assert_eq!(a.order(b), Some(at.cmp(&other_at)), "{a:?} and {b:?}");
                    }
                    assert_eq!(key(a) == key(b), at == other_at, "{a:?} and {b:?}");
                }
            }
        }
        assert_eq!(Num::Float(f64::NAN).order(&dec("1")), None);
        assert_eq!(ratios(1, 3, 2, 6), Ordering::Equal);
        assert_eq!(ratios(-1, 3, -1, 2), Ordering::Greater);
    }
}
