//! Descriptors among the arguments and values of a task.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, OwnedFd};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::aside::{self, Kept, Scope};

/// A socket, a listener, a file, a pipe: anything made of a descriptor, as an argument or a value of a task, or in a message of
/// a [`process::pipe`](crate::process::pipe()).
///
/// It crosses to the other process as the same open file, in an argument or a value of any shape: alone, in a tuple, in a
/// field of a struct. The sender's own copy is closed once it is on its way.
///
/// Outside a task, with a serialiser of somebody else's, it gives an error, since a descriptor is not made of bytes.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Fd};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// fn answer(Fd(mut client): Fd<UnixStream>) {
///     client.write_all(b"hello").unwrap();
/// }
///
/// let (mut ours, theirs) = UnixStream::pair()?;
/// process::spawn(answer, Fd(theirs))?.join()?;
/// let mut text = String::new();
/// ours.read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Fd<T>(pub T);

thread_local! {
    /// The descriptors of the value that this thread is writing or reading, if it has any; none at any other time.
    static TABLE: RefCell<Option<Table>> = const { RefCell::new(None) };
}

/// The descriptors of a value that is being written or read.
#[derive(Default)]
pub(super) struct Open(Option<Table>);

/// Has this thread go on with others.
pub(super) fn exchange(open: Open) -> Open {
    Open(TABLE.replace(open.0))
}

enum Table {
    Writing(Vec<OwnedFd>),
    Reading(Vec<Option<OwnedFd>>),
}

/// Calls `write`, and gives the descriptors that were met in the values it wrote.
#[inline]
pub(crate) fn collect<R>(write: impl FnOnce() -> R) -> (R, Vec<OwnedFd>) {
    let restore = Restore::of(Kept::None);
    let result = write();
    let fds = match aside::scope().fds {
        Kept::Listed => listed(),
        _ => Vec::new(),
    };
    drop(restore);
    (result, fds)
}

#[cold]
fn listed() -> Vec<OwnedFd> {
    match TABLE.take() {
        Some(Table::Writing(fds)) => fds,
        _ => unreachable!("a table is only exchanged here, and put back"),
    }
}

/// Calls `read`, with these descriptors at hand for the values that it reads.
#[inline]
pub(crate) fn provide<R>(fds: Vec<OwnedFd>, read: impl FnOnce() -> R) -> R {
    let _restore = match fds.is_empty() {
        true => Restore::of(Kept::Unlisted),
        false => {
            let restore = Restore::of(Kept::Listed);
            TABLE.set(Some(Table::Reading(fds.into_iter().map(Some).collect())));
            restore
        }
    };
    read()
}

/// Puts the outer table back, also when a user's `Serialize` panics.
struct Restore(Kept, Option<Table>);

impl Restore {
    #[inline]
    fn of(fds: Kept) -> Restore {
        let scope = aside::scope();
        let outer = (scope.fds == Kept::Listed).then(|| TABLE.take()).flatten();
        aside::replace(Scope { fds, ..scope });
        Restore(scope.fds, outer)
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        let scope = aside::scope();
        if self.0 == Kept::Listed || scope.fds == Kept::Listed {
            TABLE.set(self.1.take());
        }
        aside::replace(Scope { fds: self.0, ..scope });
    }
}

/// Begins the table of the value that is being written, if it has none yet.
fn begin_table() {
    let scope = aside::scope();
    if scope.fds == Kept::None {
        TABLE.set(Some(Table::Writing(Vec::new())));
        aside::replace(Scope { fds: Kept::Listed, ..scope });
    }
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        begin_table();
        let index = TABLE.with_borrow_mut(|table| match table {
            Some(Table::Writing(fds)) => {
                let copy = self.0.as_fd().try_clone_to_owned().map_err(S::Error::custom)?;
                fds.push(copy);
                Ok(fds.len() - 1)
            }
            _ => Err(S::Error::custom(
                "a descriptor can travel in the arguments and the value of a task, and in the messages of a pipe between \
                 processes, only",
            )),
        })?;
        serializer.serialize_u32(index as u32)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fd<T>, D::Error> {
        let index = u32::deserialize(deserializer)?;
        let fd = TABLE.with_borrow_mut(|table| match table {
            Some(Table::Reading(fds)) => fds.get_mut(index as usize).and_then(Option::take),
            _ => None,
        });
        fd.map(|fd| Fd(T::from(fd)))
            .ok_or_else(|| D::Error::custom("no such descriptor came with this value"))
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Fd<T> {
    fn from(inner: T) -> Fd<T> {
        Fd(inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Fd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fd").field(&self.0).finish()
    }
}
