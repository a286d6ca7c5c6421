//! What a manager serves: each word with the names of its methods.

use fourfold_wire::talk::{Arguments, Exception, Reply};

use super::args::{Wait, count, int, text, truth};
use super::errors::{type_error, value_error};
use super::iterable::items;
use crate::cluster::manager::hashed::Key;
use crate::cluster::manager::item::Item;
use crate::words::{
    Array, Barrier, Condition, Dict, Event, HandBack, List, Lock, Order, Participant, Queue, RLock,
    Semaphore,
};

/// A word, and whatever its methods need.
pub(super) enum Thing {
    Queue(Box<Queue<Item>>, Order),
    Lock(Lock),
    RLock(RLock),
    Semaphore(Semaphore),
    Condition(Condition),
    Event(Event),
    /// With how long its waits last if they say nothing of it.
    Barrier(Barrier, Option<std::time::Duration>),
    List(List<Item>),
    Dict(Dict<Key, Item, Item>),
    Namespace(Dict<String, (), Item>),
    Value {
        code: String,
        value: Item,
    },
    Array(Array),
    Iterator(std::vec::IntoIter<Item>),
}

/// A reply on its way to a participant.
pub(super) struct Due {
    pub(super) to: Participant,
    pub(super) what: Out,
}

pub(super) enum Out {
    Reply(Reply),
    /// An item of a queue, which goes back there if it cannot be handed over.
    Item {
        item: Item,
        at: Option<Item>,
        /// Its place among those that came to the queue.
        arrival: u64,
    },
    /// Whether a lock was taken: a truth value, or to [`ACQUIRE_TOLD`] a pair with whether its last owner died.
    Lock {
        taken: bool,
        owner_died: bool,
    },
}

/// A method of ours beyond Python's: `acquire` that tells whether the last owner went away with the lock.
pub(super) const ACQUIRE_TOLD: &str = "acquire_told";

/// What a call came to.
pub(super) enum Called {
    Reply(Reply),
    /// The replies are among those that are due, or the caller waits, for ever or so long.
    Asked(Option<std::time::Duration>),
    /// A new object, which the caller gets a proxy for.
    New(&'static str, Box<Thing>),
    /// There is no such method.
    Unknown,
}

impl From<Reply> for Called {
    fn from(reply: Reply) -> Called {
        Called::Reply(reply)
    }
}

const QUEUE: &[&str] = &[
    "empty",
    "full",
    "get",
    "get_nowait",
    "join",
    "put",
    "put_nowait",
    "qsize",
    "shutdown",
    "task_done",
];
const PRIORITY_QUEUE: &[&str] = &[
    "empty",
    "full",
    "get",
    "get_nowait",
    "join",
    "put",
    "put_at",
    "put_nowait",
    "qsize",
    "shutdown",
    "task_done",
];
const LOCK: &[&str] = &["acquire", "release", ACQUIRE_TOLD, "locked"];
const SEMAPHORE: &[&str] = &["acquire", "release", "get_value"];
const CONDITION: &[&str] = &["acquire", "release", "wait", "notify", "notify_all"];
const EVENT: &[&str] = &["is_set", "set", "clear", "wait"];
const BARRIER: &[&str] = &["__getattribute__", "wait", "abort", "reset"];
const LIST: &[&str] = &[
    "__add__",
    "__contains__",
    "__delitem__",
    "__delslice__",
    "__getitem__",
    "__getslice__",
    "__imul__",
    "__len__",
    "__mul__",
    "__reversed__",
    "__rmul__",
    "__setitem__",
    "__setslice__",
    "append",
    "clear",
    "copy",
    "count",
    "extend",
    "index",
    "insert",
    "pop",
    "remove",
    "reverse",
    "sort",
];
const DICT: &[&str] = &[
    "__contains__",
    "__delitem__",
    "__getitem__",
    "__iter__",
    "__len__",
    "__setitem__",
    "clear",
    "copy",
    "get",
    "has_key",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];
const NAMESPACE: &[&str] = &["__getattribute__", "__setattr__", "__delattr__"];
const VALUE: &[&str] = &["get", "set"];
const ARRAY: &[&str] = &["__len__", "__getitem__", "__setitem__", "__getslice__", "__setslice__"];
const ITERATOR: &[&str] = &["__next__", "next", "send", "throw", "close"];

/// The kinds that a client may create, as a stock manager has them, and two orders of queues more.
pub(super) fn create(typeid: &str, args: &Arguments) -> Option<Result<Thing, Exception>> {
    Some(match typeid {
        "Queue" | "JoinableQueue" => queue(typeid, args, Order::Fifo),
        "LifoQueue" => queue(typeid, args, Order::Lifo),
        "PriorityQueue" => queue(typeid, args, Order::Priority),
        "Lock" => args.bind("Lock", [], 0).map(|[]| Thing::Lock(Lock::default())),
        "RLock" => args.bind("RLock", [], 0).map(|[]| Thing::RLock(RLock::default())),
        "Event" => args.bind("Event", [], 0).map(|[]| Thing::Event(Event::default())),
        "Semaphore" => permits(args).map(|n| Thing::Semaphore(Semaphore::new(n))),
        "BoundedSemaphore" => permits(args).map(|n| Thing::Semaphore(Semaphore::bounded(n))),
        "Condition" => condition(args),
        "Barrier" => barrier(args),
        "list" => list(args),
        "dict" => dict(args),
        "Namespace" => Ok(namespace(args)),
        "Value" => value(args),
        "Array" => array(args),
        _ => return None,
    })
}

fn queue(name: &str, args: &Arguments, order: Order) -> Result<Thing, Exception> {
    let [size] = args.bind(name, ["maxsize"], 0)?;
    let size = size.map(|id| int(args.node(id))).transpose()?.unwrap_or(0);
    let capacity = usize::try_from(size).unwrap_or(0);
    Ok(Thing::Queue(Box::new(Queue::new(order, capacity, HandBack::Never)), order))
}

fn permits(args: &Arguments) -> Result<usize, Exception> {
    let [value] = args.bind("Semaphore", ["value"], 0)?;
    match value {
        Some(id) => count(args.node(id)),
        None => Ok(1),
    }
}

fn condition(args: &Arguments) -> Result<Thing, Exception> {
    let [lock] = args.bind("Condition", ["lock"], 0)?;
    match lock.is_none_or(|id| args.node(id).is_none()) {
        true => Ok(Thing::Condition(Condition::default())),
        false => Err(type_error("a condition over a lock of another object is not served here")),
    }
}

fn barrier(args: &Arguments) -> Result<Thing, Exception> {
    let [parties, action, timeout] = args.bind("Barrier", ["parties", "action", "timeout"], 1)?;
    if action.is_some_and(|id| !args.node(id).is_none()) {
        return Err(type_error("a barrier with an action is not served here"));
    }
    let limit = match super::args::timeout(args, timeout)? {
        Wait::Forever => None,
        Wait::For(limit) => Some(limit),
        Wait::No => Some(std::time::Duration::ZERO),
    };
    match count(args.node(parties.expect("it is required")))? {
        0 => Err(value_error("parties must be greater than zero")),
        parties => Ok(Thing::Barrier(Barrier::new(parties), limit)),
    }
}

fn list(args: &Arguments) -> Result<Thing, Exception> {
    let [from] = args.bind("list", ["iterable"], 0)?;
    let items = from.map(|id| items(args.node(id))).transpose()?.unwrap_or_default();
    Ok(Thing::List(List::new(items)))
}

fn dict(args: &Arguments) -> Result<Thing, Exception> {
    let mut dict = Dict::default();
    super::dicts::update(&mut dict, args)?;
    Ok(Thing::Dict(dict))
}

fn namespace(args: &Arguments) -> Thing {
    let mut names = Dict::default();
    for (name, node) in args.named() {
        names.set(name.to_owned(), (), Item::new(node.to_value()));
    }
    Thing::Namespace(names)
}

fn value(args: &Arguments) -> Result<Thing, Exception> {
    let [code, value, _lock] = args.bind("Value", ["typecode", "value", "lock"], 2)?;
    let code = text(args.node(code.expect("it is required")))?.to_owned();
    let value = Item::new(args.node(value.expect("it is required")).to_value());
    Ok(Thing::Value { code, value })
}

fn array(args: &Arguments) -> Result<Thing, Exception> {
    let [code, sequence, _lock] = args.bind("Array", ["typecode", "sequence", "lock"], 2)?;
    let code = text(args.node(code.expect("it is required")))?;
    let mut letters = code.chars();
    let (Some(code), None) = (letters.next(), letters.next()) else {
        return Err(type_error("a typecode is one letter"));
    };
    super::arrays::new(code, args.node(sequence.expect("it is required"))).map(Thing::Array)
}

/// The truth of a named argument that may be left out.
pub(super) fn flag(args: &Arguments, id: Option<fourfold_wire::pickle::NodeId>) -> bool {
    id.is_some_and(|id| truth(args.node(id)))
}

/// The longest text that shows an object, in bytes, as far as it is not one long item.
pub(super) const SHOWN: usize = 64 << 10;

/// Shows as many parts as there is room for; the others are not looked at.
fn shown(open: &str, parts: impl Iterator<Item = String>, close: &str) -> String {
    let mut text = open.to_owned();
    for (at, part) in parts.enumerate() {
        if text.len() > SHOWN {
            text.push_str("...");
            return text;
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&part);
    }
    text.push_str(close);
    text
}

impl Thing {
    /// The methods that a proxy may call.
    pub(super) fn exposed(&self) -> &'static [&'static str] {
        match self {
            Thing::Queue(_, Order::Priority) => PRIORITY_QUEUE,
            Thing::Queue(..) => QUEUE,
            Thing::Lock(_) | Thing::RLock(_) => LOCK,
            Thing::Semaphore(_) => SEMAPHORE,
            Thing::Condition(_) => CONDITION,
            Thing::Event(_) => EVENT,
            Thing::Barrier(..) => BARRIER,
            Thing::List(_) => LIST,
            Thing::Dict(_) => DICT,
            Thing::Namespace(_) => NAMESPACE,
            Thing::Value { .. } => VALUE,
            Thing::Array(_) => ARRAY,
            Thing::Iterator(_) => ITERATOR,
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Thing::Queue(_, Order::Fifo) => "queue.Queue",
            Thing::Queue(_, Order::Lifo) => "queue.LifoQueue",
            Thing::Queue(_, Order::Priority) => "queue.PriorityQueue",
            Thing::Lock(_) => "_thread.lock",
            Thing::RLock(_) => "_thread.RLock",
            Thing::Semaphore(_) => "threading.Semaphore",
            Thing::Condition(_) => "threading.Condition",
            Thing::Event(_) => "threading.Event",
            Thing::Barrier(..) => "threading.Barrier",
            Thing::List(_) => "list",
            Thing::Dict(_) => "dict",
            Thing::Namespace(_) => "multiprocessing.managers.Namespace",
            Thing::Value { .. } => "multiprocessing.managers.Value",
            Thing::Array(_) => "array.array",
            Thing::Iterator(_) => "iterator",
        }
    }

    /// As `str` of the object shows it.
    pub(super) fn describe(&self) -> String {
        match self {
            Thing::List(list) => {
                let items = list.items().iter().map(|item| item.root().to_string());
                shown("[", items, "]")
            }
            Thing::Dict(dict) => {
                let entries =
                    dict.iter().map(|(name, value)| format!("{}: {}", name.root(), value.root()));
                shown("{", entries, "}")
            }
            Thing::Namespace(names) => {
                // As Python: sorted, without those that begin with an underscore.
                let mut names: Vec<_> =
                    names.names().filter(|(name, _)| !name.starts_with('_')).collect();
                names.sort_by_key(|(name, _)| *name);
                let parts = names.iter().map(|(name, item)| format!("{name}={}", item.root()));
                shown("Namespace(", parts, ")")
            }
            Thing::Value { code, value } => {
                let code = fourfold_wire::pickle::Value::from(code.as_str());
                format!("Value({}, {})", code.root(), value.root())
            }
            Thing::Array(array) => super::arrays::describe(array),
            Thing::Event(event) => {
                let state = if event.is_set() { "set" } else { "unset" };
                format!("<threading.Event: {state}>")
            }
            Thing::Queue(queue, _) => {
                format!("<{} object with {} items>", self.type_name(), queue.len())
            }
            other => format!("<{} object>", other.type_name()),
        }
    }

    /// The object itself as a value, where it can be sent: `#GETVALUE`.
    pub(super) fn value(&self) -> Option<fourfold_wire::pickle::Value> {
        match self {
            Thing::List(list) => Some(super::lists::value(list.items())),
            Thing::Dict(dict) => Some(super::dicts::value(dict)),
            Thing::Namespace(names) => Some(super::dicts::namespace_value(names)),
            Thing::Value { code, value } => Some(super::dicts::value_value(code, value)),
            Thing::Array(array) => Some(super::arrays::array_value(array)),
            _ => None,
        }
    }
}
