//! Events, conditions and barriers on a server.

use std::time::Duration;

use fourfold_wire::pickle::{Value, from_value};

use super::handle::Terms;
use super::hold::Hold;
use super::proxy::seconds;
use super::{CallError, Proxy};

/// A flag on a server that can be waited for.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, Key, Server};
/// use std::time::Duration;
///
/// let key = Key::new(*b"abc");
/// let server = Server::builder(key.clone()).event("ready").bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let ready = client.event("ready")?;
/// assert!(!ready.wait_timeout(Duration::from_millis(1))?);
/// ready.set()?;
/// ready.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    proxy: Proxy,
}

impl Event {
    /// A proxy as an event.
    pub fn new(proxy: Proxy) -> Event {
        Event { proxy }
    }

    /// Sets the flag, which lets go of all who wait.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn set(&self) -> Result<(), CallError> {
        self.proxy.tell("set", &[])
    }

    /// Clears the flag.
    ///
    /// # Errors
    ///
    /// As [`set`](Event::set).
    pub fn clear(&self) -> Result<(), CallError> {
        self.proxy.tell("clear", &[])
    }

    /// Whether the flag is set.
    ///
    /// # Errors
    ///
    /// As [`set`](Event::set).
    pub fn is_set(&self) -> Result<bool, CallError> {
        self.proxy.get("is_set", &[])
    }

    /// Waits until the flag is set.
    ///
    /// # Errors
    ///
    /// As [`set`](Event::set).
    pub fn wait(&self) -> Result<(), CallError> {
        self.proxy.tell("wait", &[])
    }

    /// Waits until the flag is set, or so long, and says whether it was set.
    ///
    /// # Errors
    ///
    /// As [`set`](Event::set).
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool, CallError> {
        self.proxy.get_by("wait", &[seconds(limit)], Terms::within(limit))
    }
}

/// A condition on a server: a lock, and a place to wait with the lock given up.
#[derive(Clone, Debug)]
pub struct Condition {
    proxy: Proxy,
}

/// A condition's lock, held by this thread until this is dropped.
///
/// It is the thread's connection that holds it. When that fails, the server frees the lock, and calls of the guard are
/// errors.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct ConditionGuard<'a> {
    condition: &'a Condition,
    hold: Hold,
}

impl Condition {
    /// A proxy as a condition.
    pub fn new(proxy: Proxy) -> Condition {
        Condition { proxy }
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub fn lock(&self) -> Result<ConditionGuard<'_>, CallError> {
        self.proxy.tell("acquire", &[])?;
        Ok(ConditionGuard { condition: self, hold: Hold::new(&self.proxy) })
    }
}

impl ConditionGuard<'_> {
    fn call(&self, method: &str, args: &[Value]) -> Result<Value, CallError> {
        self.hold.call(&self.condition.proxy, method, args, None)
    }

    /// Gives the lock up until it is notified, and takes it again.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn wait(&mut self) -> Result<(), CallError> {
        self.call("wait", &[]).map(drop)
    }

    /// As [`wait`](ConditionGuard::wait), for so long; says whether it was notified. The lock is then taken again, however
    /// long another has it.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<bool, CallError> {
        // A server of Python 2 says nothing here.
        let told = self.call("wait", &[seconds(limit)])?;
        Ok(told.root().as_bool().unwrap_or(true))
    }

    /// Notifies one who waits.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    pub fn notify_one(&self) -> Result<(), CallError> {
        self.call("notify", &[]).map(drop)
    }

    /// Notifies all who wait.
    ///
    /// # Errors
    ///
    /// As [`wait`](ConditionGuard::wait).
    pub fn notify_all(&self) -> Result<(), CallError> {
        self.call("notify_all", &[]).map(drop)
    }
}

impl Drop for ConditionGuard<'_> {
    fn drop(&mut self) {
        self.hold.release(&self.condition.proxy);
    }
}

/// A barrier on a server. It is broken when one who waits at it goes away or gives up.
#[derive(Clone, Debug)]
pub struct Barrier {
    proxy: Proxy,
}

impl Barrier {
    /// A proxy as a barrier.
    pub fn new(proxy: Proxy) -> Barrier {
        Barrier { proxy }
    }

    /// Waits until all are there, and says in which place this one came. `None`: the barrier is broken.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn wait(&self) -> Result<Option<usize>, CallError> {
        self.wait_with(&[], Terms::default())
    }

    /// As [`wait`](Barrier::wait), for so long; then the barrier is broken for all.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    pub fn wait_timeout(&self, limit: Duration) -> Result<Option<usize>, CallError> {
        self.wait_with(&[seconds(limit)], Terms::within(limit))
    }

    fn wait_with(&self, args: &[Value], terms: Terms) -> Result<Option<usize>, CallError> {
        match self.proxy.call_by("wait", args, &[], terms) {
            Ok(place) => Ok(Some(from_value(&place)?)),
            Err(error) if error.is("threading", "BrokenBarrierError") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes it as new; whoever waits is told that it is broken.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    pub fn reset(&self) -> Result<(), CallError> {
        self.proxy.tell("reset", &[])
    }

    /// Breaks it until it is reset.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    pub fn abort(&self) -> Result<(), CallError> {
        self.proxy.tell("abort", &[])
    }

    /// Whether it is broken.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    pub fn is_broken(&self) -> Result<bool, CallError> {
        self.proxy.get("__getattribute__", &[Value::from("broken")])
    }

    /// How many wait at it.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait).
    pub fn waiting(&self) -> Result<usize, CallError> {
        self.proxy.get("__getattribute__", &[Value::from("n_waiting")])
    }
}
