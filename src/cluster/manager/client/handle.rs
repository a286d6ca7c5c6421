//! A client of one server: where proxies come from.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fourfold_wire::pickle::Value;
use fourfold_wire::talk::{ClientOptions, Reply};

use super::link::Link;
use super::stream::Deadline;
use super::{
    Barrier, CallError, ClientBuilder, Condition, Dict, Event, List, Lock, Proxy, Queue, RLock,
    Semaphore, SharedValue,
};
use crate::cluster::manager::address::ToAddress;
use crate::cluster::manager::{Address, Key};
use crate::error::Result;

/// A client of one server, ours or a stock Python program's. Cheap to clone.
///
/// # Examples
///
/// The worker of a Python producer:
///
/// ```
/// use fourfold::cluster::manager::{Client, GetError, Key, Server};
/// use std::time::Duration;
///
/// # let key = Key::new(*b"abc");
/// # let server = Server::builder(key.clone())
/// #     .queue("get_task_queue").queue("get_result_queue").bind("127.0.0.1:0")?;
/// # let address = server.address().clone();
/// let client = Client::connect(&address, key)?;
/// let tasks = client.queue::<i64>("get_task_queue")?;
/// let results = client.queue::<(i64, i64)>("get_result_queue")?;
/// # tasks.put(3)?;
/// loop {
///     match tasks.get_timeout(Duration::from_millis(10)) {
///         Ok(n) => results.put((n, n * n))?,
///         Err(GetError::Empty) => break,
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # assert_eq!(results.get()?, (3, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.shared.address).finish_non_exhaustive()
    }
}

/// What a client and its proxies have in common.
pub(super) struct Shared {
    id: u64,
    address: Address,
    /// With what is known of the server so far.
    options: Mutex<ClientOptions>,
    timeout: Duration,
    grace: Duration,
}

thread_local! {
    /// The lasting connections of this thread, by their client's number.
    static LINKS: RefCell<HashMap<u64, (Weak<Shared>, Link)>> = RefCell::new(HashMap::new());
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// On the connection of this number, or not at all.
    pub(super) link: Option<u64>,
    /// How long the server is asked to wait.
    pub(super) limit: Option<Duration>,
}

impl Terms {
    /// A call that waits for so long.
    pub(super) fn within(limit: Duration) -> Terms {
        Terms { limit: Some(limit), link: None }
    }

    /// A call that does not wait.
    pub(super) fn at_once() -> Terms {
        Terms::within(Duration::ZERO)
    }
}

/// How long the reference of a proxy that is dropped is given back for.
const GOODBYE: Duration = Duration::from_secs(1);

impl Shared {
    fn connect(&self, deadline: Deadline) -> Result<Link> {
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Link::connect(&self.address, &options, deadline)
    }

    fn learn(&self, link: &Link) {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).peer = link.peer();
    }

    /// Asks the server itself, on a connection of its own, as the protocol has it.
    pub(super) fn command(
        &self,
        function: &str,
        args: &[Value],
        limit: Duration,
    ) -> std::result::Result<Value, CallError> {
        let deadline = Deadline::after(limit);
        let mut link = self.connect(deadline)?;
        let reply = link.ask(None, function, args, &[], deadline)?;
        self.learn(&link);
        match value(reply)? {
            Ok(value) => Ok(value),
            Err(_) => Err(CallError::Refused("a proxy in place of a value".to_owned())),
        }
    }

    /// Calls a method of an object, on this thread's lasting connection.
    pub(super) fn call(
        self: &Arc<Self>,
        target: &str,
        method: &str,
        args: &[Value],
        named: &[(&str, Value)],
        terms: Terms,
    ) -> std::result::Result<std::result::Result<Value, Reply>, CallError> {
        let mut link = match (self.take_link(), terms.link) {
            (Some(link), Some(number)) if link.number() != number => {
                self.keep(link);
                return Err(CallError::lost_hold());
            }
            (Some(link), _) => link,
            (None, Some(_)) => return Err(CallError::lost_hold()),
            (None, None) => self.open()?,
        };
        let deadline = match terms.limit {
            Some(limit) => Deadline::after(limit.saturating_add(self.grace)),
            None => Deadline::NEVER,
        };
        let reply = link.ask(Some(target), method, args, named, deadline);
        if link.is_usable() {
            self.keep(link);
        }
        value(reply?)
    }

    /// The number of this thread's lasting connection.
    pub(super) fn link(&self) -> Option<u64> {
        // A thread that ends drops its connections, and guards may be dropped after them.
        let number =
            LINKS.try_with(|links| links.borrow().get(&self.id).map(|(_, link)| link.number()));
        number.ok().flatten()
    }

    fn take_link(&self) -> Option<Link> {
        let kept = LINKS.try_with(|links| links.borrow_mut().remove(&self.id)).ok().flatten();
        // A forked process has a copy, and the same connection is its parent's.
        kept.map(|(_, link)| link).filter(Link::is_of_this_process)
    }

    fn keep(self: &Arc<Self>, link: Link) {
        let kept = (Arc::downgrade(self), link);
        let _ = LINKS.try_with(|links| links.borrow_mut().insert(self.id, kept));
    }

    fn open(&self) -> std::result::Result<Link, CallError> {
        // What belongs to clients that are gone.
        let _ = LINKS.try_with(|links| {
            links.borrow_mut().retain(|_, (client, _)| client.strong_count() > 0);
        });
        let deadline = Deadline::after(self.timeout);
        let mut link = self.connect(deadline)?;
        let thread = std::thread::current();
        let name = Value::from(thread.name().unwrap_or("thread"));
        let reply = link.ask(None, "accept_connection", &[name], &[], deadline)?;
        self.learn(&link);
        value(reply)?.map_err(|_| CallError::Refused("a proxy in place of a value".to_owned()))?;
        Ok(link)
    }

    /// Gives a reference back, as well as it goes.
    pub(super) fn goodbye(&self, id: &str) {
        let _ = self.command("decref", &[Value::from(id)], GOODBYE.min(self.timeout));
    }
}

/// The value of a reply, or the proxy.
fn value(reply: Reply) -> std::result::Result<std::result::Result<Value, Reply>, CallError> {
    match reply {
        Reply::Return(value) => Ok(Ok(value)),
        proxy @ Reply::Proxy { .. } => Ok(Err(proxy)),
        Reply::Error(exception) => Err(CallError::Raised(exception)),
        Reply::Traceback(text) | Reply::Unserializable(text) => Err(CallError::Refused(text)),
        _ => Err(CallError::Refused("a reply of an unknown kind".to_owned())),
    }
}

impl Client {
    /// Connects to a server with the defaults.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or has another key.
    pub fn connect(address: impl ToAddress, key: Key) -> Result<Client> {
        Client::builder(key).connect(address)
    }

    /// A client with other settings.
    pub fn builder(key: Key) -> ClientBuilder {
        ClientBuilder::new(key)
    }

    pub(super) fn new(
        address: Address,
        options: ClientOptions,
        timeout: Duration,
        grace: Duration,
    ) -> Result<Client> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            options: Mutex::new(options),
            timeout,
            grace,
        });
        shared.command("dummy", &[], timeout)?;
        Ok(Client { shared })
    }

    /// Where the server listens.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// A proxy for the object that the server has registered under a name, or for a new one of that kind.
    ///
    /// # Errors
    ///
    /// The server has no such name, or does not take these arguments.
    pub fn proxy(&self, typeid: &str, args: &[Value]) -> std::result::Result<Proxy, CallError> {
        let mut all = vec![Value::from(typeid)];
        all.extend_from_slice(args);
        let created = self.shared.command("create", &all, self.shared.timeout)?;
        let wrong = || CallError::Refused("create() did not give a name and methods".to_owned());
        let root = created.root();
        let id = root.item(0).and_then(|id| id.as_str()).ok_or_else(wrong)?.to_owned();
        let exposed = root.item(1).and_then(|names| names.items()).ok_or_else(wrong)?;
        let exposed = exposed.filter_map(|name| name.as_str()).map(str::to_owned).collect();
        Ok(Proxy::new(self.shared.clone(), id, exposed))
    }

    /// A queue by its registered name.
    ///
    /// # Errors
    ///
    /// As [`proxy`](Client::proxy), here and below.
    pub fn queue<T>(&self, name: &str) -> std::result::Result<Queue<T>, CallError> {
        self.proxy(name, &[]).map(Queue::new)
    }

    /// A new queue for so many items; zero: as many as there is memory.
    pub fn new_queue<T>(&self, capacity: usize) -> std::result::Result<Queue<T>, CallError> {
        self.proxy("Queue", &[Value::from(capacity as i64)]).map(Queue::new)
    }

    /// A lock by its registered name, or a new one by `"Lock"`.
    pub fn lock(&self, name: &str) -> std::result::Result<Lock, CallError> {
        self.proxy(name, &[]).map(Lock::new)
    }

    /// A lock that its holder may take again, by its registered name, or a new one by `"RLock"`.
    pub fn rlock(&self, name: &str) -> std::result::Result<RLock, CallError> {
        self.proxy(name, &[]).map(RLock::new)
    }

    /// A semaphore by its registered name.
    pub fn semaphore(&self, name: &str) -> std::result::Result<Semaphore, CallError> {
        self.proxy(name, &[]).map(Semaphore::new)
    }

    /// A new semaphore.
    pub fn new_semaphore(&self, permits: usize) -> std::result::Result<Semaphore, CallError> {
        self.proxy("Semaphore", &[Value::from(permits as i64)]).map(Semaphore::new)
    }

    /// An event by its registered name, or a new one by `"Event"`.
    pub fn event(&self, name: &str) -> std::result::Result<Event, CallError> {
        self.proxy(name, &[]).map(Event::new)
    }

    /// A condition by its registered name, or a new one by `"Condition"`.
    pub fn condition(&self, name: &str) -> std::result::Result<Condition, CallError> {
        self.proxy(name, &[]).map(Condition::new)
    }

    /// A barrier by its registered name.
    pub fn barrier(&self, name: &str) -> std::result::Result<Barrier, CallError> {
        self.proxy(name, &[]).map(Barrier::new)
    }

    /// A new barrier.
    pub fn new_barrier(&self, parties: usize) -> std::result::Result<Barrier, CallError> {
        self.proxy("Barrier", &[Value::from(parties as i64)]).map(Barrier::new)
    }

    /// A list by its registered name, or a new one by `"list"`.
    pub fn list<T>(&self, name: &str) -> std::result::Result<List<T>, CallError> {
        self.proxy(name, &[]).map(List::new)
    }

    /// A dict by its registered name, or a new one by `"dict"`.
    pub fn dict<K, V>(&self, name: &str) -> std::result::Result<Dict<K, V>, CallError> {
        self.proxy(name, &[]).map(Dict::new)
    }

    /// A value by its registered name.
    pub fn value<T>(&self, name: &str) -> std::result::Result<SharedValue<T>, CallError> {
        self.proxy(name, &[]).map(SharedValue::new)
    }

    /// How many objects the server has proxies for.
    pub fn number_of_objects(&self) -> std::result::Result<usize, CallError> {
        let count = self.shared.command("number_of_objects", &[], self.shared.timeout)?;
        count.root().as_i64().and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
            CallError::Refused("number_of_objects() did not give a number".to_owned())
        })
    }

    /// A text about the server's objects and their reference counts.
    pub fn debug_info(&self) -> std::result::Result<String, CallError> {
        let text = self.shared.command("debug_info", &[], self.shared.timeout)?;
        let text = text.root().as_str().map(str::to_owned);
        text.ok_or_else(|| CallError::Refused("debug_info() did not give a text".to_owned()))
    }

    /// Ends the server, with all it holds.
    pub fn shutdown_server(&self) -> std::result::Result<(), CallError> {
        self.shared.command("shutdown", &[], self.shared.timeout).map(drop)
    }
}
