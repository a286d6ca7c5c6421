//! All objects of a manager, with their names and reference counts.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use fourfold_wire::talk::{Arguments, Exception};

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
    use super::*;

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
