//! What a thread keeps beside the value that it is writing or reading: of each coroutine its own.
//!
//! A user's `Serialize` or `Deserialize` may suspend the coroutine that it runs in, and then another goes on in the same thread, maybe
//! in the middle of a value of its own. So whoever switches to a coroutine puts what the thread has by, and puts in its place
//! what the coroutine had when it was left; and the other way round when it comes out. Most have nothing: then that is a look at one number.

use std::cell::Cell;

use super::{fd, ticket, travel};

thread_local! {
    static SCOPE: Cell<Scope> = const { Cell::new(Scope::NONE) };
}

/// What the innermost value that this thread writes or reads has to do with: all that a value without handles and descriptors needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    /// A value is being written with which tickets can go.
    pub(super) writes: bool,
    /// The tickets of the value that is being read are given back by who keeps its bytes.
    pub(super) stay: bool,
    /// What the descriptors, and what the marks, of the value are.
    pub(super) fds: Kept,
    pub(super) marks: Kept,
    /// How many tickets there are, of all values that are being written.
    pub(super) kept: u32,
}

impl Scope {
    const NONE: Scope =
        Scope { writes: false, stay: false, fds: Kept::Nowhere, marks: Kept::Nowhere, kept: 0 };
}

/// That of this thread.
#[inline(always)]
pub(super) fn scope() -> Scope {
    SCOPE.get()
}

#[inline(always)]
pub(super) fn replace(scope: Scope) -> Scope {
    SCOPE.replace(scope)
}

/// What becomes of something that is met in the innermost value. Most values have nothing of the kind: then nothing is kept but this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// There is no value.
    Nowhere,
    /// The value is being written, and none was met yet.
    None,
    /// The value is being read, and no list of them came with it.
    Unlisted,
    /// In the list that the thread has for it.
    Listed,
}

/// What a coroutine that does not run has left open; nothing, for one that is in the middle of no value.
#[derive(Default)]
pub(crate) struct Aside(Option<Box<Parts>>);

struct Parts {
    scope: Scope,
    tickets: ticket::Open,
    fds: fd::Open,
    marks: travel::Open,
}

/// Puts by what this thread has, and `other` in its place.
#[inline(always)]
pub(crate) fn exchange(other: Aside) -> Aside {
    if other.0.is_none() && scope() == Scope::NONE {
        return other;
    }
    exchange_slowly(other)
}

#[cold]
#[inline(never)]
fn exchange_slowly(other: Aside) -> Aside {
    let other = other.0.map_or_else(Parts::none, |parts| *parts);
    let mine = Parts {
        scope: replace(other.scope),
        tickets: ticket::exchange(other.tickets),
        fds: fd::exchange(other.fds),
        marks: travel::exchange(other.marks),
    };
    Aside((mine.scope != Scope::NONE).then(|| Box::new(mine)))
}

impl Parts {
    fn none() -> Parts {
        let (tickets, fds, marks) = Default::default();
        Parts { scope: Scope::NONE, tickets, fds, marks }
    }
}

/// Calls `run`, which goes on with the coroutine whose this is until it comes out again.
#[inline(always)]
pub(crate) fn apart<R>(own: &mut Aside, run: impl FnOnce() -> R) -> R {
    if own.0.is_some() || scope() != Scope::NONE {
        return apart_slowly(own, run);
    }
    // If a panic comes out, the coroutine has left all that it was in the middle of.
    let result = run();
    if scope() != Scope::NONE {
        *own = exchange_slowly(Aside(None));
    }
    result
}

#[cold]
#[inline(never)]
fn apart_slowly<R>(own: &mut Aside, run: impl FnOnce() -> R) -> R {
    /// Also when what comes out is a panic.
    struct Back<'a>(&'a mut Aside, Aside);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            *self.0 = exchange(std::mem::take(&mut self.1));
        }
    }
    let outer = exchange(std::mem::take(own));
    let _back = Back(own, outer);
    run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_in_the_middle_of_a_value_goes_on_there() {
        let mut other = Aside::default();
        let ((), outer) = travel::collect(|| {
            assert!(travel::leave(1));
            apart(&mut other, || {
                // A coroutine, which begins a value and is suspended in it; the value is written apart.
                assert!(!travel::leave(2) && !ticket::is_writing());
                replace(Scope { writes: true, marks: Kept::None, ..scope() });
                assert!(travel::leave(3) && ticket::is_writing());
            });
            assert!(travel::leave(4) && !ticket::is_writing());
            let ((), inner) = travel::collect(|| {
                apart(&mut other, || {
                    assert!(travel::leave(5) && ticket::is_writing());
                    // It comes to its end.
                    replace(Scope::NONE);
                    drop(travel::exchange(Default::default()));
                });
                assert!(travel::leave(6));
            });
            assert_eq!(inner, [6]);
        });
        assert_eq!(outer, [1, 4]);
        assert!(other.0.is_none() && scope() == Scope::NONE);
    }
}
