//! The methods of dicts, namespaces and values.

use fourfold_wire::pickle::{Builder, Made, Node, NodeId, Value};
use fourfold_wire::talk::{Arguments, Exception, Reply};

use super::args::text;
use super::errors::{attribute_error, memory_error, type_error};
use super::iterable::entries;
use super::lists::Gather;
use super::thing::{Called, Thing};
use crate::cluster::manager::hashed::{Key, Keys, NoKey, key_of};
use crate::cluster::manager::item::Item;
use crate::words::Dict;

type Items = Dict<Key, Item, Item>;

/// The entries as a dict of Python.
pub(super) fn value(dict: &Items) -> Value {
    let mut gather = Gather::default();
    let entries: Vec<(NodeId, NodeId)> =
        dict.iter().map(|(name, item)| (gather.add(name), gather.add(item))).collect();
    gather.finish(Node::Dict(entries))
}

/// An instance of one of the manager's own classes, with attributes.
fn instance(class: &str, attributes: Vec<(&str, Value)>) -> Value {
    let mut builder = Builder::new();
    let class = builder.global("multiprocessing.managers", class);
    let args = builder.tuple([]);
    let root = builder.object(Made::New { class, args });
    let entries = attributes
        .into_iter()
        .map(|(name, value)| (builder.str(name), builder.value(value)))
        .collect();
    let state = builder.push(Node::Dict(entries));
    builder.set_state(root, state).expect("it was just made as an object");
    builder.finish(root)
}

pub(super) fn namespace_value(names: &Dict<String, (), Item>) -> Value {
    let attributes = names.names().map(|(name, item)| (name.as_str(), item.root().to_value()));
    instance("Namespace", attributes.collect())
}

pub(super) fn value_value(code: &str, value: &Item) -> Value {
    instance("Value", vec![("_typecode", code.into()), ("_value", value.root().to_value())])
}

fn key(item: &Item) -> Result<Key, Exception> {
    key_of(item).map_err(no_key)
}

fn no_key(why: NoKey) -> Exception {
    match why {
        NoKey::Unhashable(kind) => type_error(format!("unhashable type: '{kind}'")),
        NoKey::TooLarge => memory_error(),
    }
}

fn key_error(item: &Item) -> Exception {
    Exception::new("builtins", "KeyError").with(item.root().to_value())
}

/// `dict.update`: from a dict, from pairs, and from arguments by name.
pub(super) fn update(dict: &mut Items, args: &Arguments) -> Result<(), Exception> {
    let mut new = Vec::new();
    match args.get(0) {
        None => {}
        Some(_) if args.len() > 1 => return Err(type_error("update expected at most 1 argument")),
        Some(node) => new = entries(node)?,
    }
    new.extend(
        args.named().map(|(name, node)| (Item::new(name.into()), Item::new(node.to_value()))),
    );
    // All or nothing.
    let mut keys = Keys::default();
    let new = new
        .into_iter()
        .map(|(name, value)| Ok((keys.of(&name).map_err(no_key)?, name, value)))
        .collect::<Result<Vec<_>, Exception>>()?;
    for (key, name, value) in new {
        dict.set(key, name, value);
    }
    Ok(())
}

pub(super) fn dict(dict: &mut Items, method: &str, args: Arguments) -> Result<Called, Exception> {
    let required = |id: Option<NodeId>| id.expect("it is required");
    let item = |args: &Arguments, id| Item::new(args.node(required(id)).to_value());
    let optional = |args: &Arguments, id: Option<NodeId>| {
        id.map_or_else(Item::none, |id| Item::new(args.node(id).to_value()))
    };
    let list = |items: Vec<Item>| Reply::Return(super::lists::value(&items));
    let plain = |args: &Arguments| args.bind(method, [], 0).map(|[]| ());
    let reply = match method {
        "__len__" => {
            plain(&args)?;
            Reply::Return(Value::from(dict.len() as i64))
        }
        "__contains__" | "has_key" => {
            let [id] = args.bind(method, ["key"], 1)?;
            Reply::Return(Value::from(dict.get(&key(&item(&args, id))?).is_some()))
        }
        "__getitem__" => {
            let [id] = args.bind(method, ["key"], 1)?;
            let name = item(&args, id);
            let found = dict.get(&key(&name)?).ok_or_else(|| key_error(&name))?;
            Reply::Return(found.root().to_value())
        }
        "__setitem__" => {
            let [id, new] = args.bind(method, ["key", "value"], 2)?;
            let (name, new) = (item(&args, id), item(&args, new));
            dict.set(key(&name)?, name, new);
            Reply::none()
        }
        "__delitem__" => {
            let [id] = args.bind(method, ["key"], 1)?;
            let name = item(&args, id);
            dict.remove(&key(&name)?).ok_or_else(|| key_error(&name))?;
            Reply::none()
        }
        "get" => {
            let [id, default] = args.bind(method, ["key", "default"], 1)?;
            match dict.get(&key(&item(&args, id))?) {
                Some(found) => Reply::Return(found.root().to_value()),
                None => Reply::Return(optional(&args, default).into_value()),
            }
        }
        "setdefault" => {
            let [id, default] = args.bind(method, ["key", "default"], 1)?;
            let name = item(&args, id);
            let key = key(&name)?;
            if dict.get(&key).is_none() {
                dict.set(key.clone(), name, optional(&args, default));
            }
            dict.get(&key).map_or_else(Reply::none, |found| Reply::Return(found.root().to_value()))
        }
        "pop" => {
            let [id, default] = args.bind(method, ["key", "default"], 1)?;
            let name = item(&args, id);
            match (dict.remove(&key(&name)?), default) {
                (Some(found), _) => Reply::Return(found.into_value()),
                (None, Some(default)) => Reply::Return(args.node(default).to_value()),
                (None, None) => return Err(key_error(&name)),
            }
        }
        "popitem" => {
            plain(&args)?;
            let (name, value) = dict.pop_last().ok_or_else(|| {
                Exception::new("builtins", "KeyError").with("popitem(): dictionary is empty")
            })?;
            Reply::Return(Value::tuple([name.into_value(), value.into_value()]))
        }
        "update" => {
            update(dict, &args)?;
            Reply::none()
        }
        "clear" => {
            plain(&args)?;
            dict.clear();
            Reply::none()
        }
        "copy" => {
            plain(&args)?;
            Reply::Return(value(dict))
        }
        "keys" => {
            plain(&args)?;
            list(dict.iter().map(|(name, _)| name.clone()).collect())
        }
        "values" => {
            plain(&args)?;
            list(dict.iter().map(|(_, value)| value.clone()).collect())
        }
        "items" => {
            plain(&args)?;
            let mut gather = Gather::default();
            let pairs: Vec<NodeId> = dict
                .iter()
                .map(|(name, value)| {
                    let pair = vec![gather.add(name), gather.add(value)];
                    gather.push(Node::Tuple(pair))
                })
                .collect();
            Reply::Return(gather.finish(Node::List(pairs)))
        }
        "__iter__" => {
            plain(&args)?;
            let names: Vec<Item> = dict.iter().map(|(name, _)| name.clone()).collect();
            let iterator = Thing::Iterator(names.into_iter());
            return Ok(Called::New("Iterator", Box::new(iterator)));
        }
        _ => return Ok(Called::Unknown),
    };
    Ok(reply.into())
}

pub(super) fn namespace(
    names: &mut Dict<String, (), Item>,
    method: &str,
    args: &Arguments,
) -> Result<Called, Exception> {
    let [name, new] = match method {
        "__setattr__" => args.bind(method, ["name", "value"], 2)?,
        _ => args.bind(method, ["name"], 1).map(|[name]| [name, None])?,
    };
    let name = text(args.node(name.expect("it is required")))?.to_owned();
    let missing = || attribute_error(format!("'Namespace' object has no attribute '{name}'"));
    Ok(match (method, new) {
        ("__getattribute__", _) => {
            Reply::Return(names.get(&name).ok_or_else(missing)?.root().to_value()).into()
        }
        ("__setattr__", Some(new)) => {
            names.set(name, (), Item::new(args.node(new).to_value()));
            Reply::none().into()
        }
        ("__delattr__", _) => {
            names.remove(&name).ok_or_else(missing)?;
            Reply::none().into()
        }
        _ => Called::Unknown,
    })
}

pub(super) fn shared_value(
    value: &mut Item,
    method: &str,
    args: Arguments,
) -> Result<Called, Exception> {
    match method {
        "get" => args.bind(method, [], 0).map(|[]| Reply::Return(value.root().to_value()).into()),
        "set" => {
            let [id] = args.bind(method, ["value"], 1)?;
            *value = Item::new(args.into_value(id.expect("it is required")));
            Ok(Reply::none().into())
        }
        _ => Ok(Called::Unknown),
    }
}
