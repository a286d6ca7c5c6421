//! Arguments of calls as what the words take.

use std::time::Duration;

use fourfold_wire::pickle::{Made, Node, NodeId, NodeRef};
use fourfold_wire::talk::{Arguments, Exception};

use super::errors::{type_error, value_error};
use crate::cluster::manager::mapping::entries;
use crate::cluster::manager::number::Num;
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

/// As Python takes a truth value of what is passed for one. Of what only its class knows: true, as most are.
pub(super) fn truth(node: NodeRef<'_>) -> bool {
    known_truth(node).unwrap_or(true)
}

/// Whether Python takes a value for true, as far as its class is known.
pub(super) fn known_truth(node: NodeRef<'_>) -> Result<bool, Exception> {
    if let Some(num) = Num::of(node) {
        return Ok(!num.is_zero());
    }
    Ok(match node.node() {
        Node::None => false,
        Node::Str(text) | Node::Unicode(text) => !text.as_bytes().is_empty(),
        Node::ByteStr(bytes) | Node::Bytes(bytes) | Node::ByteArray(bytes) => !bytes.is_empty(),
        Node::Tuple(_) | Node::List(_) | Node::Set(_) | Node::FrozenSet(_) => {
            node.items().is_some_and(|items| items.len() > 0)
        }
        Node::Global(_) => true,
        _ => match entries(node) {
            Some((_, entries)) => !entries.is_empty(),
            None => {
                let what = format!("whether '{}' is true only its class knows", type_of(node));
                return Err(type_error(what));
            }
        },
    })
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

/// A place in a list, which is never beyond what an `i64` holds.
pub(super) fn index(node: NodeRef<'_>) -> Result<i64, Exception> {
    let wrong = |name: &str, what: String| Err(Exception::new("builtins", name).with(what));
    match (node.node(), int(node)) {
        (_, Ok(at)) => Ok(at),
        (Node::Long(_), _) => {
            wrong("IndexError", "cannot fit 'int' into an index-sized integer".to_owned())
        }
        _ => {
            let kind = type_of(node);
            wrong("TypeError", format!("list indices must be integers or slices, not {kind}"))
        }
    }
}

/// What Python calls the type of a value. Of what a value is worth whose class is not of Python's own, only its class
/// knows: that is said too.
pub(super) fn type_of(node: NodeRef<'_>) -> String {
    match (node.node(), node.class().map(|class| class.python3())) {
        (Node::None, _) => "NoneType".to_owned(),
        (Node::Object(object), Some((_, name))) if matches!(object.made, Made::Reduce { .. }) => {
            format!("{name} (what is made by a call is not known here)")
        }
        (_, Some((_, name))) => name.to_owned(),
        (other, None) => other.type_name().to_owned(),
    }
}

/// The number that an instance of a subclass of `int` is: it is pickled as its class and that.
fn of_subclass(node: NodeRef<'_>) -> Option<i64> {
    let args: Vec<_> = node.made_with()?.take(4).collect();
    match (node.as_object()?.made, &args[..]) {
        (Made::New { .. }, [number]) => number.as_i64(),
        // Protocols 0 and 1 write it so.
        (Made::Reduce { .. }, [_, base, number]) => {
            let base = base.as_global()?.python3();
            let maker = node.class()?.python3();
            (maker == ("copyreg", "_reconstructor") && base == ("builtins", "int"))
                .then(|| number.as_i64())?
        }
        _ => None,
    }
}

pub(super) fn int(node: NodeRef<'_>) -> Result<i64, Exception> {
    let number = node.as_i64().or_else(|| node.as_bool().map(i64::from));
    number.or_else(|| of_subclass(node)).ok_or_else(|| {
        type_error(format!("'{}' object cannot be interpreted as an integer", type_of(node)))
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

/// An item of an array.
pub(super) fn number(node: NodeRef<'_>) -> Result<Number, Exception> {
    if let Ok(value) = int(node) {
        return Ok(Number::Int(value.into()));
    }
    match (node.node(), node.as_f64()) {
        (Node::Long(long), _) => {
            long.to_i128().map(Number::Int).ok_or_else(|| value_error("the number is too large"))
        }
        (_, Some(value)) => Ok(Number::Float(value)),
        (Node::Str(text) | Node::Unicode(text), _) => {
            let mut points = text.code_points();
            match (points.next(), points.next()) {
                (Some(point), None) => Ok(Number::Char(point)),
                _ => Err(type_error("array item must be unicode character")),
            }
        }
        (Node::ByteStr(bytes), _) if bytes.is_ascii() && bytes.len() == 1 => {
            Ok(Number::Char(bytes[0].into()))
        }
        _ => Err(type_error("a number is required")),
    }
}

/// Where a slice begins or ends. Beyond any list is far enough.
pub(super) fn bound(node: NodeRef<'_>) -> Result<i64, Exception> {
    match node.node() {
        Node::Long(long) if long.to_i64().is_none() => {
            Ok(if long.is_negative() { i64::MIN } else { i64::MAX })
        }
        _ => int(node),
    }
}

/// A slice object: `slice(start, stop, step)`.
pub(super) fn slice(node: NodeRef<'_>) -> Result<Option<Slice>, Exception> {
    let Some(class) = node.class() else { return Ok(None) };
    if class.python3() != ("builtins", "slice") {
        return Ok(None);
    }
    let bound = |node: NodeRef<'_>| match node.is_none() {
        true => Ok(None),
        false => bound(node).map(Some),
    };
    let parts: Vec<_> = node.made_with().into_iter().flatten().take(4).collect();
    match parts[..] {
        [start, stop, step] => {
            Ok(Some(Slice { start: bound(start)?, stop: bound(stop)?, step: bound(step)? }))
        }
        _ => Err(type_error("a slice of three parts is required")),
    }
}
