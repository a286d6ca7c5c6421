//! Lists, dicts and values on a server.

use std::fmt;
use std::marker::PhantomData;

use fourfold_wire::pickle::{Value, from_value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CallError, Proxy};

/// One value on a server.
pub struct SharedValue<T> {
    proxy: Proxy,
    value: PhantomData<fn(T) -> T>,
}

/// A list on a server.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, Key, Server};
///
/// let key = Key::new(*b"abc");
/// let server = Server::builder(key.clone()).list("names").bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let names = client.list::<String>("names")?;
/// names.push(&"b".to_owned())?;
/// names.push(&"a".to_owned())?;
/// names.sort()?;
/// assert_eq!(names.to_vec()?, ["a", "b"]);
/// assert_eq!(names.get(-1)?, Some("b".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct List<T> {
    proxy: Proxy,
    items: PhantomData<fn(T) -> T>,
}

/// A dict on a server, in the order of insertion.
pub struct Dict<K, V> {
    proxy: Proxy,
    entries: PhantomData<Entries<K, V>>,
}

/// Takes entries and gives them; it holds none.
type Entries<K, V> = fn(K, V) -> (K, V);

macro_rules! proxies {
    ($($word:ident<$($t:ident),*> $marker:ident $what:literal),*) => {$(
        impl<$($t),*> Clone for $word<$($t),*> {
            fn clone(&self) -> Self {
                $word::new(self.proxy.clone())
            }
        }

        impl<$($t),*> fmt::Debug for $word<$($t),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($word)).field(&self.proxy.id()).finish()
            }
        }

        impl<$($t),*> $word<$($t),*> {
            #[doc = concat!("A proxy as ", $what, ".")]
            pub fn new(proxy: Proxy) -> Self {
                $word { proxy, $marker: PhantomData }
            }

            /// What it is made of.
            pub fn proxy(&self) -> &Proxy {
                &self.proxy
            }
        }
    )*};
}

proxies!(SharedValue<T> value "a value", List<T> items "a list", Dict<K, V> entries "a dict");

/// What is missing is `None`.
fn unless(found: Result<Value, CallError>, exception: &str) -> Result<Option<Value>, CallError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is("builtins", exception) => Ok(None),
        Err(error) => Err(error),
    }
}

fn typed<T: DeserializeOwned>(value: Option<Value>) -> Result<Option<T>, CallError> {
    Ok(value.map(|value| from_value(&value)).transpose()?)
}

impl<T: Serialize + DeserializeOwned> SharedValue<T> {
    /// The value.
    ///
    /// # Errors
    ///
    /// The connection failed, or the value is none of this type; here and for all methods of lists and dicts.
    pub fn get(&self) -> Result<T, CallError> {
        self.proxy.get("get", &[])
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// As [`get`](SharedValue::get).
    pub fn set(&self, value: &T) -> Result<(), CallError> {
        self.proxy.tell("set", &[to_value(value)?])
    }
}

impl<T: Serialize + DeserializeOwned> List<T> {
    /// How many items it has.
    ///
    /// # Errors
    ///
    /// As [`SharedValue::get`], here and below.
    pub fn len(&self) -> Result<usize, CallError> {
        self.proxy.get("__len__", &[])
    }

    /// Whether it has no items.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        self.len().map(|len| len == 0)
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn push(&self, item: &T) -> Result<(), CallError> {
        self.proxy.tell("append", &[to_value(item)?])
    }

    /// Adds items at the end.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn extend(&self, items: &[T]) -> Result<(), CallError> {
        self.proxy.tell("extend", &[to_value(items)?])
    }

    /// Takes the last item.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn pop(&self) -> Result<Option<T>, CallError> {
        typed(unless(self.proxy.call("pop", &[], &[]), "IndexError")?)
    }

    /// An item. A negative index counts from the end.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn get(&self, index: i64) -> Result<Option<T>, CallError> {
        typed(unless(self.proxy.call("__getitem__", &[index.into()], &[]), "IndexError")?)
    }

    /// Replaces an item, and says whether it was there.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn set(&self, index: i64, item: &T) -> Result<bool, CallError> {
        let args = [index.into(), to_value(item)?];
        let set = unless(self.proxy.call("__setitem__", &args, &[]), "IndexError")?;
        Ok(set.is_some())
    }

    /// Sorts the items as Python compares them.
    ///
    /// # Errors
    ///
    /// Two items have no order, or as [`len`](List::len).
    pub fn sort(&self) -> Result<(), CallError> {
        self.proxy.tell("sort", &[])
    }

    /// All items.
    ///
    /// # Errors
    ///
    /// As [`len`](List::len).
    pub fn to_vec(&self) -> Result<Vec<T>, CallError> {
        self.proxy.get("#GETVALUE", &[])
    }
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// How many entries it has.
    ///
    /// # Errors
    ///
    /// As [`SharedValue::get`], here and below.
    pub fn len(&self) -> Result<usize, CallError> {
        self.proxy.get("__len__", &[])
    }

    /// Whether it has no entries.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        self.len().map(|len| len == 0)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn get(&self, key: &K) -> Result<Option<V>, CallError> {
        typed(unless(self.proxy.call("__getitem__", &[to_value(key)?], &[]), "KeyError")?)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// The key is of a type that Python has no keys of, or as [`len`](Dict::len).
    pub fn insert(&self, key: &K, value: &V) -> Result<(), CallError> {
        self.proxy.tell("__setitem__", &[to_value(key)?, to_value(value)?])
    }

    /// Takes the value of a key out.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn remove(&self, key: &K) -> Result<Option<V>, CallError> {
        typed(unless(self.proxy.call("pop", &[to_value(key)?], &[]), "KeyError")?)
    }

    /// Whether there is a value of that key.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn contains_key(&self, key: &K) -> Result<bool, CallError> {
        self.proxy.get("__contains__", &[to_value(key)?])
    }

    /// All entries.
    ///
    /// # Errors
    ///
    /// As [`len`](Dict::len).
    pub fn to_vec(&self) -> Result<Vec<(K, V)>, CallError> {
        let items = self.proxy.call("items", &[], &[])?;
        // A stock server of Python 3 sends the call that makes a list of them.
        let root = items.root();
        let list = root.made_with().and_then(|mut args| args.next()).unwrap_or(root);
        Ok(from_value(&list.to_value())?)
    }
}
