//! Locks and semaphores on a server.

use std::time::Duration;

use fourfold_wire::pickle::Value;

use super::handle::Terms;
use super::hold::Hold;
use super::proxy::seconds;
use super::{CallError, Proxy};

/// Takes a lock: whether it was taken, and whether its last holder went away with it.
fn acquire(proxy: &Proxy, args: &[Value], terms: Terms) -> Result<Option<bool>, CallError> {
    // A stock server has no word for the death of a holder: its locks stay taken.
    if proxy.exposes("acquire_told") {
        let (taken, owner_died): (bool, bool) = proxy.get_by("acquire_told", args, terms)?;
        return Ok(taken.then_some(owner_died));
    }
    let taken: bool = proxy.get_by("acquire", args, terms)?;
    Ok(taken.then_some(false))
}

/// A lock on a server. It is held by a thread's connection: when the thread or its process ends, it is free, and the
/// next holder is told.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, Key, Server};
///
/// let key = Key::new(*b"abc");
/// let server = Server::builder(key.clone()).lock("door").bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let door = client.lock("door")?;
/// let guard = door.lock()?;
/// assert!(!guard.owner_died());
/// assert!(door.try_lock()?.is_none());
/// drop(guard);
/// assert!(door.try_lock()?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    proxy: Proxy,
}

/// A lock that is held until this is dropped, by the connection of the thread that took it.
///
/// When that connection fails, the server frees the lock, and the guard has nothing more to release.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    owner_died: bool,
    hold: Hold,
}

impl Lock {
    /// A proxy as a lock.
    pub fn new(proxy: Proxy) -> Lock {
        Lock { proxy }
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn lock(&self) -> Result<LockGuard<'_>, CallError> {
        let taken = self.guard(&[], Terms::default())?;
        taken.ok_or_else(|| CallError::Refused("a lock that was waited for is not taken".into()))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    pub fn try_lock(&self) -> Result<Option<LockGuard<'_>>, CallError> {
        self.guard(&[Value::from(false)], Terms::at_once())
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    pub fn lock_timeout(&self, limit: Duration) -> Result<Option<LockGuard<'_>>, CallError> {
        self.guard(&[Value::from(true), seconds(limit)], Terms::within(limit))
    }

    /// Releases the lock, whoever holds it.
    ///
    /// # Errors
    ///
    /// Nobody holds it, or as [`lock`](Lock::lock).
    pub fn release(&self) -> Result<(), CallError> {
        self.proxy.tell("release", &[])
    }

    fn guard(&self, args: &[Value], terms: Terms) -> Result<Option<LockGuard<'_>>, CallError> {
        let owner_died = acquire(&self.proxy, args, terms)?;
        Ok(owner_died.map(|owner_died| {
            let hold = Hold::new(&self.proxy);
            LockGuard { lock: self, owner_died, hold }
        }))
    }
}

impl LockGuard<'_> {
    /// Whether the last holder went away without a release: what the lock protects may be half done.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Keeps the lock beyond this guard, until [`Lock::release`] or the end of this thread.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        self.hold.release(&self.lock.proxy);
    }
}

/// A lock on a server that the thread which holds it may take again.
#[derive(Clone, Debug)]
pub struct RLock {
    proxy: Proxy,
}

/// A lock that is held by this thread, until this is dropped and all others of this thread are.
///
/// It is the thread's connection that holds it: see [`LockGuard`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    owner_died: bool,
    hold: Hold,
}

impl RLock {
    /// A proxy as a lock.
    pub fn new(proxy: Proxy) -> RLock {
        RLock { proxy }
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn lock(&self) -> Result<RLockGuard<'_>, CallError> {
        let taken = self.guard(&[], Terms::default())?;
        taken.ok_or_else(|| CallError::Refused("a lock that was waited for is not taken".into()))
    }

    /// Takes the lock if it is free or this thread's.
    ///
    /// # Errors
    ///
    /// As [`lock`](RLock::lock).
    pub fn try_lock(&self) -> Result<Option<RLockGuard<'_>>, CallError> {
        self.guard(&[Value::from(false)], Terms::at_once())
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`lock`](RLock::lock).
    pub fn lock_timeout(&self, limit: Duration) -> Result<Option<RLockGuard<'_>>, CallError> {
        self.guard(&[Value::from(true), seconds(limit)], Terms::within(limit))
    }

    /// Releases the lock once.
    ///
    /// # Errors
    ///
    /// This thread does not hold it, or as [`lock`](RLock::lock).
    pub fn release(&self) -> Result<(), CallError> {
        self.proxy.tell("release", &[])
    }

    fn guard(&self, args: &[Value], terms: Terms) -> Result<Option<RLockGuard<'_>>, CallError> {
        let owner_died = acquire(&self.proxy, args, terms)?;
        Ok(owner_died.map(|owner_died| {
            let hold = Hold::new(&self.proxy);
            RLockGuard { lock: self, owner_died, hold }
        }))
    }
}

impl RLockGuard<'_> {
    /// Whether the last holder went away without a release.
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        self.hold.release(&self.lock.proxy);
    }
}

/// A number of permits on a server. A connection that ends gives back those it had taken.
#[derive(Clone, Debug)]
pub struct Semaphore {
    proxy: Proxy,
}

impl Semaphore {
    /// A proxy as a semaphore.
    pub fn new(proxy: Proxy) -> Semaphore {
        Semaphore { proxy }
    }

    /// Takes a permit, and waits for one.
    ///
    /// # Errors
    ///
    /// The connection failed, here and below.
    pub fn acquire(&self) -> Result<(), CallError> {
        self.proxy.tell("acquire", &[])
    }

    /// Takes a permit if there is one, and says whether it did.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire).
    pub fn try_acquire(&self) -> Result<bool, CallError> {
        self.proxy.get_by("acquire", &[Value::from(false)], Terms::at_once())
    }

    /// Takes a permit, waits for one for so long, and says whether it did.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire).
    pub fn acquire_timeout(&self, limit: Duration) -> Result<bool, CallError> {
        self.proxy.get_by("acquire", &[Value::from(true), seconds(limit)], Terms::within(limit))
    }

    /// How many permits are free. A stock server does not say.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire).
    pub fn permits(&self) -> Result<usize, CallError> {
        self.proxy.get("get_value", &[])
    }

    /// Gives a permit back, or adds one.
    ///
    /// # Errors
    ///
    /// The semaphore is bounded and would have too many, or as [`acquire`](Semaphore::acquire).
    pub fn release(&self) -> Result<(), CallError> {
        self.proxy.tell("release", &[])
    }
}
