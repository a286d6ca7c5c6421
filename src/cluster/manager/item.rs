//! Values as Python compares them: what is equal, what comes first, what is the same key.

use std::cmp::Ordering;
use std::sync::Arc;

use fourfold_wire::pickle::{Node, NodeRef, Value};

use super::compare::Compare;
use super::number::Num;
use crate::words::{Effort, Element, Unordered};

/// A value that somebody put into a word.
#[derive(Clone, Debug)]
pub(super) struct Item(pub(super) Arc<Value>);

impl Item {
    pub(super) fn new(value: Value) -> Item {
        Item(Arc::new(value))
    }

    pub(super) fn none() -> Item {
        Item::new(Value::none())
    }

    pub(super) fn root(&self) -> NodeRef<'_> {
        self.0.root()
    }

    /// The value, copied only if somebody else has it too.
    pub(super) fn into_value(self) -> Value {
        Arc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }
}

impl Element for Item {
    fn is_equal(&self, other: &Item, effort: &mut Effort) -> Option<bool> {
        if Arc::ptr_eq(&self.0, &other.0) {
            effort.spend(1)?;
            return Some(true);
        }
        Compare::new(effort).equal(self.root(), other.root())
    }

    fn order(&self, other: &Item, effort: &mut Effort) -> Result<Ordering, Unordered> {
        Compare::new(effort).order(self.root(), other.root())
    }
}

/// How deep values are compared.
pub(super) const DEPTH: usize = 200;

/// What of a value can be compared with others of its kind.
pub(super) enum Kind<'a> {
    Num(Num<'a>),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Other,
}

pub(super) fn kind(node: NodeRef<'_>) -> Kind<'_> {
    if let Some(num) = Num::of(node) {
        return Kind::Num(num);
    }
    match node.node() {
        Node::Str(text) | Node::Unicode(text) => Kind::Text(text.as_bytes()),
        // A `str` of Python 2 is text to Python 3 where it is ASCII, and bytes otherwise.
        Node::ByteStr(bytes) if bytes.is_ascii() => Kind::Text(bytes),
        Node::ByteStr(bytes) | Node::Bytes(bytes) | Node::ByteArray(bytes) => Kind::Bytes(bytes),
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::hashed::{NoKey, key_of};
    use super::*;

    fn equal(a: &Item, b: &Item) -> Option<bool> {
        a.is_equal(b, &mut Effort::over(1))
    }

    fn order(a: &Item, b: &Item) -> Result<Ordering, Unordered> {
        a.order(b, &mut Effort::over(1))
    }

    fn item(pickle: &[u8]) -> Item {
        Item::new(Value::read(pickle).expect("a pickle"))
    }

    #[test]
    fn numbers_are_equal_across_types_and_text_across_pythons() {
        let one = [
            item(b"K\x01."),
            item(b"\x88."),
            item(b"G\x3f\xf0\0\0\0\0\0\0."),
            item(b"\x8a\x01\x01."),
        ];
        for a in &one {
            for b in &one {
                assert_eq!(equal(a, b), Some(true));
                assert_eq!(key_of(a), key_of(b));
            }
        }
        let (old, new) = (item(b"U\x02ab."), item(b"\x80\x04\x8c\x02ab."));
        assert!(equal(&old, &new) == Some(true) && key_of(&old) == key_of(&new));
        assert_eq!(equal(&new, &item(b"\x80\x04C\x02ab.")), Some(false));
        assert_eq!(key_of(&item(b"].")), Err(NoKey::Unhashable("list")));
    }

    #[test]
    fn order_is_python_s() {
        let tuple = |n: i32, text: &str| Item::new(Value::tuple([n.into(), text.into()]));
        assert_eq!(order(&tuple(20, "a"), &tuple(20, "b")), Ok(Ordering::Less));
        assert_eq!(order(&tuple(-1, "z"), &tuple(0, "a")), Ok(Ordering::Less));
        assert_eq!(order(&tuple(1, "a"), &Item::new(Value::from(1))), Err(Unordered::NoOrder));
        let item = |value: Value| Item::new(value);
        assert_eq!(order(&item(1.into()), &item(1.5.into())), Ok(Ordering::Less));
        assert_eq!(order(&item((-1).into()), &item((-1.5).into())), Ok(Ordering::Greater));
        assert_eq!(order(&item(1.into()), &item(f64::NAN.into())), Ok(Ordering::Equal));
        assert_eq!(order(&item(i64::MAX.into()), &item(9.3e18.into())), Ok(Ordering::Less));
    }

    #[test]
    fn keys_of_several_parts_are_not_those_of_others() {
        // Where the first part of a fraction were written without what it is, it could be read as a number and a text.
        let bytes = |parts: &[&[u8]]| parts.concat();
        let (above, below) = (b"i\x10\0\0\0\0\0\0\0xxxxxxx", b"t\x08\0\0\0\0\0\0\0xxxxxxx");
        let fraction = item(&bytes(&[
            b"\x80\x04cfractions\nFraction\n\x8a\x10",
            above,
            b"\x8a\x10",
            below,
            b"\x86RN\x86.",
        ]));
        let number = b"xxxxxxxq\x10\0\0\0\0\0\0\0";
        let other = item(&bytes(&[b"\x80\x04\x8a\x10", number, b"\x8c\x08xxxxxxxn\x86."]));
        let fraction_kind = kind(fraction.root().item(0).expect("the first"));
        assert!(matches!(fraction_kind, Kind::Num(Num::Ratio(..))), "in lowest terms as it is");
        assert_eq!(equal(&fraction, &other), Some(false));
        assert!(key_of(&fraction).is_ok() && key_of(&other).is_ok());
        assert_ne!(key_of(&fraction), key_of(&other));
    }

    #[test]
    fn time_zones_that_lie_too_deep_are_no_other_time_zones() {
        let at = |zone: &[u8]| {
            let day: &[u8] = b"\x80\x04cdatetime\ndatetime\nC\x0a\x07\xd0\x01\x01\0\0\0\0\0\0";
            item(&[day, zone, b"\x86R."].concat())
        };
        let cyclic = || at(b"]q\x00h\x00a");
        assert_eq!(equal(&cyclic(), &cyclic()), None);
        assert_eq!(order(&cyclic(), &cyclic()), Err(Unordered::TooLarge));
        assert_eq!(order(&at(b"]"), &at(b"]")), Ok(Ordering::Equal));
        assert_eq!(order(&at(b"]"), &at(b")")), Err(Unordered::NoOrder));
    }

    #[test]
    fn what_is_nested_or_shared_without_end_is_compared_in_bounded_time() {
        let mut bytes = b"\x80\x04]\x94".to_vec();
        for level in 0..40u8 {
            bytes.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', 0x94]);
        }
        bytes.push(b'.');
        let (a, b) = (item(&bytes), item(&bytes));
        assert!(equal(&a, &b) == Some(true) && equal(&a, &a.clone()) == Some(true));
        let cyclic = || item(b"]q\x00h\x00a.");
        assert_eq!(equal(&cyclic(), &cyclic()), None);
        assert_eq!(order(&cyclic(), &cyclic()), Err(Unordered::TooLarge));
    }
}
