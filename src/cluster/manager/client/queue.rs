//! A queue on a server.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use fourfold_wire::pickle::{Value, from_value, to_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::handle::Terms;
use super::proxy::seconds;
use super::{CallError, GetError, Proxy, PutError};

/// A queue on a server, of items of one Rust type. Cheap to clone, and for all threads.
///
/// What Python puts is taken as serde asks for it: `dict`s as maps and structs, `tuple`s and `list`s as sequences. For
/// items of any kind there is `Queue<serde_json::Value>`, or [`Proxy::call`] with a [`Value`] that loses nothing.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, GetError, Key, PutError, QueueOptions, Server};
///
/// let key = Key::new(*b"abc");
/// let options = QueueOptions::default().capacity(1);
/// let server = Server::builder(key.clone()).queue_with("jobs", options).bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let jobs = client.queue::<String>("jobs")?;
/// jobs.put("one".to_owned())?;
/// assert!(matches!(jobs.try_put("two".to_owned()), Err(PutError::Full(two)) if two == "two"));
/// assert_eq!(jobs.get()?, "one");
/// assert!(matches!(jobs.try_get(), Err(GetError::Empty)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T> {
    proxy: Proxy,
    items: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue::new(self.proxy.clone())
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.proxy.id()).finish()
    }
}

impl<T> Queue<T> {
    /// A proxy as a queue of such items.
    pub fn new(proxy: Proxy) -> Queue<T> {
        Queue { proxy, items: PhantomData }
    }

    /// What it is made of.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// How many items are in it.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn len(&self) -> Result<usize, CallError> {
        self.proxy.get("qsize", &[])
    }

    /// Whether no item is in it.
    ///
    /// # Errors
    ///
    /// As [`len`](Queue::len).
    pub fn is_empty(&self) -> Result<bool, CallError> {
        self.proxy.get("empty", &[])
    }

    /// Whether there is no room in it.
    ///
    /// # Errors
    ///
    /// As [`len`](Queue::len).
    pub fn is_full(&self) -> Result<bool, CallError> {
        self.proxy.get("full", &[])
    }

    /// Says that an item that came out of the queue is done.
    ///
    /// # Errors
    ///
    /// There were not as many items, or as [`len`](Queue::len).
    pub fn task_done(&self) -> Result<(), CallError> {
        self.proxy.tell("task_done", &[])
    }

    /// Waits until all items that were put are said to be done.
    ///
    /// # Errors
    ///
    /// As [`len`](Queue::len).
    pub fn join(&self) -> Result<(), CallError> {
        self.proxy.tell("join", &[])
    }

    /// Shuts the queue down: nothing more is put; what is in it can still be got, unless `immediate` drops it.
    ///
    /// A put or a get is then [`PutError::ShutDown`] or [`GetError::ShutDown`], and `queue.ShutDown` to Python from 3.13 on.
    /// Python up to 3.11 has no such exception, and gets `queue.Full` or `queue.Empty` from a server of this library. Python
    /// 3.12 has none either, but speaks as 3.13 does: it is sent `queue.ShutDown` and raises an `AttributeError` that names it.
    ///
    /// # Errors
    ///
    /// The server is a Python program before 3.13, which knows no such thing, or as [`len`](Queue::len).
    pub fn shut_down(&self, immediate: bool) -> Result<(), CallError> {
        self.proxy.tell("shutdown", &[Value::from(immediate)])
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts an item, and waits for room.
    ///
    /// # Errors
    ///
    /// The item comes back with the reason, here and below.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, "put", |item| vec![item], Terms::default())
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], or as [`put`](Queue::put).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, "put_nowait", |item| vec![item], Terms::at_once())
    }

    /// Puts an item, and waits for room for so long.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`], or as [`put`](Queue::put).
    pub fn put_timeout(&self, item: T, limit: Duration) -> Result<(), PutError<T>> {
        let args = |item| vec![item, Value::from(true), seconds(limit)];
        self.put_with(item, "put", args, Terms::within(limit))
    }

    /// Puts an item into a priority queue by a priority of its own: items that have no order. Of equal priorities, the
    /// first comes first.
    ///
    /// # Errors
    ///
    /// The server is a Python program, which knows no such thing, or as [`put`](Queue::put).
    pub fn put_at<P: Serialize>(&self, priority: P, item: T) -> Result<(), PutError<T>> {
        match to_value(&priority) {
            Ok(priority) => {
                self.put_with(item, "put_at", |item| vec![priority, item], Terms::default())
            }
            Err(error) => Err(PutError::Failed(item, error.into())),
        }
    }

    fn put_with(
        &self,
        item: T,
        method: &str,
        args: impl FnOnce(Value) -> Vec<Value>,
        terms: Terms,
    ) -> Result<(), PutError<T>> {
        let put = to_value(&item)
            .map_err(CallError::from)
            .and_then(|value| self.proxy.call_by(method, &args(value), &[], terms));
        put.map(drop).map_err(|error| PutError::new(item, error))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes an item, and waits for one.
    ///
    /// # Errors
    ///
    /// The queue was shut down, the item is none of this type, which loses it, or the connection failed.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_with("get", &[], Terms::default())
    }

    /// Takes an item if there is one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`get`](Queue::get).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_with("get_nowait", &[], Terms::at_once())
    }

    /// Takes an item, and waits for one for so long.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or as [`get`](Queue::get).
    pub fn get_timeout(&self, limit: Duration) -> Result<T, GetError> {
        self.get_with("get", &[Value::from(true), seconds(limit)], Terms::within(limit))
    }

    fn get_with(&self, method: &str, args: &[Value], terms: Terms) -> Result<T, GetError> {
        let value = self.proxy.call_by(method, args, &[], terms).map_err(GetError::new)?;
        from_value(&value).map_err(|error| GetError::Failed(error.into()))
    }
}
