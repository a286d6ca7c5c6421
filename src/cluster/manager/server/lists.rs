//! The methods of lists and iterators.
//!
//! An item is a value of its own, which others may refer to: an item that is there twice is one [`Item`], and [`Gather`] makes
//! it one again in a reply. That is all there is of identity: each reply is a copy, as it is of a stock server too, and what
//! two items have in common inside is taken apart when they come, by [`items`].

use std::collections::HashMap;
use std::sync::Arc;

use fourfold_wire::pickle::{Builder, Made, Node, NodeId, Value};
use fourfold_wire::talk::{Arguments, Exception, Reply};

use super::args::{bound, index as at, int, slice, type_of};
use super::errors::{list_error, type_error, value_error};
use super::iterable::items;
use super::thing::{Called, flag};
use crate::cluster::manager::item::Item;
use crate::words::{List, ListError, Slice};

/// The items as a list of Python.
pub(super) fn value(items: &[Item]) -> Value {
    let mut gather = Gather::default();
    let ids: Vec<NodeId> = items.iter().map(|item| gather.add(item)).collect();
    gather.finish(Node::List(ids))
}

/// Puts items together in one value. One that is there more than once is shared, not copied.
#[derive(Default)]
pub(super) struct Gather {
    builder: Builder,
    there: HashMap<*const Value, NodeId>,
}

impl Gather {
    /// The items live until the end: their places in memory tell them apart.
    pub(super) fn add(&mut self, item: &Item) -> NodeId {
        // Shorter than a reference to it.
        if let plain @ (Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_)) =
            item.root().node()
        {
            return self.builder.push(plain.clone());
        }
        // Nobody else has it: it cannot come again.
        if Arc::strong_count(&item.0) == 1 {
            return self.builder.copy(item.root());
        }
        let builder = &mut self.builder;
        *self.there.entry(Arc::as_ptr(&item.0)).or_insert_with(|| builder.copy(item.root()))
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        self.builder.push(node)
    }

    pub(super) fn finish(mut self, root: Node) -> Value {
        let root = self.builder.push(root);
        self.builder.finish(root)
    }
}

/// A call of a class or function.
pub(super) fn call(module: &str, name: &str, args: impl IntoIterator<Item = Value>) -> Value {
    let mut builder = Builder::new();
    let callable = builder.global(module, name);
    let args: Vec<NodeId> = args.into_iter().map(|arg| builder.value(arg)).collect();
    let args = builder.tuple(args);
    let root = builder.object(Made::Reduce { callable, args });
    builder.finish(root)
}

pub(super) fn whole(number: usize) -> Reply {
    Reply::Return(Value::from(number as i64))
}

/// The bounds of Python 2's `__getslice__` and the like, which are never negative by then, and may be huge.
pub(super) fn bounds(args: &Arguments, ids: [Option<NodeId>; 2]) -> Result<Slice, Exception> {
    let bound = |id: Option<NodeId>| id.map(|id| bound(args.node(id))).transpose();
    Ok(Slice { start: bound(ids[0])?, stop: bound(ids[1])?, step: None })
}

pub(super) fn list(
    list: &mut List<Item>,
    method: &str,
    args: Arguments,
) -> Result<Called, Exception> {
    let wrong = |error| list_error(error, "list");
    let required = |id: Option<NodeId>| id.expect("it is required");
    let item = |args: &Arguments, id| Item::new(args.node(required(id)).to_value());
    let reply = match method {
        "__len__" => args.bind(method, [], 0).map(|[]| whole(list.items().len()))?,
        "append" => {
            let [id] = args.bind(method, ["object"], 1)?;
            list.append(Item::new(args.into_value(required(id))));
            Reply::none()
        }
        "extend" => {
            let [id] = args.bind(method, ["iterable"], 1)?;
            list.extend(items(args.node(required(id)))?);
            Reply::none()
        }
        "insert" => {
            let [index, id] = args.bind(method, ["index", "object"], 2)?;
            list.insert(int(args.node(required(index)))?, item(&args, id));
            Reply::none()
        }
        "pop" => {
            let [index] = args.bind(method, ["index"], 0)?;
            let index = index.map(|id| int(args.node(id))).transpose()?.unwrap_or(-1);
            if list.items().is_empty() {
                return Err(Exception::new("builtins", "IndexError").with("pop from empty list"));
            }
            let popped = list.pop(index).map_err(|error| list_error(error, "pop"))?;
            Reply::Return(popped.into_value())
        }
        "remove" => {
            let [id] = args.bind(method, ["value"], 1)?;
            list.remove(&item(&args, id)).map_err(|error| match error {
                ListError::NotFound => value_error("list.remove(x): x not in list"),
                error => wrong(error),
            })?;
            Reply::none()
        }
        "index" => {
            let [id, start, stop] = args.bind(method, ["value", "start", "stop"], 1)?;
            let Slice { start, stop, .. } = bounds(&args, [start, stop])?;
            whole(list.index(&item(&args, id), start, stop).map_err(wrong)?)
        }
        "count" => {
            let [id] = args.bind(method, ["value"], 1)?;
            whole(list.count(&item(&args, id)).map_err(wrong)?)
        }
        "__contains__" => {
            let [id] = args.bind(method, ["key"], 1)?;
            Reply::Return(Value::from(list.contains(&item(&args, id)).map_err(wrong)?))
        }
        "reverse" => args.bind(method, [], 0).map(|[]| list.reverse()).map(|()| Reply::none())?,
        "clear" => args.bind(method, [], 0).map(|[]| list.clear()).map(|()| Reply::none())?,
        "copy" => args.bind(method, [], 0).map(|[]| Reply::Return(value(list.items())))?,
        "sort" => sort(list, &args)?,
        "__getitem__" => {
            let [id] = args.bind(method, ["index"], 1)?;
            let index = args.node(required(id));
            match slice(index)? {
                Some(slice) => Reply::Return(value(&list.slice(slice).map_err(wrong)?)),
                None => Reply::Return(list.get(at(index)?).map_err(wrong)?.into_value()),
            }
        }
        "__setitem__" => {
            let [index, id] = args.bind(method, ["index", "value"], 2)?;
            let (index, new) = (args.node(required(index)), args.node(required(id)));
            match slice(index)? {
                Some(slice) => list.set_slice(slice, items(new)?).map_err(wrong)?,
                None => list
                    .set(at(index)?, Item::new(new.to_value()))
                    .map_err(|error| list_error(error, "list assignment"))?,
            }
            Reply::none()
        }
        "__delitem__" => {
            let [id] = args.bind(method, ["index"], 1)?;
            let index = args.node(required(id));
            match slice(index)? {
                Some(slice) => list.delete_slice(slice).map_err(wrong)?,
                None => {
                    list.delete(at(index)?).map_err(|error| list_error(error, "list assignment"))?
                }
            }
            Reply::none()
        }
        "__getslice__" => {
            let slice = bounds(&args, args.bind(method, ["i", "j"], 2)?)?;
            Reply::Return(value(&list.slice(slice).map_err(wrong)?))
        }
        "__setslice__" => {
            let [start, stop, new] = args.bind(method, ["i", "j", "y"], 3)?;
            let slice = bounds(&args, [start, stop])?;
            list.set_slice(slice, items(args.node(required(new)))?).map_err(wrong)?;
            Reply::none()
        }
        "__delslice__" => {
            let slice = bounds(&args, args.bind(method, ["i", "j"], 2)?)?;
            list.delete_slice(slice).map_err(wrong)?;
            Reply::none()
        }
        "__add__" => {
            let [id] = args.bind(method, ["value"], 1)?;
            let other = args.node(required(id));
            if !matches!(other.node(), Node::List(_)) {
                let what =
                    format!("can only concatenate list (not \"{}\") to list", type_of(other));
                return Err(type_error(what));
            }
            let mut all = list.items().to_vec();
            all.extend(items(other)?);
            Reply::Return(value(&all))
        }
        "__mul__" | "__rmul__" | "__imul__" => {
            let [id] = args.bind(method, ["value"], 1)?;
            let all = list.repeated(int(args.node(required(id)))?).map_err(wrong)?;
            let reply = Reply::Return(value(&all));
            if method == "__imul__" {
                list.replace(all);
            }
            reply
        }
        "__reversed__" => {
            let mut all = list.items().to_vec();
            all.reverse();
            Reply::Return(call("builtins", "iter", [value(&all)]))
        }
        _ => return Ok(Called::Unknown),
    };
    Ok(reply.into())
}

fn sort(list: &mut List<Item>, args: &Arguments) -> Result<Reply, Exception> {
    // Python 2 has `cmp` in front; what neither may do is bring a function along.
    let names = if args.is_empty() || args.iter().len() == 0 {
        args.bind("sort", ["key", "reverse", "cmp"], 0)?
    } else {
        args.bind("sort", ["cmp", "key", "reverse"], 0)
            .map(|[cmp, key, reverse]| [key, reverse, cmp])?
    };
    let [key, reverse, cmp] = names;
    if [key, cmp].into_iter().flatten().any(|id| !args.node(id).is_none()) {
        return Err(type_error("functions are not called here: sort takes neither key nor cmp"));
    }
    list.sort(flag(args, reverse)).map_err(|error| list_error(error, "list"))?;
    Ok(Reply::none())
}

pub(super) fn iterator(
    rest: &mut std::vec::IntoIter<Item>,
    method: &str,
) -> Result<Called, Exception> {
    match method {
        "__next__" | "next" | "send" => match rest.next() {
            Some(item) => Ok(Reply::Return(item.into_value()).into()),
            None => Err(Exception::new("builtins", "StopIteration")),
        },
        "close" | "throw" => {
            *rest = Vec::new().into_iter();
            match method {
                "close" => Ok(Reply::none().into()),
                _ => Err(Exception::new("builtins", "StopIteration")),
            }
        }
        _ => Ok(Called::Unknown),
    }
}
