//! Values as Python compares them: what is equal, what comes first, what is the same key.

use std::cmp::Ordering;
use std::sync::Arc;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::{Made, Node, NodeRef, Step, Value};

use crate::words::Element;

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
    fn is_equal(&self, other: &Item) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || Compare::new().equal(self.root(), other.root(), DEPTH)
    }

    fn order(&self, other: &Item) -> Option<Ordering> {
        Compare::new().order(self.root(), other.root(), DEPTH)
    }
}

/// How deep values are compared. What lies deeper is not equal and has no order.
const DEPTH: usize = 200;
/// How many parts are compared: a value may share a part a billion times over.
const STEPS: usize = 1 << 20;

struct Compare {
    left: usize,
}

/// Numbers of Python are equal across their types.
#[derive(Clone, Copy)]
enum Num {
    Int(i128),
    Float(f64),
}

impl Num {
    fn order(self, other: Num) -> Option<Ordering> {
        match (self, other) {
            (Num::Int(a), Num::Int(b)) => Some(a.cmp(&b)),
            (Num::Float(a), Num::Float(b)) => a.partial_cmp(&b),
            (Num::Int(a), Num::Float(b)) => int_with_float(a, b),
            (Num::Float(a), Num::Int(b)) => int_with_float(b, a).map(Ordering::reverse),
        }
    }
}

fn int_with_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // What is beyond this is saturated, and no whole number of 128 bits is equal to it.
    let whole = float.trunc();
    if whole >= 1.7e38 {
        return Some(Ordering::Less);
    }
    if whole <= -1.7e38 {
        return Some(Ordering::Greater);
    }
    Some(int.cmp(&(whole as i128)).then_with(|| {
        let rest = float - whole;
        0.0.partial_cmp(&rest).unwrap_or(Ordering::Equal)
    }))
}

/// What of a value can be compared with others of its kind.
enum Kind<'a> {
    Num(Num),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Other,
}

fn kind<'a>(node: NodeRef<'a>) -> Kind<'a> {
    match node.node() {
        Node::Bool(value) => Kind::Num(Num::Int((*value).into())),
        Node::Int(value) => Kind::Num(Num::Int((*value).into())),
        Node::Long(long) => long.to_i128().map_or(Kind::Other, |value| Kind::Num(Num::Int(value))),
        Node::Float(value) => Kind::Num(Num::Float(*value)),
        Node::Str(text) | Node::Unicode(text) => Kind::Text(text.as_bytes()),
        // A `str` of Python 2 is text to Python 3 where it is ASCII, and bytes otherwise.
        Node::ByteStr(bytes) if bytes.is_ascii() => Kind::Text(bytes),
        Node::ByteStr(bytes) | Node::Bytes(bytes) | Node::ByteArray(bytes) => Kind::Bytes(bytes),
        _ => Kind::Other,
    }
}

impl Compare {
    fn new() -> Compare {
        Compare { left: STEPS }
    }

    fn step(&mut self, depth: usize) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        depth.checked_sub(1)
    }

    fn equal(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> bool {
        let Some(depth) = self.step(depth) else { return false };
        match (kind(a), kind(b)) {
            (Kind::Num(a), Kind::Num(b)) => a.order(b) == Some(Ordering::Equal),
            (Kind::Text(a), Kind::Text(b)) | (Kind::Bytes(a), Kind::Bytes(b)) => a == b,
            (Kind::Other, Kind::Other) => match (a.node(), b.node()) {
                (Node::None, Node::None) => true,
                (Node::Long(a), Node::Long(b)) => a == b,
                (Node::Tuple(_), Node::Tuple(_)) | (Node::List(_), Node::List(_)) => {
                    self.rows(a, b, depth)
                }
                (Node::Set(_) | Node::FrozenSet(_), Node::Set(_) | Node::FrozenSet(_)) => {
                    key(a, true).is_ok_and(|key_a| key(b, true).is_ok_and(|key_b| key_a == key_b))
                }
                (Node::Dict(_), Node::Dict(_)) => self.dicts(a, b, depth),
                (Node::Global(a), Node::Global(b)) => a.python3() == b.python3(),
                (Node::Object(_), Node::Object(_)) => self.objects(a, b, depth).unwrap_or(false),
                _ => false,
            },
            _ => false,
        }
    }

    fn rows(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> bool {
        let (Some(a), Some(b)) = (a.items(), b.items()) else { return false };
        a.len() == b.len() && a.zip(b).all(|(a, b)| self.equal(a, b, depth))
    }

    fn dicts(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> bool {
        let entries = |node: NodeRef<'_>| {
            let entries = node.entries()?;
            let keyed = entries.map(|(name, value)| Some((key(name, false).ok()?, value.id())));
            keyed.collect::<Option<std::collections::HashMap<_, _>>>()
        };
        let (Some(of_a), Some(of_b)) = (entries(a), entries(b)) else { return false };
        of_a.len() == of_b.len()
            && of_a.iter().all(|(key, value)| {
                of_b.get(key).is_some_and(|other| self.equal(a.at(*value), b.at(*other), depth))
            })
    }

    /// How the values of objects are compared, only their class would know: the same parts are equal.
    fn objects(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let (object_a, object_b) = (a.as_object()?, b.as_object()?);
        let (made_a, made_b) = (object_a.made, object_b.made);
        let mut pairs = vec![(made_a.class(), made_b.class()), (made_a.args(), made_b.args())];
        if let (Made::NewEx { kwargs: x, .. }, Made::NewEx { kwargs: y, .. }) = (made_a, made_b) {
            pairs.push((x, y));
        }
        if object_a.steps.len() != object_b.steps.len() {
            return None;
        }
        for steps in object_a.steps.iter().zip(&object_b.steps) {
            match steps {
                (Step::Append(x), Step::Append(y)) | (Step::Add(x), Step::Add(y))
                    if x.len() == y.len() =>
                {
                    pairs.extend(x.iter().copied().zip(y.iter().copied()));
                }
                (Step::SetItems(x), Step::SetItems(y)) if x.len() == y.len() => {
                    pairs.extend(x.iter().zip(y).flat_map(|(x, y)| [(x.0, y.0), (x.1, y.1)]));
                }
                (Step::State(x), Step::State(y)) | (Step::Call(x), Step::Call(y)) => {
                    pairs.push((*x, *y));
                }
                _ => return None,
            }
        }
        Some(pairs.into_iter().all(|(x, y)| self.equal(a.at(x), b.at(y), depth)))
    }

    fn order(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<Ordering> {
        let depth = self.step(depth)?;
        match (kind(a), kind(b)) {
            (Kind::Num(a), Kind::Num(b)) => a.order(b),
            (Kind::Text(a), Kind::Text(b)) | (Kind::Bytes(a), Kind::Bytes(b)) => Some(a.cmp(b)),
            (Kind::Other, Kind::Other) => match (a.node(), b.node()) {
                (Node::Tuple(_), Node::Tuple(_)) | (Node::List(_), Node::List(_)) => {
                    let (a, b) = (a.items()?, b.items()?);
                    let lengths = a.len().cmp(&b.len());
                    // As Python: the first two that differ decide, and only they need an order.
                    for (a, b) in a.zip(b) {
                        if !self.equal(a, b, depth) {
                            return self.order(a, b, depth);
                        }
                    }
                    Some(lengths)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// What makes two keys of a dict the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// The key of a text.
    pub(super) fn text(text: &str) -> Key {
        let mut out = Vec::with_capacity(text.len() + 9);
        counted(b't', text.as_bytes(), &mut out);
        Key(out)
    }
}

/// The key of a value. The error is the type that cannot be one.
pub(super) fn key_of(item: &Item) -> Result<Key, &'static str> {
    key(item.root(), false)
}

fn key(node: NodeRef<'_>, mutable: bool) -> Result<Key, &'static str> {
    let (mut out, mut left) = (Vec::new(), STEPS);
    write_key(node, mutable, DEPTH, &mut left, &mut out)?;
    Ok(Key(out))
}

fn counted(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Two values have the same bytes if and only if they are equal. `mutable`: the outermost may be a set.
fn write_key(
    node: NodeRef<'_>,
    mutable: bool,
    depth: usize,
    left: &mut usize,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let (Some(depth), Some(steps)) = (depth.checked_sub(1), left.checked_sub(1)) else {
        return Err("a value nested too deep");
    };
    *left = steps;
    match kind(node) {
        Kind::Num(Num::Int(value)) => counted(b'i', &value.to_le_bytes(), out),
        Kind::Num(Num::Float(value)) => {
            let whole = value as i128;
            match int_with_float(whole, value) {
                Some(Ordering::Equal) => counted(b'i', &whole.to_le_bytes(), out),
                _ => counted(b'f', &value.to_bits().to_le_bytes(), out),
            }
        }
        Kind::Text(bytes) => counted(b't', bytes, out),
        Kind::Bytes(_) if matches!(node.node(), Node::ByteArray(_)) => return Err("bytearray"),
        Kind::Bytes(bytes) => counted(b'b', bytes, out),
        Kind::Other => match node.node() {
            Node::None => out.push(b'n'),
            Node::Long(long) => counted(b'l', long.as_le_bytes(), out),
            Node::Tuple(items) => {
                out.push(b'(');
                out.extend_from_slice(&(items.len() as u64).to_le_bytes());
                for &item in items {
                    write_key(node.at(item), false, depth, left, out)?;
                }
            }
            Node::Set(_) if !mutable => return Err("set"),
            Node::FrozenSet(items) | Node::Set(items) => {
                let mut keys = Vec::with_capacity(items.len());
                for &item in items {
                    let mut one = Vec::new();
                    write_key(node.at(item), false, depth, left, &mut one)?;
                    keys.push(one);
                }
                keys.sort();
                keys.dedup();
                out.push(b's');
                out.extend_from_slice(&(keys.len() as u64).to_le_bytes());
                out.extend(keys.into_iter().flatten());
            }
            Node::Global(global) => {
                let (module, name) = global.python3();
                counted(b'g', format!("{module}\0{name}").as_bytes(), out);
            }
            // How the value of an object is compared, only its class would know: the same parts are equal.
            Node::Object(_) => {
                let bytes = node.to_value().write(Dialect::Python3);
                counted(b'o', &bytes.map_err(|_| "object")?, out);
            }
            other => return Err(other.type_name()),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
                assert!(a.is_equal(b));
                assert_eq!(key_of(a), key_of(b));
            }
        }
        let (old, new) = (item(b"U\x02ab."), item(b"\x80\x04\x8c\x02ab."));
        assert!(old.is_equal(&new) && key_of(&old) == key_of(&new));
        assert_eq!(key_of(&new), Ok(Key::text("ab")));
        assert!(!new.is_equal(&item(b"\x80\x04C\x02ab.")));
        assert_eq!(key_of(&item(b"].")), Err("list"));
    }

    #[test]
    fn order_is_python_s() {
        let tuple = |n: i32, text: &str| Item::new(Value::tuple([n.into(), text.into()]));
        assert_eq!(tuple(20, "a").order(&tuple(20, "b")), Some(Ordering::Less));
        assert_eq!(tuple(-1, "z").order(&tuple(0, "a")), Some(Ordering::Less));
        assert_eq!(tuple(1, "a").order(&Item::new(Value::from(1))), None);
        let item = |value: Value| Item::new(value);
        assert_eq!(item(1.into()).order(&item(1.5.into())), Some(Ordering::Less));
        assert_eq!(item((-1).into()).order(&item((-1.5).into())), Some(Ordering::Greater));
        assert_eq!(item(1.into()).order(&item(f64::NAN.into())), None);
        assert_eq!(item(i64::MAX.into()).order(&item(9.3e18.into())), Some(Ordering::Less));
    }

    #[test]
    fn what_is_nested_or_shared_without_end_is_compared_in_bounded_time() {
        let mut bytes = b"\x80\x04]\x94".to_vec();
        for level in 0..40u8 {
            bytes.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', 0x94]);
        }
        bytes.push(b'.');
        let (a, b) = (item(&bytes), item(&bytes));
        assert!(!a.is_equal(&b) && a.is_equal(&a.clone()));
        let cyclic = || item(b"]q\x00h\x00a.");
        assert!(!cyclic().is_equal(&cyclic()) && cyclic().order(&cyclic()).is_none());
    }
}
