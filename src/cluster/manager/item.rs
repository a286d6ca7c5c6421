//! Values as Python compares them: what is equal, what comes first, what is the same key.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fourfold_wire::pickle::{Made, Node, NodeId, NodeRef, Step, Value};

use super::hashed::{Key, KeyWriter, NoKey, key};
use super::mapping::entries;
use super::moment::Moment;
use super::number::Num;
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
    fn is_equal(&self, other: &Item) -> Option<bool> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Some(true);
        }
        let (a, b) = (self.root(), other.root());
        // Nothing more to it for most.
        match (kind(a), kind(b)) {
            (Kind::Other, Kind::Other) => Compare::new(a, b).equal(a, b, DEPTH),
            (Kind::Num(a), Kind::Num(b)) => Some(a.order(&b) == Some(Ordering::Equal)),
            (Kind::Text(a), Kind::Text(b)) | (Kind::Bytes(a), Kind::Bytes(b)) => Some(a == b),
            _ => Some(false),
        }
    }

    fn order(&self, other: &Item) -> Option<Ordering> {
        let (a, b) = (self.root(), other.root());
        match (kind(a), kind(b)) {
            (Kind::Other, Kind::Other) => Compare::new(a, b).order(a, b, DEPTH),
            (a, b) => plain_order(&a, &b),
        }
    }
}

/// How deep values are compared.
pub(super) const DEPTH: usize = 200;
/// How many parts are compared beyond those that there are: a value may share a part a billion times over.
const STEPS: usize = 1 << 20;

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

fn plain_order(a: &Kind<'_>, b: &Kind<'_>) -> Option<Ordering> {
    match (a, b) {
        // Neither comes before the other if one is not a number at all: to Python that is no error.
        (Kind::Num(Num::Float(a)), Kind::Num(_)) if a.is_nan() => Some(Ordering::Equal),
        (Kind::Num(_), Kind::Num(Num::Float(b))) if b.is_nan() => Some(Ordering::Equal),
        (Kind::Num(a), Kind::Num(b)) => a.order(b),
        (Kind::Text(a), Kind::Text(b)) | (Kind::Bytes(a), Kind::Bytes(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Compares within bounds. What it gives nothing for lies deeper or is larger than it goes.
struct Compare {
    left: usize,
    /// Pairs that were found to be equal: what is shared is compared once.
    equal: HashSet<(NodeId, NodeId)>,
}

impl Compare {
    fn new(a: NodeRef<'_>, b: NodeRef<'_>) -> Compare {
        let parts = a.whole().node_count() + b.whole().node_count();
        Compare { left: STEPS + 2 * parts, equal: HashSet::new() }
    }

    fn charge(&mut self, steps: usize) -> Option<()> {
        self.left = self.left.checked_sub(steps)?;
        Some(())
    }

    fn step(&mut self, depth: usize) -> Option<usize> {
        self.charge(1)?;
        depth.checked_sub(1)
    }

    fn equal(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let depth = self.step(depth)?;
        match (kind(a), kind(b)) {
            (Kind::Num(a), Kind::Num(b)) => Some(a.order(&b) == Some(Ordering::Equal)),
            (Kind::Text(x), Kind::Text(y)) | (Kind::Bytes(x), Kind::Bytes(y)) if x.len() < 64 => {
                Some(x == y)
            }
            (Kind::Text(x), Kind::Text(y)) | (Kind::Bytes(x), Kind::Bytes(y)) => {
                self.once(a, b, |_| Some(x == y))
            }
            (Kind::Other, Kind::Other) => self.once(a, b, |this| this.parts(a, b, depth)),
            _ => Some(false),
        }
    }

    fn once(
        &mut self,
        a: NodeRef<'_>,
        b: NodeRef<'_>,
        compare: impl FnOnce(&mut Compare) -> Option<bool>,
    ) -> Option<bool> {
        let pair = (a.id(), b.id());
        if self.equal.contains(&pair) {
            return Some(true);
        }
        let is_equal = compare(self)?;
        if is_equal {
            self.equal.insert(pair);
        }
        Some(is_equal)
    }

    fn parts(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        match (a.node(), b.node()) {
            (Node::None, Node::None) => Some(true),
            (Node::Tuple(_), Node::Tuple(_)) | (Node::List(_), Node::List(_)) => {
                self.rows(a, b, depth)
            }
            (Node::Set(_) | Node::FrozenSet(_), Node::Set(_) | Node::FrozenSet(_)) => {
                match (key(a, true), key(b, true)) {
                    (Ok(a), Ok(b)) => Some(a == b),
                    (Err(NoKey::TooLarge), _) | (_, Err(NoKey::TooLarge)) => None,
                    _ => Some(false),
                }
            }
            (Node::Global(a), Node::Global(b)) => Some(a.python3() == b.python3()),
            (Node::Dict(_) | Node::Object(_), Node::Dict(_) | Node::Object(_)) => {
                if let (Some((ordered, of_a)), Some((other, of_b))) = (entries(a), entries(b)) {
                    return match ordered && other {
                        true => self.pairs(&of_a, &of_b, depth),
                        false => self.dicts(&of_a, &of_b, depth),
                    };
                }
                if let (Some(of_a), Some(of_b)) = (Moment::of(a), Moment::of(b)) {
                    let mut too_deep = false;
                    let order = of_a.order(&of_b, |x, y| {
                        let same = self.equal(x, y, depth);
                        too_deep = same.is_none();
                        same
                    });
                    return (!too_deep).then_some(order == Some(Ordering::Equal));
                }
                self.objects(a, b, depth)
            }
            _ => Some(false),
        }
    }

    fn rows(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let (a, b) = (a.items()?, b.items()?);
        if a.len() != b.len() {
            return Some(false);
        }
        for (a, b) in a.zip(b) {
            if !self.equal(a, b, depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn pairs(
        &mut self,
        a: &[(NodeRef<'_>, NodeRef<'_>)],
        b: &[(NodeRef<'_>, NodeRef<'_>)],
        depth: usize,
    ) -> Option<bool> {
        if a.len() != b.len() {
            return Some(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !self.equal(a.0, b.0, depth)? || !self.equal(a.1, b.1, depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn dicts(
        &mut self,
        a: &[(NodeRef<'_>, NodeRef<'_>)],
        b: &[(NodeRef<'_>, NodeRef<'_>)],
        depth: usize,
    ) -> Option<bool> {
        self.charge(a.len() + b.len())?;
        let keyed = |entries: &[(NodeRef<'_>, NodeRef<'_>)]| {
            let Some(first) = entries.first() else { return Ok(HashMap::new()) };
            let mut writer = KeyWriter::new(first.0);
            let keys =
                entries.iter().map(|&(name, value)| Ok((writer.key(name, false)?, value.id())));
            keys.collect::<Result<HashMap<Key, NodeId>, NoKey>>()
        };
        let (of_a, of_b) = match (keyed(a), keyed(b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(NoKey::TooLarge), _) | (_, Err(NoKey::TooLarge)) => return None,
            _ => return Some(false),
        };
        if of_a.len() != of_b.len() {
            return Some(false);
        }
        for (key, &value) in &of_a {
            let Some(&other) = of_b.get(key) else { return Some(false) };
            if !self.equal(a[0].0.at(value), b[0].0.at(other), depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// How the values of objects are compared, only their class would know: the same parts are equal.
    fn objects(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let Some(pairs) = same_shape(a, b) else { return Some(false) };
        for (x, y) in pairs {
            if !self.equal(a.at(x), b.at(y), depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn order(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<Ordering> {
        let depth = self.step(depth)?;
        match (kind(a), kind(b)) {
            (Kind::Other, Kind::Other) => match (a.node(), b.node()) {
                (Node::Tuple(_), Node::Tuple(_)) | (Node::List(_), Node::List(_)) => {
                    let (a, b) = (a.items()?, b.items()?);
                    let lengths = a.len().cmp(&b.len());
                    // As Python: the first two that differ decide, and only they need an order.
                    for (a, b) in a.zip(b) {
                        if !self.equal(a, b, depth)? {
                            return self.order(a, b, depth);
                        }
                    }
                    Some(lengths)
                }
                (Node::Object(_), Node::Object(_)) => {
                    Moment::of(a)?.order(&Moment::of(b)?, |x, y| self.equal(x, y, depth))
                }
                _ => None,
            },
            (a, b) => plain_order(&a, &b),
        }
    }
}

/// The parts of two objects that stand at the same places, if they are made in the same way.
fn same_shape(a: NodeRef<'_>, b: NodeRef<'_>) -> Option<Vec<(NodeId, NodeId)>> {
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
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::hashed::key_of;
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
                assert_eq!(a.is_equal(b), Some(true));
                assert_eq!(key_of(a), key_of(b));
            }
        }
        let (old, new) = (item(b"U\x02ab."), item(b"\x80\x04\x8c\x02ab."));
        assert!(old.is_equal(&new) == Some(true) && key_of(&old) == key_of(&new));
        assert_eq!(new.is_equal(&item(b"\x80\x04C\x02ab.")), Some(false));
        assert_eq!(key_of(&item(b"].")), Err(NoKey::Unhashable("list")));
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
        assert_eq!(item(1.into()).order(&item(f64::NAN.into())), Some(Ordering::Equal));
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
        assert!(a.is_equal(&b) == Some(true) && a.is_equal(&a.clone()) == Some(true));
        let cyclic = || item(b"]q\x00h\x00a.");
        assert!(cyclic().is_equal(&cyclic()).is_none() && cyclic().order(&cyclic()).is_none());
    }
}
