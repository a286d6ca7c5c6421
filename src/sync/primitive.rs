//! What the words are made of: std's types, or loom's, which try each order of events.

use std::time::Duration;

#[cfg(not(all(loom, test)))]
pub(crate) use std::{
    hint,
    sync::{Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(all(loom, test))]
pub(crate) use loom::{
    cell::UnsafeCell,
    hint,
    sync::{Mutex, MutexGuard, atomic},
    thread,
};

#[cfg(not(all(loom, test)))]
pub(crate) use self::cell::UnsafeCell;

/// A function that is `const` wherever its parts are, which those of loom are not.
macro_rules! const_fn {
    ($(#[$about:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(all(loom, test)))]
        $(#[$about])*
        $vis const fn $name($($arg: $ty),*) -> $ret $body

        #[cfg(all(loom, test))]
        $(#[$about])*
        $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}

pub(crate) use const_fn;

/// What a thread sleeps on. It may wake for no reason.
#[cfg(not(all(loom, test)))]
pub(crate) struct Sleeper(thread::Thread);

#[cfg(not(all(loom, test)))]
impl Sleeper {
    /// That of the calling thread.
    pub(crate) fn current() -> Sleeper {
        Sleeper(thread::current())
    }

    pub(crate) fn wake(&self) {
        self.0.unpark();
    }

    /// Sleeps until it is woken, or for so long. For its own thread.
    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        match limit {
            None => thread::park(),
            Some(limit) => thread::park_timeout(limit),
        }
    }
}

/// loom's `unpark` also wakes a thread that waits for a mutex, as no system does; its `Notify` does not.
#[cfg(all(loom, test))]
pub(crate) struct Sleeper(loom::sync::Notify);

#[cfg(all(loom, test))]
impl Sleeper {
    pub(crate) fn current() -> Sleeper {
        Sleeper(loom::sync::Notify::new())
    }

    pub(crate) fn wake(&self) {
        self.0.notify();
    }

    pub(crate) fn sleep(&self, limit: Option<Duration>) {
        assert!(limit.is_none(), "a wait with a limit in a model: the checker has no clock");
        self.0.wait();
    }
}

/// std's cell, behind the calls of loom's, which sees by them who looks at it while another writes.
#[cfg(not(all(loom, test)))]
mod cell {
    pub(crate) struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    impl<T: ?Sized> UnsafeCell<T> {
        /// A pointer for reading.
        #[inline]
        pub(crate) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get())
        }

        /// A pointer for writing.
        #[inline]
        pub(crate) fn with_mut<R>(&self, look: impl FnOnce(*mut T) -> R) -> R {
            look(self.0.get())
        }
    }
}

/// A value that is made when it is first needed.
pub(crate) struct Once<T> {
    value: std::sync::OnceLock<T>,
    /// loom does not see that a `OnceLock` orders its making before its use.
    #[cfg(all(loom, test))]
    made: Mutex<bool>,
}

impl<T> Once<T> {
    const_fn! {
        pub(crate) fn new() -> Once<T> {
            Once {
                value: std::sync::OnceLock::new(),
                #[cfg(all(loom, test))]
                made: Mutex::new(false),
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        #[cfg(all(loom, test))]
        let _made = lock(&self.made);
        self.value.get()
    }

    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        #[cfg(all(loom, test))]
        let _made = lock(&self.made);
        self.value.get_or_init(make)
    }
}

/// Locks, also after a panic under the lock: what is kept under one is in order between any two statements that may panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps a value on cache lines of its own, so that who writes it does not disturb those who read its neighbours.
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// How long to look again before going to sleep: a wake-up costs as much as thousands of looks.
pub(crate) struct Backoff {
    step: u32,
}

/// Up to here, twice as many pauses each time.
const PAUSES: u32 = 6;

/// Where to begin for who waits for another to put or to take. Measured: from 0 it took twice as long for an item, from 6 no less.
const UNHURRIED: u32 = 5;

/// After so many steps it has been long enough.
const STEPS: u32 = 10;

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { step: 0 }
    }

    /// For who waits for another to put or to take. To look often would take the lines of the cache from the other with each
    /// look, and both would go on item by item; after a longer moment there are several.
    pub(crate) fn unhurried() -> Backoff {
        Backoff { step: UNHURRIED }
    }

    /// Lets a moment pass, and a longer one each time: after losing a race that somebody else has won.
    #[inline]
    pub(crate) fn spin(&mut self) {
        let pauses = if cfg!(all(loom, test)) { 1 } else { 1 << self.step.min(PAUSES) };
        for _ in 0..pauses {
            hint::spin_loop();
        }
        self.step += 1;
    }

    /// Lets a moment pass, while somebody else has something to do; the core goes to another thread once the moments have
    /// become long.
    #[inline]
    pub(crate) fn pause(&mut self) {
        if self.step > PAUSES {
            thread::yield_now();
            self.step += 1;
        } else {
            self.spin();
        }
    }

    /// Whether to go to sleep.
    pub(crate) fn is_over(&self) -> bool {
        // The checker would try each number of looks.
        cfg!(all(loom, test)) || self.step > STEPS
    }
}
