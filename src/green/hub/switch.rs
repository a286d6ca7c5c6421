//! Starting, resuming, suspending and unwinding a coroutine.
//!
//! # Who may touch what when
//!
//! No borrow of a `RefCell` of the hub is held across a switch, or while a destructor or a function of the user's runs. Two
//! `Point`s cross, and each is gone to once:
//!
//! | where | is noted by | and gone to by |
//! | --- | --- | --- |
//! | `Hub::resumer` | [`Hub::resume`] as it leaves its own stack; it puts back what was there when it has returned | the coroutine that it resumed, as it waits or ends |
//! | `Hub::left`, and at once `Entry::point` | a coroutine as it waits; one that ends leaves none | `Hub::resume`, which takes it out first |
//!
//! So while `Hub::current` names a coroutine, and the thread is on its stack, `resumer` is its own way out: one that resumes
//! another inline (to unwind it) finds its own again. The stack of an entry goes when its coroutine has ended, and not before.
//!
//! # Ends
//!
//! A coroutine is unwound by a panic with an [`Interrupt`] that its own [`Hub::wait`] raises: std counts it and its
//! destructors run as in any unwinding. It never suspends while it unwinds: then the thread waits. What must end now, because the
//! frame goes that it borrows from, is resumed inline again and again until it is through; one that swallows the unwinding too
//! often has the process abort, since there is nothing sound to do.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::super::control::{Control, Record};
use super::super::greenlet;
use super::super::jump;
use super::super::stack::{Class, Stack};
use super::descriptors::wait_for_any;
use super::{Entry, Hub, Limit, Ready, Running, Slot, Why};
use crate::error::{Error, ErrorKind, Result, Scale};
use crate::sync::park::{Scheduler, Wait};
use crate::system::ready::Wanted;
use crate::system::{LINE, prefetch};
use crate::task::aside::{self, Aside};

/// What a coroutine is unwound with.
pub(in crate::green) enum Interrupt {
    /// It was cancelled, or its hub ends.
    Cancelled,
    /// The time limit with this token is over.
    TimedOut(u64),
    /// Nothing can go on: told to the first coroutine of the hub alone.
    Stuck,
}

/// How often a coroutine that must end may catch what unwinds it.
const PATIENCE: usize = 100;

thread_local! {
    /// The hub of this thread, while its frame is there.
    static HUB: Cell<*const Hub> = const { Cell::new(ptr::null()) };
}

/// Calls `f` with the hub of this thread, if there is one.
#[inline(always)]
pub(in crate::green) fn with_hub<R>(f: impl FnOnce(&Hub) -> R) -> Option<R> {
    let hub = HUB.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: null, or set by `Hub::enter`, whose guard resets it before the hub goes. `f` returns before that: who could end the
    // hub's frame is below `f` on this thread's stacks, or suspended in it. No `f` calls a function of the user's on its own stack: that
    // could leave a `Coroutine` or a greenlet, which may outlive the hub.
    unsafe { hub.as_ref() }.map(f)
}

/// The number of the coroutine that runs on this thread.
#[inline]
pub(in crate::green) fn current_id() -> Option<u64> {
    with_hub(|hub| hub.running.get().id).filter(|id| *id != 0)
}

/// The coroutine that runs on this thread.
pub(in crate::green) fn current() -> Option<Arc<Record>> {
    with_hub(|hub| hub.current.get().and_then(|slot| hub.control(slot.index))).flatten()
}

/// The number of the executor that the coroutine which runs on this thread is a task of; 0 if of none.
pub(in crate::green) fn current_pool() -> Option<u64> {
    let pool = |hub: &Hub| {
        let slot = hub.current.get()?;
        hub.entries.borrow()[slot.index as usize].control.as_ref().map(|control| control.pool)
    };
    with_hub(pool).flatten()
}

/// The coroutine that runs on this thread, for a signal handler: reads a few cells and takes no lock.
pub(in crate::green) fn running() -> Option<Running> {
    with_hub(|hub| hub.running.get()).filter(|running| !running.control.is_null())
}

/// Suspends coroutines for the words.
pub(super) struct Green;

impl Scheduler for Green {
    fn current(&self) -> Option<std::task::Waker> {
        with_hub(|hub| hub.suspendable().map(Slot::waker)).flatten()
    }

    fn id(&self) -> Option<u64> {
        current_id()
    }

    fn before_block(&self, wait: &Wait) {
        with_hub(|hub| hub.abort_if_alone(wait));
    }

    fn suspend(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        with_hub(|hub| hub.wait(wait, deadline)).expect("a coroutine runs on a hub")
    }

    fn suspend_for(
        &self,
        fds: &[Wanted<'_>],
        wait: &Wait,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        wait_for_any(fds, wait, deadline)
    }
}

#[cold]
fn refuse_yield() -> ! {
    panic!("green::yield_now inside `green::no_suspend`")
}

/// Resets the thread's hub.
pub(super) struct Entered {
    outer: *const Hub,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let _ = HUB.try_with(|hub| hub.set(self.outer));
    }
}

/// With so many coroutines, what one goes on with is no longer in the first caches when its turn comes.
const CROWD: usize = 256;
/// Lines of its stack that it needs first: of the frames that wait, and of those that are called then. More are fetched in vain.
const ABOVE: usize = 14;
const BELOW: usize = 2;

impl Hub {
    /// Makes it the hub of this thread, as long as the guard lives, which must not outlive it.
    pub(super) fn enter(&self) -> Entered {
        Entered { outer: HUB.with(|hub| hub.replace(self)) }
    }

    /// Whether the coroutine is one of the calling thread's hub: then it is in the queue.
    #[inline]
    pub(super) fn push_if_own(slot: &'static Slot) -> bool {
        let push = |hub: &Hub| {
            let own = ptr::eq(hub.remote, slot.remote);
            if own && !slot.queued_here.load(Ordering::Relaxed) {
                slot.queued_here.store(true, Ordering::Relaxed);
                hub.ready.borrow_mut().push_back(Ready { index: slot.index, why: Why::Here });
            }
            own
        };
        with_hub(push).unwrap_or(false)
    }

    pub(super) fn control(&self, index: u32) -> Option<Arc<Record>> {
        self.entries.borrow()[index as usize].control.clone()
    }

    /// The running coroutine, if it may be suspended.
    #[inline(always)]
    pub(super) fn suspendable(&self) -> Option<&'static Slot> {
        self.current.get().filter(|_| !std::thread::panicking())
    }

    /// Makes a coroutine of `f`, which runs when its turn comes, and gives its place.
    ///
    /// # Errors
    ///
    /// There is no stack for it.
    pub(in crate::green) fn start(
        &self,
        slot: &'static Slot,
        control: Arc<Record>,
        class: Class,
        f: impl FnOnce() + 'static,
    ) -> Result<u32> {
        // SAFETY: what `f` captures lives for ever.
        unsafe { self.start_unchecked(slot, control, class, f) }
    }

    /// As `start`.
    ///
    /// # Safety
    ///
    /// What `f` borrows must live until the coroutine has ended, which [`Hub::finish_inline`] and the end of the hub bring about.
    pub(in crate::green) unsafe fn start_unchecked(
        &self,
        slot: &'static Slot,
        control: Arc<Record>,
        class: Class,
        f: impl FnOnce(),
    ) -> Result<u32> {
        let stack = self.stack(class).inspect_err(|_| self.free.borrow_mut().push(slot.index))?;
        let body = move || {
            f();
            with_hub(|hub| hub.resumer.get()).flatten().expect("a hub has resumed it")
        };
        // SAFETY: what `f` borrows lives until the end of the coroutine, as the caller promises. The stack stays in the entry until
        // then, and `finish` has all coroutines of a hub called.
        let point = unsafe { jump::prepare(&stack, body) };
        control.place(slot);
        if !control.daemon {
            self.foreground.set(self.foreground.get() + 1);
        }
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries[slot.index as usize];
        entry.point = Some(point);
        entry.stack = Some(stack);
        entry.control = Some(control);
        drop(entries);
        self.ready.borrow_mut().push_back(Ready { index: slot.index, why: Why::Turn });
        Ok(slot.index)
    }

    fn stack(&self, class: Class) -> Result<Stack> {
        if self.closing.get() {
            return Err(Error::new(ErrorKind::ShutDown)
                .with_scale(Scale::Green)
                .with_message("the hub ends, and takes no more coroutines"));
        }
        self.stacks.borrow_mut().take(class)
    }

    /// A place for a coroutine: it must be given to `start`.
    pub(in crate::green) fn free_slot(&self) -> &'static Slot {
        let free = self.free.borrow_mut().pop();
        let mut entries = self.entries.borrow_mut();
        let slot = match free {
            Some(index) => entries[index as usize].slot,
            None => {
                let index = u32::try_from(entries.len()).expect("memory ends before");
                let slot = self.remote.new_slot(index);
                entries.push(Entry::new(slot));
                slot
            }
        };
        // A waker of an earlier coroutine may have set it, and found no hub, or one that ended then.
        slot.queued.store(false, Ordering::Relaxed);
        slot.queued_here.store(false, Ordering::Relaxed);
        slot
    }

    /// Lets the next ready coroutine run until it waits. Whether there was one in the queue.
    #[inline(always)]
    pub(super) fn run_next(&self) -> bool {
        let Some(next) = self.ready.borrow_mut().pop_front() else { return false };
        self.fetch_ahead();
        if next.why != Why::Turn {
            let slot = self.entries.borrow()[next.index as usize].slot;
            match next.why {
                // AcqRel: pairs with the swaps of `Slot::wake`; whoever finds it set from now on comes after this.
                Why::Elsewhere => _ = slot.queued.swap(false, Ordering::AcqRel),
                _ => slot.queued_here.store(false, Ordering::Relaxed),
            }
        }
        #[cfg(feature = "watch")]
        self.remote.beat();
        self.resume(next.index);
        #[cfg(feature = "watch")]
        self.remote.beat();
        true
    }

    /// Has the processor fetch what the coroutine whose turn comes next goes on with, while this one runs, and the entry of the one behind
    /// it. Of few coroutines all is at hand.
    #[inline(always)]
    fn fetch_ahead(&self) {
        let entries = self.entries.borrow();
        if entries.len() < CROWD {
            return;
        }
        let ready = self.ready.borrow();
        if let Some(later) = ready.get(1) {
            let entry = ptr::from_ref(&entries[later.index as usize]).addr();
            (0..size_of::<Entry>()).step_by(LINE).for_each(|line| prefetch(entry + line));
        }
        if let Some(next) = ready.front()
            && let Some(point) = entries[next.index as usize].point
        {
            let first = point.address() - BELOW * LINE;
            (0..BELOW + ABOVE).for_each(|line| prefetch(first + line * LINE));
        }
    }

    /// Switches to a coroutine, until it waits or ends. Does nothing if there is none at this place, or if it runs.
    ///
    /// Inlined into the loop of the hub: its return would be the next one after the last call of the coroutine, where the processor
    /// expects that one's: see `jump.rs`.
    #[inline(always)]
    fn resume(&self, index: u32) {
        let (outer, point, aside) = {
            let mut entries = self.entries.borrow_mut();
            let entry = &mut entries[index as usize];
            let Some(point) = entry.point.take() else { return };
            let (control, id) = entry
                .control
                .as_deref()
                .map_or((ptr::null(), 0), |c| (ptr::from_ref::<Control>(c), c.id));
            let guard = entry.stack.as_ref().map_or(0..0, Stack::guard);
            let running = Running { control, id, guard: (guard.start, guard.end) };
            let outer = (
                self.current.replace(Some(entry.slot)),
                self.resumer.get(),
                self.running.replace(running),
                entry.greenlets,
            );
            (outer, point, std::mem::take(&mut entry.aside))
        };
        let no_suspend = self.no_suspend.replace(false);
        let greenlets = greenlet::exchange(outer.3);
        let aside = aside::exchange(aside);
        // SAFETY: the point was taken out of the entry, where `start_unchecked` or the coroutine's last way out had put it; its stack is in
        // the entry and nobody else's. The way back is taken by the coroutine, in `switch_out` or at its end, in the meantime of this
        // very call: see above.
        unsafe { jump::jump(&self.resumer, point) };
        let aside = aside::exchange(aside);
        let greenlets = greenlet::exchange(greenlets);
        self.no_suspend.set(no_suspend);
        self.current.set(outer.0);
        self.resumer.set(outer.1);
        self.running.set(outer.2);
        match self.left.take() {
            Some(point) => {
                let mut entries = self.entries.borrow_mut();
                let entry = &mut entries[index as usize];
                entry.point = Some(point);
                entry.greenlets = greenlets;
                entry.aside = aside;
            }
            None => self.vacate(index),
        }
    }

    #[inline(never)]
    fn vacate(&self, index: u32) {
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries[index as usize];
        let (control, stack) = (entry.control.take(), entry.stack.take());
        entry.greenlets = ptr::null();
        entry.wait = None;
        // Of a `Coroutine` that was suspended inside of a limit, and forgotten or taken elsewhere.
        entry.limits.clear();
        drop(entries);
        if let Some(stack) = stack {
            self.stacks.borrow_mut().put(stack);
        }
        self.free.borrow_mut().push(index);
        if control.is_some_and(|control| !control.daemon) {
            self.foreground.set(self.foreground.get() - 1);
        }
    }

    /// Lets others run, and comes back in turn.
    #[inline(always)]
    pub(in crate::green) fn yield_now(&self) {
        let Some(slot) = self.suspendable() else { return std::thread::yield_now() };
        if self.no_suspend.get() {
            refuse_yield();
        }
        self.check(slot);
        self.ready.borrow_mut().push_back(Ready { index: slot.index, why: Why::Turn });
        self.switch_out();
        self.check(slot);
    }

    /// Suspends the running coroutine until it is woken or the deadline has passed: then false.
    fn wait(&self, wait: &Wait, deadline: Option<Instant>) -> bool {
        let slot = self.current.get().expect("only coroutines are suspended");
        assert!(!self.no_suspend.get(), "{} waits inside `green::no_suspend`", wait.what);
        self.check(slot);
        let until = {
            let mut entries = self.entries.borrow_mut();
            let entry = &mut entries[slot.index as usize];
            entry.wait = Some(*wait);
            let limit = entry.limits.iter().map(|limit| limit.deadline).min();
            match (deadline, limit) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        };
        if let Some(until) = until {
            self.timers.borrow_mut().insert(until, slot.index);
        }
        self.switch_out();
        if let Some(until) = until {
            self.timers.borrow_mut().remove(until, slot.index);
        }
        self.entries.borrow_mut()[slot.index as usize].wait = None;
        self.check(slot);
        deadline.is_none_or(|deadline| until != Some(deadline) || Instant::now() < deadline)
    }

    /// Switches from the running coroutine to the hub, and back when it is resumed.
    #[inline(always)]
    fn switch_out(&self) {
        let resumer = self.resumer.get().expect("a hub has resumed it");
        // SAFETY: the thread is on the stack of the coroutine that `current` names, so `resumer` is where its `resume` waits: see above. What
        // is noted is gone to by `resume` alone, on this thread, and before the hub ends: see `Ending`.
        unsafe { jump::jump(&self.left, resumer) };
    }

    /// Unwinds the running coroutine if it is to end.
    #[inline(always)]
    fn check(&self, slot: &'static Slot) {
        let is_at_peace = {
            let entries = self.entries.borrow();
            let entry = &entries[slot.index as usize];
            entry.limits.is_empty()
                && entry.control.as_ref().is_none_or(|control| !control.is_cancelled())
                && self.stuck.borrow().is_none()
        };
        if !is_at_peace {
            self.look_for_interrupt(slot);
        }
    }

    #[cold]
    fn look_for_interrupt(&self, slot: &'static Slot) {
        let interrupt = {
            let entries = self.entries.borrow();
            let entry = &entries[slot.index as usize];
            let cancelled = entry.control.as_ref().is_some_and(|control| control.is_cancelled());
            if cancelled {
                Some(Interrupt::Cancelled)
            } else if self.stuck.borrow().is_some() && self.is_main(entry) {
                Some(Interrupt::Stuck)
            } else if entry.limits.is_empty() {
                None
            } else {
                let now = Instant::now();
                let over = entry.limits.iter().find(|limit| limit.deadline <= now);
                over.map(|limit| Interrupt::TimedOut(limit.token))
            }
        };
        if let Some(interrupt) = interrupt {
            panic::resume_unwind(Box::new(interrupt));
        }
    }

    fn is_main(&self, entry: &Entry) -> bool {
        entry.control.as_ref().is_some_and(|control| Some(control.id) == self.main.get())
    }

    /// Ends a coroutine now, before this returns: at the end of what it borrows from.
    pub(in crate::green) fn finish_inline(&self, control: &Arc<Record>, index: u32) {
        control.transition_to_leaving();
        for _ in 0..PATIENCE {
            if !self.is_at(control, index) {
                return;
            }
            self.resume(index);
        }
        crate::system::tell(format_args!(
            "fourfold: coroutine '{}' must end, and catches what unwinds it: aborting",
            control.name()
        ));
        std::process::abort();
    }

    /// Whether the coroutine has this place.
    fn is_at(&self, control: &Arc<Record>, index: u32) -> bool {
        // There is no such place if the coroutine was of an earlier hub.
        let entries = self.entries.borrow();
        let there = entries.get(index as usize).and_then(|entry| entry.control.as_ref());
        there.is_some_and(|there| Arc::ptr_eq(there, control))
    }

    /// Puts the running coroutine under a limit.
    fn push_limit(&self, limit: Limit) -> Option<&'static Slot> {
        let slot = self.current.get()?;
        self.entries.borrow_mut()[slot.index as usize].limits.push(limit);
        Some(slot)
    }

    /// Takes the limit from the coroutine at this place, unless the place is another hub's.
    fn remove_limit(&self, slot: &'static Slot, token: u64) {
        if ptr::eq(self.remote, slot.remote) {
            let mut entries = self.entries.borrow_mut();
            entries[slot.index as usize].limits.retain(|limit| limit.token != token);
        }
    }
}

/// Lets others run before the running coroutine, if this is its hub and it may wait.
#[inline]
pub(in crate::green) fn give_way_on(slot: &'static Slot) {
    with_hub(|hub| {
        let is_free = !hub.no_suspend.get() && hub.suspendable().is_some();
        if is_free && ptr::eq(hub.remote, slot.remote) {
            hub.yield_now();
        }
    });
}

/// Calls `f` in the running coroutine under a time limit. `None` if it was unwound by it.
///
/// The hub is looked up again after `f`, in which a [`Coroutine`](super::super::Coroutine) may be left and resumed elsewhere.
pub(in crate::green) fn limited<R>(deadline: Instant, f: impl FnOnce() -> R) -> Option<R> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let token = NEXT.fetch_add(1, Ordering::Relaxed);
    let slot = with_hub(|hub| hub.push_limit(Limit { deadline, token })).flatten();
    // Unwind safe: a panic of `f` goes on from here, but for our own.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    if let Some(slot) = slot {
        with_hub(|hub| hub.remove_limit(slot, token));
    }
    match result {
        Ok(value) => Some(value),
        Err(payload) => match payload.downcast_ref::<Interrupt>() {
            Some(Interrupt::TimedOut(over)) if *over == token => None,
            _ => panic::resume_unwind(payload),
        },
    }
}

/// Calls `f` in the running coroutine, in which waiting panics meanwhile. As for `limited`, `f` may come back elsewhere.
pub(in crate::green) fn without_suspension<R>(f: impl FnOnce() -> R) -> R {
    struct Restore {
        slot: Option<&'static Slot>,
        before: bool,
    }
    impl Drop for Restore {
        fn drop(&mut self) {
            let same = |a: Option<&Slot>, b| a.map(ptr::from_ref) == b;
            with_hub(|hub| {
                if same(hub.current.get(), self.slot.map(ptr::from_ref)) {
                    hub.no_suspend.set(self.before);
                }
            });
        }
    }
    let _restore =
        with_hub(|hub| Restore { slot: hub.current.get(), before: hub.no_suspend.replace(true) });
    f()
}

impl Entry {
    pub(super) fn new(slot: &'static Slot) -> Entry {
        Entry {
            slot,
            point: None,
            stack: None,
            control: None,
            greenlets: ptr::null(),
            aside: Aside::default(),
            wait: None,
            limits: Vec::new(),
        }
    }
}
