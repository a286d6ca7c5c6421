//! A slice that several processes read and change, one at a time.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::arena::Arena;
use super::atomic::{Number64, Ordering};
use super::lock::{Lock, LockGuard};
use super::lock_word::LockWord;
use super::object::{Attached, ObjectKind, type_mark};
use super::plain::Plain;
use crate::error::Result;
use crate::process::OwnerDied;

/// What lies in shared memory before the elements.
#[repr(C)]
struct Body {
    /// First: it is used as that of a `Lock<()>`.
    lock: LockWord,
    len: Number64,
}

/// Where the elements are behind the beginning of the body, which lies at a multiple of 64.
const ELEMENTS: u64 = 64;
const _: () = assert!(size_of::<Body>() as u64 <= ELEMENTS);

/// Elements that several processes read and change: as many as when it was made.
///
/// The lock around them is held by a guard that is a slice, or for one element by [`get`](Array::get) and [`set`](Array::set). If who
/// held it before has died, which may have left the elements half changed, the call does nothing but tell so, by [`OwnerDied`],
/// which has the guard.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Array};
///
/// fn double(numbers: Array<u32>) {
///     numbers.lock().unwrap().iter_mut().for_each(|number| *number *= 2);
/// }
///
/// let numbers = Array::from_slice(&[1u32, 2, 3])?;
/// process::spawn(double, numbers.clone())?.join()?;
/// assert_eq!(*numbers.lock()?, [2, 4, 6]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Array<T: Plain> {
    attached: Arc<Attached>,
    lock: Lock<()>,
    elements: *mut T,
    len: usize,
}

// SAFETY: `elements` points into the mapping, which is never unmapped, and is used by one guard at a time, which may be on any
// thread since `T` is `Send`.
unsafe impl<T: Plain> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Array<T> {}

/// The elements of an [`Array`], until this is dropped.
#[must_use = "the lock is released when the guard is dropped"]
pub struct ArrayGuard<'a, T: Plain> {
    array: &'a Array<T>,
    held: LockGuard<'a, ()>,
    /// Has the guard be sent and shared where a `&mut [T]` may be.
    elements: PhantomData<&'a mut [T]>,
}

type Told<'a, R, T> = Result<R, OwnerDied<ArrayGuard<'a, T>>>;

impl<T: Plain> Array<T> {
    /// So many elements, each of this value. If that is all zero, none of their memory is touched.
    ///
    /// # Errors
    ///
    /// There is no room for them in the memory that processes share: [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    ///
    /// # Examples
    ///
    /// ```
    /// let array = fourfold::process::Array::new(1000, 0u64)?;
    /// array.set(7, 1)?;
    /// assert_eq!(array.lock()?.iter().sum::<u64>(), 1);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn new(len: usize, value: T) -> Result<Array<T>>
    where
        T: Copy,
    {
        let array = Array::zeroed(len)?;
        let mut bytes = value;
        if bytes.as_mut_bytes().iter().any(|byte| *byte != 0) {
            // SAFETY: so many elements, which any bytes are valid for; nobody else knows of them yet.
            unsafe { std::slice::from_raw_parts_mut(array.elements, len) }.fill(value);
        }
        Ok(array)
    }

    /// These elements.
    ///
    /// # Errors
    ///
    /// As [`new`](Array::new).
    pub fn from_slice(elements: &[T]) -> Result<Array<T>>
    where
        T: Copy,
    {
        let array = Array::zeroed(elements.len())?;
        // SAFETY: as in `new`.
        unsafe { std::slice::from_raw_parts_mut(array.elements, elements.len()) }
            .copy_from_slice(elements);
        Ok(array)
    }

    fn zeroed(len: usize) -> Result<Array<T>> {
        let arena = super::arena()?;
        let size = (len as u64)
            .checked_mul(size_of::<T>() as u64)
            .and_then(|size| size.checked_add(ELEMENTS))
            .ok_or_else(|| arena.full(u64::MAX))?;
        let mark = type_mark::<T>();
        let attached = Attached::create(arena, ObjectKind::Array, mark, size, |body| {
            body_at(arena, body).len.store(len as u64, Ordering::Relaxed);
        })?;
        Ok(Array::of(attached))
    }

    pub(super) fn of(attached: Arc<Attached>) -> Array<T> {
        const {
            assert!(align_of::<T>() <= 64, "an element that must lie at a multiple of more than 64")
        };
        let (arena, _) = attached.enter();
        let len = body_at(arena, attached.body()).len.load(Ordering::Relaxed) as usize;
        let bytes = len.saturating_mul(size_of::<T>());
        let elements = arena.at(attached.body() + ELEMENTS, bytes).cast::<T>();
        Array { lock: Lock::of(attached.clone()), attached, elements, len }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the lock, and waits for it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard: who held it has died.
    #[track_caller]
    pub fn lock(&self) -> Told<'_, ArrayGuard<'_, T>, T> {
        self.told(self.lock.lock())
    }

    /// Takes the lock if nobody holds it who lives.
    ///
    /// # Errors
    ///
    /// As [`lock`](Array::lock).
    pub fn try_lock(&self) -> Told<'_, Option<ArrayGuard<'_, T>>, T> {
        self.told_if(self.lock.try_lock())
    }

    /// Takes the lock, and waits for it for so long.
    ///
    /// # Errors
    ///
    /// As [`lock`](Array::lock).
    #[track_caller]
    pub fn lock_timeout(&self, limit: Duration) -> Told<'_, Option<ArrayGuard<'_, T>>, T> {
        self.told_if(self.lock.lock_timeout(limit))
    }

    /// Takes the lock, for a future: it waits without a thread. Dropped before, it has not taken it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Array::lock).
    pub async fn lock_async(&self) -> Told<'_, ArrayGuard<'_, T>, T> {
        self.told(self.lock.lock_async().await)
    }

    /// An element, as it is now.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard.
    ///
    /// # Panics
    ///
    /// If there is none of that index.
    #[track_caller]
    pub fn get(&self, index: usize) -> Told<'_, T, T>
    where
        T: Copy,
    {
        self.check(index);
        self.lock().map(|elements| elements[index])
    }

    /// Puts another element in the place of one.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`], with the guard; the element is as it was.
    ///
    /// # Panics
    ///
    /// If there is none of that index.
    #[track_caller]
    pub fn set(&self, index: usize, element: T) -> Told<'_, (), T> {
        self.check(index);
        self.lock().map(|mut elements| elements[index] = element)
    }

    #[track_caller]
    fn check(&self, index: usize) {
        assert!(index < self.len, "there is no element {index} in an array of {}", self.len);
    }

    fn told<'a>(
        &'a self,
        taken: Result<LockGuard<'a, ()>, OwnerDied<LockGuard<'a, ()>>>,
    ) -> Told<'a, ArrayGuard<'a, T>, T> {
        let guard = |held| ArrayGuard { array: self, held, elements: PhantomData };
        taken.map(guard).map_err(|died| OwnerDied::new(guard(died.into_inner())))
    }

    fn told_if<'a>(
        &'a self,
        taken: Result<Option<LockGuard<'a, ()>>, OwnerDied<LockGuard<'a, ()>>>,
    ) -> Told<'a, Option<ArrayGuard<'a, T>>, T> {
        taken.transpose().map(|taken| self.told(taken)).transpose()
    }
}

fn body_at(arena: &Arena, body: u64) -> &Body {
    // SAFETY: a `Body` is atomics only.
    unsafe { arena.get(body) }
}

impl<T: Plain> Clone for Array<T> {
    /// The same elements.
    fn clone(&self) -> Array<T> {
        let (attached, lock) = (self.attached.clone(), self.lock.clone());
        Array { attached, lock, elements: self.elements, len: self.len }
    }
}

impl<T: Plain> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("len", &self.len)
            .field("is_locked", &self.lock.is_locked())
            .finish()
    }
}

impl<T: Plain> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.held.check();
        // SAFETY: this guard holds the lock, so no other guard is there in any process; any bytes are elements, aligned to what
        // `of` has checked, in a block of their size.
        unsafe { std::slice::from_raw_parts(self.array.elements, self.array.len) }
    }
}

impl<T: Plain> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.held.check();
        // SAFETY: as in `deref`, and this guard is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.array.elements, self.array.len) }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
