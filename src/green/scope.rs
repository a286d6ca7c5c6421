//! Coroutines that borrow from whoever starts them.
//!
//! # Why nothing that is borrowed goes before its borrower
//!
//! The children run on the hub of the coroutine that has the scope, and their scope's end waits for them. If that coroutine is
//! unwound, by a panic or a cancellation, there or while it waits, [`Ending`] unwinds the children inline, before the frame goes
//! that they borrow from. The frame cannot be forgotten, since it is a frame; a hub that ends unwinds its coroutines.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::body::{Body, Done};
use super::builder::{Builder, no_hub};
use super::control::{Place, Record};
use super::hub::{self, with_hub};
use super::local::LocalCell;
use super::main::run;
use crate::error::{Outcome, Result};
use crate::sync::park::{Wait, after};
use crate::task::{Call, name_of};
use crate::vocab::wait::for_a_task;

/// Calls `f` with a scope, in which it may start coroutines that borrow what outlives the scope; waits for all of them.
///
/// The children run on the hub of this coroutine; outside of any, one is made for the call (see [`run`]). If `f` panics or
/// this coroutine is cancelled, the children are unwound before it.
///
/// # Errors
///
/// As [`run`], where a hub has to be made.
///
/// # Panics
///
/// If `f` does; and if a child panicked that nobody has joined.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let words = vec!["a".to_owned(), "bc".to_owned()];
/// let total = green::scope(|scope| -> fourfold::Result<usize> {
///     let lengths: Vec<_> =
///         words.iter().map(|word| scope.spawn(|| word.len(), ())).collect::<Result<_, _>>()?;
///     lengths.into_iter().map(|length| length.join()).sum()
/// })??;
/// assert_eq!(total, 3);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> Result<R>
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let wait = Wait { what: "green::scope", place: Location::caller() };
    if hub::current_id().is_none() {
        return run(|| within(wait, f));
    }
    Ok(within(wait, f))
}

fn within<'env, F, R>(wait: Wait, f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope {
        children: RefCell::new(Vec::new()),
        panicked: Rc::new(Cell::new(0)),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = {
        let ending = Ending(&scope.children);
        // Caught, so that children that are unwound do not find their thread panicking: one that catches that and waits again would have
        // the thread wait, and with it whom it waits for. Unwind safe: the panic goes on from here.
        catch_unwind(AssertUnwindSafe(|| {
            let value = f(&scope);
            ending.wait(&wait);
            value
        }))
    };
    let value = result.unwrap_or_else(|payload| resume_unwind(payload));
    assert!(
        scope.panicked.get() == 0,
        "a coroutine of the scope panicked, and nobody has joined it"
    );
    value
}

/// Starts coroutines that may borrow. Made by [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    children: RefCell<Vec<Started>>,
    /// How many panics nobody was told of.
    panicked: Rc<Cell<usize>>,
    scope: PhantomData<Cell<&'scope ()>>,
    env: PhantomData<Cell<&'env ()>>,
}

struct Started {
    control: Arc<Record>,
    index: u32,
    ended: Rc<LocalCell<()>>,
}

/// A coroutine of a [`Scope`]. Dropping it lets the coroutine go on, to the end of the scope at most.
pub struct ScopedChild<'scope, T> {
    cell: Rc<LocalCell<T>>,
    control: Arc<Record>,
    panicked: Rc<Cell<usize>>,
    scope: PhantomData<Cell<&'scope ()>>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a coroutine that calls `f` with `args`.
    ///
    /// # Errors
    ///
    /// As [`spawn_local`](super::spawn_local).
    pub fn spawn<F, A, M>(&'scope self, f: F, args: A) -> Result<ScopedChild<'scope, F::Output>>
    where
        F: Call<A, M> + 'scope,
        F::Output: 'scope,
        A: 'scope,
    {
        self.spawn_with(&Builder::new(), f, args)
    }

    /// As [`spawn`](Scope::spawn), with a name, a size of stack and so on.
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn_local`].
    pub fn spawn_with<F, A, M>(
        &'scope self,
        builder: &Builder,
        f: F,
        args: A,
    ) -> Result<ScopedChild<'scope, F::Output>>
    where
        F: Call<A, M> + 'scope,
        F::Output: 'scope,
        A: 'scope,
    {
        let class = builder.class()?;
        let slot = with_hub(|hub| hub.free_slot()).ok_or_else(no_hub)?;
        // The end of the hub need not wait for it: it waits for who has the scope, or unwinds that one.
        let builder = builder.clone().daemon(true);
        let control = Record::alone(builder.control::<F>(Place::Here(slot)));
        let (cell, ended) = (Rc::new(LocalCell::new()), Rc::new(LocalCell::new()));
        let done = {
            let (cell, end, panicked) = (cell.clone(), End(ended.clone()), self.panicked.clone());
            Done::new(
                control.clone(),
                name_of::<F>,
                move |_: Arc<Record>, outcome: Outcome<F::Output>| {
                    // Dropped in the opposite order: the value, if nobody takes it, may borrow from what is gone after the end.
                    let _end = end;
                    let cell = cell;
                    let is_panic = matches!(&outcome, Err(error) if error.panic().is_some());
                    // Told unless a join is told of it first.
                    panicked.set(panicked.get() + usize::from(is_panic));
                    cell.complete(outcome);
                },
            )
        };
        let body = Body { done, call: move || f.call(args) };
        // SAFETY: what the body borrows lives for 'scope at least. `Ending` sees that the coroutine has ended before `within` returns
        // or unwinds, and 'scope is not over before that.
        let start = |hub: &hub::Hub| unsafe {
            hub.start_unchecked(slot, control.clone(), class, move || body.run())
        };
        let index = with_hub(start).expect("a slot is of this thread's hub")?;
        self.children.borrow_mut().push(Started { control: control.clone(), index, ended });
        Ok(ScopedChild { cell, control, panicked: self.panicked.clone(), scope: PhantomData })
    }
}

/// Tells the end of a child when it is dropped, after which nothing borrowed is touched.
struct End(Rc<LocalCell<()>>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.complete(Ok(()));
    }
}

/// Sees to it that all children have ended.
struct Ending<'a>(&'a RefCell<Vec<Started>>);

impl Ending<'_> {
    /// Children may start others meanwhile.
    fn wait(&self, wait: &Wait) {
        while let Some(ended) = self.first() {
            ended.wait(wait, None);
            self.0.borrow_mut().retain(|child| !child.ended.is_finished());
        }
    }

    fn first(&self) -> Option<Rc<LocalCell<()>>> {
        self.0.borrow().first().map(|child| child.ended.clone())
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        loop {
            let Some(child) = self.0.borrow_mut().pop() else { return };
            with_hub(|hub| hub.finish_inline(&child.control, child.index));
            if !child.ended.is_finished() {
                // A `Coroutine` with a scope was dropped where the thread has another hub for the time being.
                crate::system::tell(format_args!(
                    "fourfold: coroutine '{}' borrows from a scope that ends, and is not on this hub: aborting",
                    child.control.name()
                ));
                std::process::abort();
            }
        }
    }
}

impl<T> ScopedChild<'_, T> {
    /// The number of the coroutine, unique in this process.
    pub fn id(&self) -> u64 {
        self.control.id
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.control.name()
    }

    /// Waits until the coroutine has ended, and takes the outcome.
    ///
    /// # Errors
    ///
    /// As [`Child::join`](super::Child::join).
    #[track_caller]
    pub fn join(self) -> Outcome<T> {
        let outcome = self
            .cell
            .wait(&for_a_task(), None)
            .expect("a wait without a deadline ends with an outcome");
        self.told(outcome)
    }

    /// Waits for the outcome, at most this long. `None` if there is none by then: the coroutine goes on.
    ///
    /// # Errors
    ///
    /// As [`Child::join`](super::Child::join).
    #[track_caller]
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<T>> {
        let outcome = self.cell.wait(&for_a_task(), after(timeout))?;
        Some(self.told(outcome))
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.cell.is_finished()
    }

    /// As [`Child::cancel`](super::Child::cancel).
    pub fn cancel(&self) -> bool {
        self.control.transition_to_cancelled()
    }

    fn told(&self, outcome: Outcome<T>) -> Outcome<T> {
        if outcome.as_ref().is_err_and(|error| error.panic().is_some()) {
            self.panicked.set(self.panicked.get() - 1);
        }
        outcome
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("children", &self.children.borrow().len()).finish()
    }
}

impl<T> fmt::Debug for ScopedChild<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedChild").field("id", &self.id()).field("name", &self.name()).finish()
    }
}
