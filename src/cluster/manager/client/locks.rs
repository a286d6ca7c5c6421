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

/// A number of permits on a server. A connection that ends gives back those it had taken, as far as there are then no more than
/// at first.
///
/// Anybody may give a permit back, also who has taken none: that is how a semaphore counts events. So
/// [`release`](Semaphore::release) after a connection was lost may add a permit that the server has given back already. A
/// [`SemaphoreGuard`] knows which connection took it, and gives it back once at most.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{Client, Key, Server};
///
/// let key = Key::new(*b"abc");
/// let server = Server::builder(key.clone()).bind("127.0.0.1:0")?;
/// let client = Client::connect(server.address(), key)?;
/// let seats = client.new_semaphore(2)?;
/// let seat = seats.guard()?;
/// assert_eq!(seats.permits()?, 1);
/// drop(seat);
/// assert_eq!(seats.permits()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    proxy: Proxy,
}

/// A permit that is held until this is dropped, by the connection of the thread that took it.
///
/// When that connection fails, the server gives the permit back, and the guard has nothing more to release.
#[derive(Debug)]
#[must_use = "the permit is given back when the guard is dropped"]
pub struct SemaphoreGuard<'a> {
    semaphore: &'a Semaphore,
    hold: Hold,
}

impl SemaphoreGuard<'_> {
    /// Keeps the permit beyond this guard, until [`Semaphore::release`] or the end of this thread.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SemaphoreGuard<'_> {
    fn drop(&mut self) {
        self.hold.release(&self.semaphore.proxy);
    }
}

impl Semaphore {
    /// A proxy as a semaphore.
    pub fn new(proxy: Proxy) -> Semaphore {
        Semaphore { proxy }
    }

    /// Takes a permit until the guard is dropped, and waits for one.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire), here and for the two below.
    pub fn guard(&self) -> Result<SemaphoreGuard<'_>, CallError> {
        self.acquire()?;
        Ok(self.taken())
    }

    /// Takes a permit until the guard is dropped, if there is one.
    ///
    /// # Errors
    ///
    /// As [`guard`](Semaphore::guard).
    pub fn try_guard(&self) -> Result<Option<SemaphoreGuard<'_>>, CallError> {
        Ok(self.try_acquire()?.then(|| self.taken()))
    }

    /// Takes a permit until the guard is dropped, and waits for one for so long.
    ///
    /// # Errors
    ///
    /// As [`guard`](Semaphore::guard).
    pub fn guard_timeout(&self, limit: Duration) -> Result<Option<SemaphoreGuard<'_>>, CallError> {
        Ok(self.acquire_timeout(limit)?.then(|| self.taken()))
    }

    /// What the call before has taken.
    fn taken(&self) -> SemaphoreGuard<'_> {
        SemaphoreGuard { semaphore: self, hold: Hold::new(&self.proxy) }
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

    /// Gives a permit back, or adds one. Of a permit whose connection was lost see [`SemaphoreGuard`].
    ///
    /// # Errors
    ///
    /// The semaphore is bounded and would have too many, or as [`acquire`](Semaphore::acquire).
    pub fn release(&self) -> Result<(), CallError> {
        self.proxy.tell("release", &[])
    }
}
