//! Arguments of calls as what the words take.

use std::time::Duration;

use fourfold_wire::pickle::{NodeId, NodeRef};
use fourfold_wire::talk::{Arguments, Exception};

use super::errors::{type_error, value_error};
use crate::cluster::manager::item::Item;
use crate::words::{Number, Slice};

/// How long a request may wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wait {
    No,
    For(Duration),
    Forever,
}

impl Wait {
    pub(super) fn blocks(self) -> bool {
        self != Wait::No
    }

    pub(super) fn limit(self) -> Option<Duration> {
        match self {
            Wait::For(limit) => Some(limit),
            _ => None,
        }
    }
}

/// As Python takes a truth value of what is passed for one.
pub(super) fn truth(node: NodeRef<'_>) -> bool {
    match (node.as_bool(), node.as_f64()) {
        (Some(value), _) => value,
        (_, Some(number)) => number != 0.0,
        _ => !node.is_none() && node.items().is_none_or(|items| items.len() > 0),
    }
}

fn seconds(node: NodeRef<'_>) -> Result<Option<f64>, Exception> {
    if node.is_none() {
        return Ok(None);
    }
    match node.as_f64().or_else(|| node.as_bool().map(|value| value.into())) {
        Some(number) if !number.is_nan() => Ok(Some(number)),
        _ => Err(type_error("a timeout is a number")),
    }
}

/// A wait of so many seconds. What is longer than can be told is for ever.
fn wait_for(seconds: f64) -> Wait {
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if limit.is_zero() => Wait::No,
        Ok(limit) => Wait::For(limit),
        Err(_) => Wait::Forever,
    }
}

/// A wait without a word on whether it blocks: `wait(timeout=None)`.
pub(super) fn timeout(args: &Arguments, id: Option<NodeId>) -> Result<Wait, Exception> {
    Ok(match id.map(|id| seconds(args.node(id))).transpose()?.flatten() {
        None => Wait::Forever,
        Some(seconds) if seconds <= 0.0 => Wait::No,
        Some(seconds) => wait_for(seconds),
    })
}

/// `block=True, timeout=None`, as queues take it.
pub(super) fn queue_wait(
    args: &Arguments,
    block: Option<NodeId>,
    timeout: Option<NodeId>,
) -> Result<Wait, Exception> {
    if block.is_some_and(|id| !truth(args.node(id))) {
        return Ok(Wait::No);
    }
    match timeout.map(|id| seconds(args.node(id))).transpose()?.flatten() {
        None => Ok(Wait::Forever),
        Some(seconds) if seconds < 0.0 => {
            Err(value_error("'timeout' must be a non-negative number"))
        }
        Some(seconds) => Ok(wait_for(seconds)),
    }
}

/// `blocking=True, timeout=-1`, as locks take it, where a negative one is none.
pub(super) fn lock_wait(
    args: &Arguments,
    block: Option<NodeId>,
    timeout: Option<NodeId>,
) -> Result<Wait, Exception> {
    let limit = timeout.map(|id| seconds(args.node(id))).transpose()?.flatten();
    // -1 is how CPython says that there is none.
    let limit = limit.filter(|seconds| *seconds != -1.0);
    if block.is_some_and(|id| !truth(args.node(id))) {
        return match limit {
            None => Ok(Wait::No),
            Some(_) => Err(value_error("can't specify a timeout for a non-blocking call")),
        };
    }
    match limit {
        None => Ok(Wait::Forever),
        Some(seconds) if seconds >= 0.0 => Ok(wait_for(seconds)),
        Some(_) => Err(value_error("timeout value must be a non-negative number")),
    }
}

pub(super) fn int(node: NodeRef<'_>) -> Result<i64, Exception> {
    node.as_i64().or_else(|| node.as_bool().map(i64::from)).ok_or_else(|| {
        type_error(format!("an integer is required, not {}", node.node().type_name()))
    })
}

/// A number that counts something: not negative.
pub(super) fn count(node: NodeRef<'_>) -> Result<usize, Exception> {
    usize::try_from(int(node)?).map_err(|_| value_error("the number must not be negative"))
}

pub(super) fn text<'a>(node: NodeRef<'a>) -> Result<&'a str, Exception> {
    node.as_str()
        .ok_or_else(|| type_error(format!("a str is required, not {}", node.node().type_name())))
}

pub(super) fn number(node: NodeRef<'_>) -> Result<Number, Exception> {
    if let Ok(value) = int(node) {
        return Ok(Number::Int(value.into()));
    }
    match (node.node(), node.as_f64()) {
        (fourfold_wire::pickle::Node::Long(long), _) => {
            long.to_i128().map(Number::Int).ok_or_else(|| value_error("the number is too large"))
        }
        (_, Some(value)) => Ok(Number::Float(value)),
        _ => Err(type_error("a number is required")),
    }
}

/// A slice object: `slice(start, stop, step)`.
pub(super) fn slice(node: NodeRef<'_>) -> Result<Option<Slice>, Exception> {
    let Some(class) = node.class() else { return Ok(None) };
    if class.python3() != ("builtins", "slice") {
        return Ok(None);
    }
    let bound = |node: NodeRef<'_>| if node.is_none() { Ok(None) } else { int(node).map(Some) };
    let parts: Vec<_> = node.made_with().into_iter().flatten().collect();
    match parts[..] {
        [start, stop, step] => {
            Ok(Some(Slice { start: bound(start)?, stop: bound(stop)?, step: bound(step)? }))
        }
        _ => Err(type_error("a slice of three parts is required")),
    }
}

/// The longest range that is written out.
const LONGEST: usize = 1 << 24;

/// The numbers of a `range`, or of Python 2's `xrange`.
fn range(node: NodeRef<'_>) -> Result<Option<Vec<Item>>, Exception> {
    if node.class().is_none_or(|class| class.python3() != ("builtins", "range")) {
        return Ok(None);
    }
    let bounds: Vec<i64> =
        node.made_with().into_iter().flatten().map(int).collect::<Result<_, _>>()?;
    let [start, stop, step] = bounds[..] else { return Ok(None) };
    let room = if step > 0 { stop.checked_sub(start) } else { start.checked_sub(stop) };
    let (Some(room), Some(width)) = (room, step.checked_abs().filter(|&width| width > 0)) else {
        return Err(value_error("a range of other bounds is required"));
    };
    let count = if room <= 0 { 0 } else { (room - 1) / width + 1 };
    match usize::try_from(count) {
        Ok(count) if count <= LONGEST => {
            Ok(Some((0..count as i64).map(|n| Item::new((start + n * step).into())).collect()))
        }
        _ => Err(value_error("the range is too long")),
    }
}

/// The items of what can be gone through: a list, a tuple, a set, the keys of a dict, the characters of a text.
pub(super) fn items(node: NodeRef<'_>) -> Result<Vec<Item>, Exception> {
    if let Some(items) = node.items() {
        return Ok(items.map(|item| Item::new(item.to_value())).collect());
    }
    if let Some(entries) = node.entries() {
        return Ok(entries.map(|(key, _)| Item::new(key.to_value())).collect());
    }
    if let Some(text) = node.as_str() {
        let letters = text.chars().map(|c| Item::new(c.to_string().into()));
        return Ok(letters.collect());
    }
    if let Some(bytes) = node.as_bytes() {
        return Ok(bytes.iter().map(|&byte| Item::new(i64::from(byte).into())).collect());
    }
    if let Some(range) = range(node)? {
        return Ok(range);
    }
    // What a view of a dict or an iterator comes as: a call with a row as its first argument.
    match node.made_with().and_then(|mut args| args.next()) {
        Some(first) if first.items().is_some() => items(first),
        _ => Err(type_error(format!("'{}' object is not iterable", node.node().type_name()))),
    }
}
