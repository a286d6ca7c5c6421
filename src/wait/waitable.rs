//! What can be waited for, and how each thing is watched.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::system::ready::{Direction, Wanted};

/// A thing that can be waited for together with others.
///
/// It is there for all that has a descriptor ([`AsFd`]), and for the words that the table of the [module](crate::wait) names.
///
/// # Examples
///
/// A type of your own says how it is watched:
///
/// ```
/// use fourfold::thread::Queue;
/// use fourfold::wait::{Waitable, Watch, wait_any};
///
/// struct Inbox {
///     letters: Queue<String>,
/// }
///
/// impl Waitable for Inbox {
///     fn watch(&self) -> Watch<'_> {
///         self.letters.watch()
///     }
/// }
///
/// let inbox = Inbox { letters: Queue::new() };
/// inbox.letters.put("dear all".to_owned())?;
/// assert_eq!(wait_any(&[&inbox])?, [0]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub trait Waitable: Sync {
    /// Begins to watch it. The watch ends, and is dropped, when the wait is over.
    fn watch(&self) -> Watch<'_>;
}

/// A thing, watched during one wait.
#[must_use = "a watch does nothing until it is waited for"]
pub struct Watch<'a> {
    pub(super) inner: Inner<'a>,
}

pub(super) enum Inner<'a> {
    Fd(Wanted<'a>),
    Moment(Instant),
    Word(Box<Look<'a>>),
}

type Look<'a> = dyn FnMut(&mut Context<'_>) -> Poll<()> + Send + 'a;

impl<'a> Watch<'a> {
    /// Ready when a read of this descriptor would not block.
    pub fn readable(fd: BorrowedFd<'a>) -> Watch<'a> {
        Watch { inner: Inner::Fd((fd, Direction::Read)) }
    }

    /// Ready when a write to this descriptor would not block.
    pub fn writable(fd: BorrowedFd<'a>) -> Watch<'a> {
        Watch { inner: Inner::Fd((fd, Direction::Write)) }
    }

    /// Ready from this moment on.
    pub fn at(moment: Instant) -> Watch<'a> {
        Watch { inner: Inner::Moment(moment) }
    }

    /// Ready when `poll` says so. It is called at the beginning of a wait, and whenever the waiter was woken; what comes later
    /// than a call that gave [`Poll::Pending`] must wake the waker that the call was given. What the calls have left is taken
    /// back when the closure is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::wait::{Waitable, Watch, wait_any};
    /// use std::task::Poll;
    ///
    /// struct Always;
    ///
    /// impl Waitable for Always {
    ///     fn watch(&self) -> Watch<'_> {
    ///         Watch::poll_fn(|_| Poll::Ready(()))
    ///     }
    /// }
    ///
    /// assert_eq!(wait_any(&[&Always])?, [0]);
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn poll_fn(poll: impl FnMut(&mut Context<'_>) -> Poll<()> + Send + 'a) -> Watch<'a> {
        Watch { inner: Inner::Word(Box::new(poll)) }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: &dyn fmt::Debug = match &self.inner {
            Inner::Fd(wanted) => wanted,
            Inner::Moment(moment) => moment,
            Inner::Word(_) => &"a word",
        };
        f.debug_tuple("Watch").field(what).finish()
    }
}

/// Ready when a read would not block.
impl<T: AsFd + Sync> Waitable for T {
    fn watch(&self) -> Watch<'_> {
        Watch::readable(self.as_fd())
    }
}

/// A thing with a descriptor, waited for until a write would not block. Made by [`writable`].
#[derive(Clone, Copy, Debug)]
pub struct Writable<T>(T);

/// Waits for writes, where the thing itself is waited for by reads.
///
/// # Examples
///
/// ```
/// use fourfold::wait::{wait_any, writable};
///
/// let (reader, writer) = std::io::pipe()?;
/// assert_eq!(wait_any(&[&reader, &writable(&writer)])?, [1]);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn writable<T: AsFd>(thing: T) -> Writable<T> {
    Writable(thing)
}

impl<T: AsFd + Sync> Waitable for Writable<T> {
    fn watch(&self) -> Watch<'_> {
        Watch::writable(self.0.as_fd())
    }
}
