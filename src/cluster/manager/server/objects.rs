//! All objects of a manager, with their names and reference counts.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use fourfold_wire::talk::{Arguments, Exception, Token};

use super::args::slice;
use super::errors::type_error;
use super::thing::{self, Thing};

/// An object's number. Its name on the wire is the number in hexadecimal; none is used twice.
pub(super) type ObjectId = u64;

pub(super) struct Object {
    pub(super) thing: Thing,
    /// How many proxies say that they are there.
    references: u64,
    /// Registered by name, or named within a value that somebody put into a word: it stays without references.
    kept: bool,
    /// How many connections wait for it.
    pub(super) waiting: usize,
}

#[derive(Default)]
pub(super) struct Objects {
    next: ObjectId,
    objects: BTreeMap<ObjectId, Object>,
    registered: HashMap<String, ObjectId>,
    /// Whether clients may create objects of their own.
    creation: bool,
}

pub(super) fn name(id: ObjectId) -> String {
    format!("{id:x}")
}

/// The number of an object's name, if it is written as we write it.
fn number(text: &str) -> Option<ObjectId> {
    let id = u64::from_str_radix(text, 16).ok()?;
    (name(id) == text).then_some(id)
}

/// Where numbers begin, or a random way behind it. Stock servers have the addresses of objects here, which look like
/// this, and "0" for themselves.
const FIRST: ObjectId = 0x7f00_0000_1000;

/// What is between one number and the next.
const STEP: ObjectId = 0x10;

/// Where the numbers of this server begin. A proxy may outlive its server, and call or give back what the next one at that
/// address has under its number: with a beginning of its own that is nothing.
fn first() -> ObjectId {
    // Keyed with random numbers of the system, anew each time.
    let random = RandomState::new().hash_one(FIRST);
    FIRST + (random >> 28) * STEP
}

/// How many names are told to who asks for another.
const NAMED: usize = 20;

/// The methods that take values and put none of them away.
const STORE_NOTHING: [&str; 11] = [
    "__add__",
    "__contains__",
    "__delitem__",
    "__getitem__",
    "__mul__",
    "count",
    "get",
    "has_key",
    "index",
    "pop",
    "remove",
];

/// Whether a request may put its arguments into a word. Of the commands, only what makes a word does.
pub(super) fn may_store(is_command: bool, function: &str) -> bool {
    match is_command {
        true => function == "create",
        false => !STORE_NOTHING.contains(&function),
    }
}

impl Objects {
    pub(super) fn new(registered: Vec<(String, Thing)>, creation: bool) -> Objects {
        let mut objects = Objects { next: first(), creation, ..Objects::default() };
        for (name, thing) in registered {
            let id = objects.add(thing);
            objects.object(id).expect("it was just added").kept = true;
            objects.registered.insert(name, id);
        }
        objects
    }

    pub(super) fn add(&mut self, thing: Thing) -> ObjectId {
        let id = self.next;
        self.next += STEP;
        self.objects.insert(id, Object { thing, references: 0, kept: false, waiting: 0 });
        id
    }

    pub(super) fn contains(&self, id: ObjectId) -> bool {
        self.objects.contains_key(&id)
    }

    pub(super) fn object(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(&id)
    }

    /// An object that proxies may call: one that has references.
    pub(super) fn find(&mut self, text: &str) -> Option<(ObjectId, &mut Object)> {
        let id = number(text)?;
        let object = self.objects.get_mut(&id)?;
        (object.references > 0 || object.kept).then_some((id, object))
    }

    /// The shared object of that name, or a new one of that kind, with one reference more.
    pub(super) fn create(
        &mut self,
        typeid: &str,
        args: &Arguments,
    ) -> Result<(ObjectId, &'static [&'static str]), Exception> {
        let id = match self.registered.get(typeid) {
            Some(&id) if args.is_empty() => id,
            Some(_) => return Err(type_error(format!("{typeid}() takes no arguments"))),
            None => {
                let thing = match self.creation {
                    true => thing::create(typeid, args),
                    false => None,
                };
                match thing {
                    Some(thing) => self.add(thing?),
                    None => return Err(self.no_such_name(typeid)),
                }
            }
        };
        let object = self.object(id).expect("it is there");
        object.references += 1;
        Ok((id, object.thing.exposed()))
    }

    /// The arguments of a request that goes through one of them: in the place of a proxy to an object of this server, what that
    /// holds. Nothing: they are as they are to be.
    ///
    /// A stock server makes the object itself of such a proxy, or a proxy of its own that it asks item by item. Elsewhere it
    /// stays a proxy, for the one who gets it.
    pub(super) fn opened(&self, function: &str, args: &Arguments) -> Option<Arguments> {
        let goes_through = match function {
            "extend" | "update" => 0,
            // The kind is the first argument.
            "create" => match args.get(0)?.as_str()? {
                "list" | "dict" => 1,
                "Array" => 2,
                _ => return None,
            },
            "__setitem__" if args.get(0).is_some_and(|at| matches!(slice(at), Ok(Some(_)))) => 1,
            "__setslice__" => 2,
            _ => return None,
        };
        let token = Token::of_proxy(args.get(goes_through)?)?;
        let object = self.objects.get(&number(&token.id)?)?;
        let contents = match &object.thing {
            thing @ (Thing::List(_) | Thing::Dict(_) | Thing::Array(_)) => thing.value()?,
            _ => return None,
        };
        let mut opened = args.clone();
        opened.replace(goes_through, contents);
        Some(opened)
    }

    /// As a stock server, with what there is besides.
    fn no_such_name(&self, typeid: &str) -> Exception {
        let mut names: Vec<&str> = self.registered.keys().map(String::as_str).collect();
        names.sort_unstable();
        let more = if names.len() > NAMED { ", ..." } else { "" };
        names.truncate(NAMED);
        let there = match names[..] {
            [] => "nothing is registered".to_owned(),
            _ => format!("there are: {}{more}", names.join(", ")),
        };
        Exception::new("builtins", "KeyError")
            .with(format!("{typeid:?} is not registered; {there}"))
    }

    /// One reference more to an object that was just made.
    pub(super) fn refer(&mut self, id: ObjectId) {
        if let Some(object) = self.object(id) {
            object.references += 1;
        }
    }

    pub(super) fn incref(&mut self, text: &str) -> Result<(), Exception> {
        let missing = || Exception::new("builtins", "KeyError").with(text);
        let (_, object) = self.find(text).ok_or_else(missing)?;
        object.references += 1;
        Ok(())
    }

    pub(super) fn decref(&mut self, text: &str) -> Result<(), Exception> {
        let missing = || Exception::new("builtins", "KeyError").with(text);
        let (id, object) = self.find(text).ok_or_else(missing)?;
        match object.references.checked_sub(1) {
            Some(left) => object.references = left,
            // A proxy within a value came without a reference of its own.
            None if object.kept => {}
            None => return Err(missing()),
        }
        self.drop_if_unused(id);
        Ok(())
    }

    /// Keeps the object for good: a proxy to it is within a value.
    pub(super) fn keep(&mut self, text: &str) {
        if let Some((_, object)) = self.find(text) {
            object.kept = true;
        }
    }

    pub(super) fn drop_if_unused(&mut self, id: ObjectId) {
        if self
            .objects
            .get(&id)
            .is_some_and(|object| object.references == 0 && !object.kept && object.waiting == 0)
        {
            self.objects.remove(&id);
        }
    }

    /// How many objects have references.
    pub(super) fn count(&self) -> usize {
        self.objects.values().filter(|object| object.references > 0).count()
    }

    /// A text about all objects that have references, as stock servers give it.
    pub(super) fn debug_info(&self) -> String {
        let mut lines: Vec<String> = self
            .objects
            .iter()
            .filter(|(_, object)| object.references > 0)
            .map(|(&id, object)| {
                let shown: String = object.thing.describe().chars().take(75).collect();
                format!("  {}:       refcount={}\n    {shown}", name(id), object.references)
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use fourfold_wire::Dialect;
    use fourfold_wire::pickle::{Builder, Made, Node, Reader, Value};
    use fourfold_wire::talk::{Address, Request};

    use super::*;

    /// Arguments as they come.
    fn arguments(args: &[Value]) -> Arguments {
        let pickle = Request::write(None, "create", args, &[], Dialect::Python3, Vec::new());
        let request = Request::read(&Reader::new(), &pickle.expect("plain values"));
        request.expect("a request").arguments
    }

    /// `RebuildProxy(AutoProxy, token, 'pickle', {})`
    fn proxy(id: &str) -> Value {
        let mut builder = Builder::new();
        let callable = builder.global("multiprocessing.managers", "RebuildProxy");
        let function = builder.global("multiprocessing.managers", "AutoProxy");
        let address = Address::Tcp("127.0.0.1".into(), 1);
        let token = Token { typeid: "list".into(), address, id: id.into() };
        let token = builder.value(token.to_value());
        let (how, named) = (builder.str("pickle"), builder.push(Node::Dict(Vec::new())));
        let args = builder.tuple([function, token, how, named]);
        let root = builder.object(Made::Reduce { callable, args });
        builder.finish(root)
    }

    #[test]
    fn a_proxy_that_is_gone_through_is_what_it_stands_for() {
        let mut objects = Objects::new(Vec::new(), true);
        let new = |objects: &mut Objects, typeid: &str, args: &[Value]| {
            // As the request comes, before its first argument is split off.
            let all: Vec<Value> = [Value::from(typeid)].iter().chain(args).cloned().collect();
            let opened = objects.opened("create", &arguments(&all));
            let values = opened.map(|all| all.iter().skip(1).map(|node| node.to_value()).collect());
            let args: Vec<Value> = values.unwrap_or_else(|| args.to_vec());
            objects.create(typeid, &arguments(&args)).map(|(id, _)| id)
        };
        let row = || Value::list([1.into(), 2.into()]);
        let list = new(&mut objects, "list", &[row()]).expect("a list");
        let of_list = || proxy(&name(list));
        let copy = new(&mut objects, "list", &[of_list()]).expect("a list");
        let shown = |objects: &mut Objects, id| objects.object(id).expect("one").thing.describe();
        assert_eq!(shown(&mut objects, copy), "[1, 2]");
        let array = new(&mut objects, "Array", &["i".into(), of_list()]).expect("an array");
        assert_eq!(shown(&mut objects, array), "array('i', [1, 2])");
        let dict = new(&mut objects, "dict", &[Value::dict([("k".into(), 1.into())])]);
        let dict = dict.expect("a dict");
        let copy = new(&mut objects, "dict", &[proxy(&name(dict))]).expect("a dict");
        assert_eq!(shown(&mut objects, copy), "{'k': 1}");

        let opened = |method: &str, args: &[Value]| {
            let opened = objects.opened(method, &arguments(args))?;
            opened.iter().last().map(|node| node.to_value().to_string())
        };
        let slice = Value::read(b"\x80\x04cbuiltins\nslice\nK\x00K\x01N\x87R.").expect("a slice");
        assert_eq!(opened("extend", &[of_list()]).as_deref(), Some("[1, 2]"));
        assert_eq!(opened("__setitem__", &[slice, of_list()]).as_deref(), Some("[1, 2]"));
        assert_eq!(
            opened("__setslice__", &[0.into(), 1.into(), of_list()]).as_deref(),
            Some("[1, 2]")
        );
        assert_eq!(opened("create", &["list".into(), of_list()]).as_deref(), Some("[1, 2]"));
        // What is put away as it is, is for those who get it.
        assert_eq!(opened("__setitem__", &[0.into(), of_list()]), None);
        assert_eq!(opened("append", &[of_list()]), None);
        assert_eq!(opened("extend", &[Value::list([of_list()])]), None);
        assert_eq!(opened("extend", &[proxy("12345")]), None);
        let event = new(&mut objects, "Event", &[]).expect("an event");
        for id in [name(event), "12345".to_owned()] {
            let error =
                new(&mut objects, "list", &[proxy(&id)]).expect_err("nothing to go through");
            assert!(
                error.is("builtins", "TypeError") && error.to_string().contains("proxy"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_may_be_put_away_keeps_its_object() {
        for (is_command, function, keeps) in [
            (true, "create", true),
            (true, "get_methods", false),
            (true, "decref", false),
            (false, "put", true),
            (false, "setdefault", true),
            (false, "a method of a later version", true),
            (false, "count", false),
            (false, "pop", false),
        ] {
            assert_eq!(may_store(is_command, function), keeps, "{function}");
        }
    }
}
