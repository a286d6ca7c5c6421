//! Two values side by side: whether they are equal, and which comes first, as Python has it.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use fourfold_wire::pickle::{Made, Node, NodeId, NodeRef, Step};

use super::hashed::{Key, KeyWriter, NoKey};
use super::item::{DEPTH, Kind, kind};
use super::mapping::entries;
use super::moment::Moment;
use crate::words::{Effort, Unordered};

/// How many bytes are compared, or written to be compared, in a step.
const STEP_BYTES: usize = 256;

/// Compares two values within bounds. Where it tells nothing of whether they are equal, they lie deeper or are larger than it goes.
pub(super) struct Compare<'e> {
    effort: &'e mut Effort,
    /// Pairs that were found to be equal: what is shared is compared once.
    equal: HashSet<(NodeId, NodeId)>,
}

impl Compare<'_> {
    pub(super) fn new(effort: &mut Effort) -> Compare<'_> {
        Compare { effort, equal: HashSet::new() }
    }

    pub(super) fn equal(&mut self, a: NodeRef<'_>, b: NodeRef<'_>) -> Option<bool> {
        self.equal_at(a, b, DEPTH)
    }

    pub(super) fn order(&mut self, a: NodeRef<'_>, b: NodeRef<'_>) -> Result<Ordering, Unordered> {
        self.order_at(a, b, DEPTH)
    }

    fn step(&mut self, depth: usize) -> Option<usize> {
        self.effort.spend(1)?;
        depth.checked_sub(1)
    }

    fn spend_on_bytes(&mut self, bytes: usize) -> Option<()> {
        self.effort.spend(bytes / STEP_BYTES)
    }

    fn equal_at(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let depth = self.step(depth)?;
        match (kind(a), kind(b)) {
            (Kind::Num(a), Kind::Num(b)) => {
                self.effort.spend(a.cost() + b.cost())?;
                a.equal(&b)
            }
            (Kind::Text(x), Kind::Text(y)) | (Kind::Bytes(x), Kind::Bytes(y)) => {
                match x.len() == y.len() && x.len() >= STEP_BYTES {
                    true => self.once(a, b, |this| {
                        this.spend_on_bytes(x.len())?;
                        Some(x == y)
                    }),
                    false => Some(x == y),
                }
            }
            (Kind::Other, Kind::Other) => self.once(a, b, |this| this.parts(a, b, depth)),
            _ => Some(false),
        }
    }

    fn once(
        &mut self,
        a: NodeRef<'_>,
        b: NodeRef<'_>,
        compare: impl FnOnce(&mut Self) -> Option<bool>,
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
                Some(self.members(a)? == self.members(b)?)
            }
            (Node::Global(a), Node::Global(b)) => Some(a.python3() == b.python3()),
            (Node::Dict(_) | Node::Object(_), Node::Dict(_) | Node::Object(_)) => {
                if let (Some((ordered, of_a)), Some((other, of_b))) = (entries(a), entries(b)) {
                    self.effort.spend(of_a.len() + of_b.len())?;
                    return match ordered && other {
                        true => self.pairs(&of_a, &of_b, depth),
                        false => self.dicts(&of_a, &of_b, depth),
                    };
                }
                if let (Some(of_a), Some(of_b)) = (Moment::of(a), Moment::of(b)) {
                    let order = self.moments(&of_a, &of_b, depth)?;
                    return Some(order == Some(Ordering::Equal));
                }
                self.objects(a, b, depth)
            }
            _ => Some(false),
        }
    }

    /// Which is earlier, if they can be compared. Nothing: their time zones lie deeper or are larger than is gone.
    fn moments(
        &mut self,
        a: &Moment<'_>,
        b: &Moment<'_>,
        depth: usize,
    ) -> Option<Option<Ordering>> {
        let mut too_deep = false;
        let order = a.order(b, |x, y| {
            let same = self.equal_at(x, y, depth);
            too_deep = same.is_none();
            same
        });
        (!too_deep).then_some(order)
    }

    fn rows(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let (a, b) = (a.items()?, b.items()?);
        if a.len() != b.len() {
            return Some(false);
        }
        for (a, b) in a.zip(b) {
            if !self.equal_at(a, b, depth)? {
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
            if !self.equal_at(a.0, b.0, depth)? || !self.equal_at(a.1, b.1, depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Writes keys with what is left of the effort, and takes from it what they took.
    fn keys<T>(
        &mut self,
        of: NodeRef<'_>,
        write: impl FnOnce(&mut KeyWriter<'_>) -> Result<T, NoKey>,
    ) -> Result<T, NoKey> {
        let limit = self.effort.left().saturating_mul(STEP_BYTES);
        let mut writer = KeyWriter::within(of, limit);
        let written = write(&mut writer);
        let bytes = writer.written();
        self.spend_on_bytes(bytes).ok_or(NoKey::TooLarge)?;
        written
    }

    /// The members of a set, which are what makes it equal to another.
    fn members(&mut self, set: NodeRef<'_>) -> Option<HashSet<Key>> {
        let items = set.items()?;
        self.effort.spend(items.len())?;
        // What is no key cannot be in a set: nobody made this one.
        let written = self.keys(set, |writer| items.map(|item| writer.key(item)).collect());
        written.ok()
    }

    fn dicts(
        &mut self,
        a: &[(NodeRef<'_>, NodeRef<'_>)],
        b: &[(NodeRef<'_>, NodeRef<'_>)],
        depth: usize,
    ) -> Option<bool> {
        let mut keyed = |entries: &[(NodeRef<'_>, NodeRef<'_>)]| {
            let Some(first) = entries.first() else { return Ok(HashMap::new()) };
            self.keys(first.0, |writer| {
                let keys = entries.iter().map(|&(name, value)| Ok((writer.key(name)?, value.id())));
                keys.collect::<Result<HashMap<Key, NodeId>, NoKey>>()
            })
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
            if !self.equal_at(a[0].0.at(value), b[0].0.at(other), depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// How the values of objects are compared, only their class would know: the same parts are equal.
    fn objects(&mut self, a: NodeRef<'_>, b: NodeRef<'_>, depth: usize) -> Option<bool> {
        let Some(pairs) = same_shape(a, b) else { return Some(false) };
        for (x, y) in pairs {
            if !self.equal_at(a.at(x), b.at(y), depth)? {
                return Some(false);
            }
        }
        Some(true)
    }

    fn order_at(
        &mut self,
        a: NodeRef<'_>,
        b: NodeRef<'_>,
        depth: usize,
    ) -> Result<Ordering, Unordered> {
        let depth = self.step(depth).ok_or(Unordered::TooLarge)?;
        match (kind(a), kind(b)) {
            (Kind::Num(a), Kind::Num(b)) => {
                self.effort.spend(a.cost() + b.cost()).ok_or(Unordered::TooLarge)?;
                a.order(&b)
            }
            (Kind::Text(a), Kind::Text(b)) | (Kind::Bytes(a), Kind::Bytes(b)) => {
                self.spend_on_bytes(a.len().min(b.len())).ok_or(Unordered::TooLarge)?;
                Ok(a.cmp(b))
            }
            (Kind::Other, Kind::Other) => match (a.node(), b.node()) {
                (Node::Tuple(of_a), Node::Tuple(of_b)) | (Node::List(of_a), Node::List(of_b)) => {
                    // As Python: the first two that differ decide, and only they need an order.
                    for (&x, &y) in of_a.iter().zip(of_b) {
                        let (x, y) = (a.at(x), b.at(y));
                        if !self.equal_at(x, y, depth).ok_or(Unordered::TooLarge)? {
                            return self.order_at(x, y, depth);
                        }
                    }
                    Ok(of_a.len().cmp(&of_b.len()))
                }
                (Node::Set(_) | Node::FrozenSet(_), Node::Set(_) | Node::FrozenSet(_)) => {
                    let mut members = |set| self.members(set).ok_or(Unordered::TooLarge);
                    Ok(by_inclusion(&members(a)?, &members(b)?))
                }
                (Node::Object(_), Node::Object(_)) => {
                    let (Some(of_a), Some(of_b)) = (Moment::of(a), Moment::of(b)) else {
                        return Err(Unordered::NoOrder);
                    };
                    let order = self.moments(&of_a, &of_b, depth).ok_or(Unordered::TooLarge)?;
                    order.ok_or(Unordered::NoOrder)
                }
                _ => Err(Unordered::NoOrder),
            },
            _ => Err(Unordered::NoOrder),
        }
    }
}

/// `<` of sets: whether one is a part of the other. Of those that are not, neither comes first.
fn by_inclusion(a: &HashSet<Key>, b: &HashSet<Key>) -> Ordering {
    let lengths = a.len().cmp(&b.len());
    let is_part = match lengths {
        Ordering::Less => a.is_subset(b),
        Ordering::Greater => b.is_subset(a),
        Ordering::Equal => false,
    };
    if is_part { lengths } else { Ordering::Equal }
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
