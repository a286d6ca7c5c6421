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
