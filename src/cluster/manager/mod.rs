//! A server of words, and a client to it, that speak with Python's `multiprocessing.managers` of CPython from 2.7 on.
//!
//! [`Server`] holds queues, locks, lists and so on, and serves them to whoever knows the key: [`Client`]s of this
//! library, and stock Python programs with a plain `BaseManager`. [`Client`] also talks to a server that is a stock
//! Python program. Nothing in a message is ever imported or called here.
//!
//! ```
//! use fourfold::cluster::manager::{Client, Key, Server};
//!
//! let key = Key::new(*b"a secret");
//! let server = Server::builder(key.clone()).queue("get_task_queue").bind("127.0.0.1:0")?;
//!
//! let client = Client::connect(server.address(), key)?;
//! let queue = client.queue::<(u32, String)>("get_task_queue")?;
//! queue.put((1, "one".to_owned()))?;
//! assert_eq!(queue.get()?, (1, "one".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! From a shell, `fourfold serve` serves, and `fourfold queue` takes part. The README shows it in three terminals, with a
//! producer and a worker in stock Python and a worker of this library, one of which is killed midway.
//!
//! # What the protocol can and cannot do
//!
//! Both ends prove that they know the key. Nothing is encrypted: beyond this machine a server takes an explicit
//! [`plaintext`](ServerBuilder::plaintext), and belongs behind a tunnel or in a network that is trusted.
//!
//! One thread serves all connections, so the number of clients is that of the descriptors the process may have. A
//! request that waits costs no thread, and one that moves a very long message holds up the others for that long.
//!
//! A connection that ends, by death or not, gives back the locks and permits it held. What it had taken from a queue
//! is handed back if the queue was made so: see [`HandBack`].
//!
//! # Where it differs from a stock server
//!
//! A stock server holds objects; this one holds values, and runs nothing of their classes.
//!
//! | of | a stock server | here |
//! | --- | --- | --- |
//! | the identity of items | two items that are one object, or share a part, do so for as long as they are there | items that were put as one object come back as one within a reply; a part that two items share is copied into each when they are put |
//! | classes that are not of Python's own | compares, orders and hashes by their methods | the same class with the same parts is equal; there is no order, which is a `TypeError`; a `namedtuple` is one of those, so put what is to be in order as a plain `tuple`, or with [`Queue::put_at`] |
//! | numbers, text, dates, `Decimal`, `Fraction`, sets | | the same, across their types |
//! | what an index or a number is | any object with `__index__` | an `int`, a `bool`, an instance of a subclass of `int`; an `IntEnum` is written as a call of its class and refused: pass `int(it)` |
//! | what is gone through (`extend`, `update`, `list(..)`) | anything | rows, text, ranges, arrays, the iterators and dicts of Python as data; a `map`, which calls a function, is a `TypeError` |
//! | how much one call compares | without bound, in a thread of its own | some thirty million parts, about a second; then it is a `RuntimeError` that says so |
//! | `str` of an object | as its Python shows it | as Python 3.12 does, cut after 64 KiB |
//! | a queue that is shut down | raises `queue.ShutDown`, from 3.13 on | the same; clients of Python up to 3.11 get `Empty` or `Full`: see [`Queue::shut_down`] |
//!
//! Not served: a `Pool`, which would run Python's functions; a `Condition` over the lock of another object; functions as
//! arguments, such as the `key` of `list.sort`; a `Barrier` with an action.

mod address;
mod client;
mod compare;
mod decimal;
mod hashed;
mod item;
mod key;
mod mapping;
mod moment;
mod number;
mod ratio;
mod server;

pub use self::address::{Address, ToAddress};
pub use self::client::{
    Barrier, CallError, Client, ClientBuilder, Condition, ConditionGuard, Dict, Event, GetError,
    List, Lock, LockGuard, Proxy, PutError, Queue, RLock, RLockGuard, Semaphore, SemaphoreGuard,
    SharedValue,
};
pub use self::key::{Key, read_key, write_new_key};
pub use self::server::{HandBack, QueueOptions, Server, ServerBuilder, ServerProcess, Stopper};
pub use fourfold_wire::pickle::{Globals, Value, from_value, to_value};
pub use fourfold_wire::talk::Exception;
