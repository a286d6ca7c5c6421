//! Numbers as Python compares them: equal across their types, exactly.

use std::cmp::Ordering;

use fourfold_wire::pickle::{Long, Made, Node, NodeRef};

use super::decimal::Dec;
use super::ratio::{in_digits, may_end, ratio_with_decimal, ratio_with_float, ratios, wide};
use crate::words::Unordered;

/// A number of Python.
#[derive(Clone, Debug)]
pub(super) enum Num<'a> {
    Int(i128),
    /// What an `i128` does not hold.
    Long(&'a Long),
    Float(f64),
    Decimal(Dec),
    /// A decimal that says that it is none.
    NotANumber,
    /// In lowest terms, the second above one.
    Ratio(i128, i128),
    /// As that, where no `i128` holds one of them.
    Wide(Box<(Long, Long)>),
    /// Its real part, and the other.
    Complex(f64, f64),
}

/// The longest number, in bytes, that is written in digits to compare it with one that is.
const DIGITS: usize = 1024;
/// The first whole number above zero that no `i128` holds.
pub(super) const BEYOND_INTS: f64 = (1u128 << 127) as f64;
/// No float is as long as this, in bytes.
const BEYOND_FLOATS: usize = 130;

/// The arguments of a plain call, if they are few.
pub(super) fn call_of<'a>(node: NodeRef<'a>) -> Option<Vec<NodeRef<'a>>> {
    let object = node.as_object()?;
    match object.made {
        Made::Reduce { .. } if object.steps.is_empty() => {
            node.made_with().filter(|args| args.len() <= 3).map(Iterator::collect)
        }
        _ => None,
    }
}

fn whole(node: NodeRef<'_>) -> Option<Long> {
    match node.node() {
        Node::Int(value) => Some((*value).into()),
        Node::Long(long) => Some(long.clone()),
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
        let (module, name) = match node.class()?.python3() {
            ("_decimal", name) => ("decimal", name),
            class @ ("decimal" | "fractions" | "builtins", _) => class,
            _ => return None,
        };
        let args = call_of(node)?;
        match (module, name, &args[..]) {
            ("decimal", "Decimal", [text]) => match text.as_str()? {
                text if text.to_ascii_lowercase().contains("nan") => Some(Num::NotANumber),
                text => Dec::parse(text).map(Num::Decimal),
            },
            ("fractions", "Fraction", [above, below]) => wide(whole(*above)?, whole(*below)?),
            ("fractions", "Fraction", [text]) => {
                let text = text.as_str().filter(|text| text.len() <= DIGITS)?;
                let (above, below) = text.split_once('/').unwrap_or((text, "1"));
                wide(Long::from_decimal(above)?, Long::from_decimal(below)?)
            }
            ("builtins", "complex", [real, imaginary]) => {
                Some(Num::Complex(real.as_f64()?, imaginary.as_f64()?))
            }
            _ => None,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Num::Int(value) => *value == 0,
            Num::Float(value) => *value == 0.0,
            Num::Decimal(dec) => dec.is_zero(),
            Num::Complex(real, imaginary) => *real == 0.0 && *imaginary == 0.0,
            Num::Long(_) | Num::NotANumber | Num::Ratio(..) | Num::Wide(_) => false,
        }
    }

    /// How many steps it takes to compare it, or to write it.
    pub(super) fn cost(&self) -> usize {
        match self {
            Num::Int(_) | Num::Float(_) | Num::Complex(..) | Num::NotANumber => 0,
            Num::Long(long) => long.as_le_bytes().len().min(DIGITS),
            Num::Decimal(dec) => 8 + dec.digits.len() / 16,
            Num::Ratio(..) => 8,
            Num::Wide(parts) => (parts.0.as_le_bytes().len() + parts.1.as_le_bytes().len()) / 16,
        }
    }

    /// Whether both are the same number. Nothing is known only of very large ones.
    pub(super) fn equal(&self, other: &Num<'_>) -> Option<bool> {
        use Num::{Complex, Float, Int, Long, NotANumber, Ratio, Wide};
        match (self, other) {
            (NotANumber, _) | (_, NotANumber) => Some(false),
            (Complex(a, b), Complex(c, d)) => Some(a == c && b == d),
            (Complex(real, imaginary), other) | (other, Complex(real, imaginary)) => {
                match *imaginary == 0.0 {
                    true => Float(*real).equal(other),
                    false => Some(false),
                }
            }
            (Wide(a), Wide(b)) => Some(a == b),
            // In lowest terms, those have other parts.
            (Wide(_), Int(_) | Long(_) | Ratio(..)) | (Int(_) | Long(_) | Ratio(..), Wide(_)) => {
                Some(false)
            }
            (Wide(a), _) | (_, Wide(a)) if !may_end(&a.1) => Some(false),
            (Float(a), _) | (_, Float(a)) if a.is_nan() => Some(false),
            _ => self.order(other).ok().map(|order| order == Ordering::Equal),
        }
    }

    /// Which is smaller. Nothing is smaller or larger than a float that is not a number: to Python that is no error.
    pub(super) fn order(&self, other: &Num<'_>) -> Result<Ordering, Unordered> {
        use Num::{Complex, Decimal, Float, Int, Long, NotANumber, Ratio, Wide};
        let order = match (self, other) {
            // With a decimal that is none, it is an error.
            (NotANumber | Complex(..), _) | (_, NotANumber | Complex(..)) => {
                return Err(Unordered::NoOrder);
            }
            (Decimal(_), Float(a)) | (Float(a), Decimal(_)) if a.is_nan() => {
                return Err(Unordered::NoOrder);
            }
            (Float(a), _) | (_, Float(a)) if a.is_nan() => return Ok(Ordering::Equal),
            (Wide(a), Wide(b)) if a == b => Some(Ordering::Equal),
            (Wide(_), _) | (_, Wide(_)) => None,
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
            (Ratio(a, b), Decimal(c)) => ratio_with_decimal(*a, *b, c),
            (Decimal(a), Ratio(b, c)) => ratio_with_decimal(*b, *c, a).map(Ordering::reverse),
            (Decimal(_), _) | (_, Decimal(_)) => {
                let (a, b) = (self.digits(), other.digits());
                a.zip(b).map(|(a, b)| a.order(&b))
            }
        };
        order.ok_or(Unordered::TooLarge)
    }

    fn digits(&self) -> Option<Dec> {
        match self {
            Num::Int(value) => Dec::parse(&value.to_string()),
            Num::Long(long) if long.as_le_bytes().len() <= DIGITS => Dec::parse(&long.to_string()),
            Num::Float(value) => Dec::of_float(*value),
            Num::Decimal(dec) => Some(dec.clone()),
            Num::Ratio(above, below) => in_digits(*above, *below),
            Num::Long(_) | Num::Wide(_) | Num::Complex(..) | Num::NotANumber => None,
        }
    }

    /// Writes bytes that are the same for equal numbers, and only for those. Nothing: it is too large to tell.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Num::Int(value) => counted(b'i', &value.to_le_bytes(), out),
            Num::Float(value) => {
                let whole = *value as i128;
                match int_with_float(whole, *value) {
                    Some(Ordering::Equal) => counted(b'i', &whole.to_le_bytes(), out),
                    _ => counted(b'f', &value.to_bits().to_le_bytes(), out),
                }
            }
            Num::Complex(real, imaginary) => {
                Num::Float(*real).write_key(out)?;
                if *imaginary != 0.0 {
                    counted(b'c', &imaginary.to_bits().to_le_bytes(), out);
                }
            }
            Num::NotANumber => Num::Float(f64::NAN).write_key(out)?,
            Num::Long(long) => match self.as_float(long.as_le_bytes().len() <= BEYOND_FLOATS) {
                Some(float) => counted(b'f', &float.to_bits().to_le_bytes(), out),
                None => counted(b'l', long.as_le_bytes(), out),
            },
            Num::Decimal(dec) => match (dec.to_long(), self.as_float(true)) {
                (Some(long), float) => match (long.to_i128(), float) {
                    (Some(value), _) => Num::Int(value).write_key(out)?,
                    (None, Some(float)) => Num::Float(float).write_key(out)?,
                    (None, None) => counted(b'l', long.as_le_bytes(), out),
                },
                (None, Some(float)) => Num::Float(float).write_key(out)?,
                (None, None) => {
                    out.extend_from_slice(&[b'D', u8::from(dec.negative)]);
                    out.extend_from_slice(&dec.point.to_le_bytes());
                    counted(b'd', &dec.digits, out);
                }
            },
            Num::Ratio(above, below) => match in_digits(*above, *below) {
                Some(dec) => Num::Decimal(dec).write_key(out)?,
                None => {
                    counted(b'q', &above.to_le_bytes(), out);
                    counted(b'q', &below.to_le_bytes(), out);
                }
            },
            Num::Wide(parts) if may_end(&parts.1) => return None,
            Num::Wide(parts) => {
                counted(b'Q', parts.0.as_le_bytes(), out);
                counted(b'Q', parts.1.as_le_bytes(), out);
            }
        }
        Some(())
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

#[cfg(test)]
mod tests {
    use super::super::ratio::ratio;
    use super::*;
    use fourfold_wire::pickle::Value;

    fn dec(text: &str) -> Num<'static> {
        Num::Decimal(Dec::parse(text).expect("a number"))
    }

    fn key(num: &Num<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        num.write_key(&mut out).expect("it is small");
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
            vec![dec("0.1"), ratio(1, 10).expect("a ratio")],
            vec![Num::Float(0.1)],
            vec![dec("0.33333")],
            vec![ratio(1, 3).expect("a ratio")],
            vec![dec("0.33334")],
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
                    assert_eq!(a.order(b), Ok(at.cmp(&other_at)), "{a:?} and {b:?}");
                    assert_eq!(a.equal(b), Some(at == other_at), "{a:?} and {b:?}");
                    assert_eq!(key(a) == key(b), at == other_at, "{a:?} and {b:?}");
                }
            }
        }
        assert_eq!(Num::Float(f64::NAN).order(&dec("1")), Err(Unordered::NoOrder));
        assert_eq!(Num::NotANumber.order(&Num::Int(1)), Err(Unordered::NoOrder));
        assert_eq!(Num::Float(f64::NAN).order(&half()), Ok(Ordering::Equal));
        assert_eq!(Num::Complex(1.0, 0.0).order(&Num::Int(2)), Err(Unordered::NoOrder));
        assert_eq!(Num::Complex(0.5, 0.0).equal(&half()), Some(true));
        assert_eq!(Num::Complex(0.5, 1.0).equal(&half()), Some(false));
        assert_eq!(key(&Num::Complex(0.5, 0.0)), key(&half()));
        let vast = |below: &str| {
            let above = Long::from_decimal(&format!("1{}", "0".repeat(60))).expect("digits");
            wide(above, Long::from_decimal(below).expect("digits")).expect("a ratio")
        };
        assert_eq!(vast("3").equal(&vast("3")), Some(true));
        assert_eq!(vast("3").equal(&dec("1E+59")), Some(false));
        assert_eq!(vast("3").order(&Num::Int(1)), Err(Unordered::TooLarge));
        assert_eq!(ratios(1, 3, 2, 6), Ordering::Equal);
        assert_eq!(ratios(-1, 3, -1, 2), Ordering::Greater);
    }
}
