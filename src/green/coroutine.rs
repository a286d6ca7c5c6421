//! A coroutine without a hub: a function that gives values on its way, and takes values in return.

use std::any::Any;
use std::fmt;
use std::ops::Range;

use corosensei::CoroutineResult;

use super::stack::{Class, Stack};
use super::thread_end;
use crate::error::Result;
use crate::task::aside::{self, Aside};

/// A function that can be suspended in the middle, with a value out, and resumed, with a value in.
///
/// Nobody runs it but who calls [`resume`](Coroutine::resume), in whose thread, or coroutine, it then is: if it waits (for time,
/// a queue, a socket), it is its resumer who waits.
///
/// Dropping one that is suspended unwinds it, so that its destructors run. One that is kept in a thread-local is leaked at the end
/// of the thread, since it may be using other thread-locals.
///
/// # Examples
///
/// ```
/// use fourfold::green::{Coroutine, State};
///
/// let mut running_sum = Coroutine::new(|suspender, first: u32| {
///     let mut sum = first;
///     while sum < 10 {
///         sum += suspender.suspend(sum); // out goes the sum, in comes the next number
///     }
///     format!("{sum} is enough")
/// })?;
/// assert_eq!(running_sum.resume(1), State::Suspended(1));
/// assert_eq!(running_sum.resume(4), State::Suspended(5));
/// assert_eq!(running_sum.resume(6), State::Finished("11 is enough".to_owned()));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Coroutine<In, Out, Ret> {
    /// There until the drop.
    raw: Option<Raw<In, Out, Ret>>,
    /// What it was in the middle of writing or reading, while it does not run.
    aside: Aside,
}

type Raw<In, Out, Ret> = corosensei::Coroutine<Resumption<In>, Out, Ret, Stack>;

enum Resumption<In> {
    Value(In),
    Throw(Box<dyn Any + Send>),
}

/// How a [`Coroutine`] came back to who resumed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State<Out, Ret> {
    /// It has suspended itself, with this value.
    Suspended(Out),
    /// Its function has returned this value.
    Finished(Ret),
}

/// What a [`Coroutine`] suspends itself with.
pub struct Suspender<'a, In, Out> {
    yielder: &'a corosensei::Yielder<Resumption<In>, Out>,
    /// The addresses of the coroutine's stack.
    stack: Range<usize>,
}

impl<In: 'static, Out: 'static, Ret: 'static> Coroutine<In, Out, Ret> {
    /// A coroutine that will call `f` with what it is first resumed with. Its stack has 64 KiB.
    ///
    /// # Errors
    ///
    /// [`NotStarted`](crate::ErrorKind::NotStarted) if the system gives no memory for a stack.
    pub fn new<F>(f: F) -> Result<Coroutine<In, Out, Ret>>
    where
        F: FnOnce(&Suspender<'_, In, Out>, In) -> Ret + 'static,
    {
        Coroutine::on(Class::usual(), f)
    }

    /// As [`new`](Coroutine::new), with a stack of so many bytes: see [`Builder::stack_size`](super::Builder::stack_size).
    ///
    /// # Errors
    ///
    /// As [`new`](Coroutine::new), and [`InvalidInput`](crate::ErrorKind::InvalidInput) if the size is out of bounds.
    pub fn with_stack_size<F>(bytes: usize, f: F) -> Result<Coroutine<In, Out, Ret>>
    where
        F: FnOnce(&Suspender<'_, In, Out>, In) -> Ret + 'static,
    {
        Coroutine::on(Class::new(bytes, 1)?, f)
    }

    fn on<F>(class: Class, f: F) -> Result<Coroutine<In, Out, Ret>>
    where
        F: FnOnce(&Suspender<'_, In, Out>, In) -> Ret + 'static,
    {
        let stack = Stack::take(class)?;
        let range = stack.range();
        let raw = Raw::with_stack(stack, |yielder, first| match first {
            Resumption::Value(value) => f(&Suspender { yielder, stack: range }, value),
            Resumption::Throw(payload) => std::panic::resume_unwind(payload),
        });
        Ok(Coroutine { raw: Some(raw), aside: Aside::default() })
    }

    /// Goes on with it, from its beginning or from where it has suspended itself, until it suspends itself again or ends.
    ///
    /// # Panics
    ///
    /// If its function panics: that panic goes on in the caller. If it has ended.
    #[inline]
    pub fn resume(&mut self, value: In) -> State<Out, Ret> {
        self.resume_with(Resumption::Value(value))
    }

    /// As [`resume`](Coroutine::resume), but its [`suspend`](Suspender::suspend) panics with this payload. If that is not caught, it
    /// comes out of here.
    ///
    /// # Panics
    ///
    /// As [`resume`](Coroutine::resume).
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::green::{Coroutine, State};
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// let mut careful = Coroutine::new(|suspender, (): ()| {
    ///     let caught = catch_unwind(AssertUnwindSafe(|| suspender.suspend("ready")));
    ///     *caught.unwrap_err().downcast::<&str>().unwrap()
    /// })?;
    /// assert_eq!(careful.resume(()), State::Suspended("ready"));
    /// assert_eq!(careful.throw("stop"), State::Finished("stop"));
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn throw<E: Any + Send>(&mut self, payload: E) -> State<Out, Ret> {
        self.resume_with(Resumption::Throw(Box::new(payload)))
    }

    #[inline(always)]
    fn resume_with(&mut self, input: Resumption<In>) -> State<Out, Ret> {
        let raw = self.raw.as_mut().expect("there until the drop");
        assert!(!raw.done(), "a coroutine that has ended cannot be resumed");
        match aside::apart(&mut self.aside, || raw.resume(input)) {
            CoroutineResult::Yield(value) => State::Suspended(value),
            CoroutineResult::Return(value) => State::Finished(value),
        }
    }

    /// Whether its function has ended, by returning or by a panic.
    pub fn is_finished(&self) -> bool {
        self.raw.as_ref().is_none_or(Raw::done)
    }

    /// Whether it has been resumed at least once.
    pub fn is_started(&self) -> bool {
        self.raw.as_ref().is_none_or(Raw::started)
    }
}

impl<In, Out> Suspender<'_, In, Out> {
    /// Goes back to who has resumed the coroutine, with a value, until it is resumed again: with what comes then.
    ///
    /// # Panics
    ///
    /// With what [`Coroutine::throw`] throws. If another coroutine calls this, such as a child in a [`scope`](super::scope()) of this
    /// one: a coroutine suspends only itself. If the thread is unwinding, as in a destructor that runs because of a panic, which
    /// aborts the process: to leave an unwinding half done would make innocent locks look poisoned.
    // Inlined, so that no return stands between the switch and the caller: the processor predicts where a return goes by the calls
    // before it, which were another stack's.
    #[inline(always)]
    pub fn suspend(&self, value: Out) -> In {
        // Else the stack of another would be left at this place, and resumed as this one's.
        let here = 0u8;
        let is_own = self.stack.contains(&std::ptr::from_ref(&here).addr());
        if !is_own || std::thread::panicking() {
            refuse_suspension(is_own);
        }
        match self.yielder.suspend(value) {
            Resumption::Value(value) => value,
            Resumption::Throw(payload) => std::panic::resume_unwind(payload),
        }
    }
}

#[cold]
fn refuse_suspension(is_own: bool) -> ! {
    match is_own {
        true => panic!("a coroutine cannot be suspended while it unwinds"),
        false => panic!("a coroutine can be suspended by itself only"),
    }
}

impl<In, Out, Ret> Drop for Coroutine<In, Out, Ret> {
    fn drop(&mut self) {
        let Some(mut raw) = self.raw.take() else { return };
        if raw.started() && !raw.done() && thread_end::is_here() {
            return std::mem::forget(raw);
        }
        aside::apart(&mut self.aside, || raw.force_unwind());
        raw.into_stack().free();
    }
}

impl<Out, Ret> State<Out, Ret> {
    /// What it was suspended with.
    pub fn suspended(self) -> Option<Out> {
        match self {
            State::Suspended(value) => Some(value),
            State::Finished(_) => None,
        }
    }

    /// What it has returned.
    pub fn finished(self) -> Option<Ret> {
        match self {
            State::Suspended(_) => None,
            State::Finished(value) => Some(value),
        }
    }
}

impl<In, Out, Ret> fmt::Debug for Coroutine<In, Out, Ret> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.raw.as_ref();
        f.debug_struct("Coroutine")
            .field("started", &raw.is_none_or(Raw::started))
            .field("finished", &raw.is_none_or(Raw::done))
            .finish()
    }
}

impl<In, Out> fmt::Debug for Suspender<'_, In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Suspender")
    }
}
