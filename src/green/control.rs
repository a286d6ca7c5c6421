//! What is known of a coroutine outside its hub: who it is, how far it has come, and that it is to end.

use std::any::Any;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

use super::body::Holds;
use super::fork;
use super::hub::{self, Slot};
use crate::error::{Error, Outcome};
use crate::sync::park::Wait;
use crate::system::forks;
use crate::vocab::outcome::{Core, Due, Promise, Value};
use crate::vocab::wait::{Pending, park};

/// What stands behind the handle of a coroutine. Shared by the coroutine itself, its hub, and whoever asks about it.
///
/// Kept small: each of a million has one.
pub(super) struct Control {
    pub(super) id: u64,
    parent: Option<NonZeroU64>,
    pub(super) daemon: bool,
    /// The number of the executor that it is a task of; 0 if none.
    pub(super) pool: u64,
    name: Name,
    renamed: Mutex<Option<Box<str>>>,
    /// Beside `state`, since only the coroutine itself sets it: so a plain store will do.
    started: AtomicBool,
    state: AtomicU8,
    /// Which fork it was started in.
    fork: u32,
    place: Place,
}

/// Its place in its hub, from which it is woken.
pub(super) enum Place {
    Here(&'static Slot),
    /// In the hub of another thread, once that has taken it in.
    Elsewhere(OnceLock<&'static Slot>),
}

/// A name costs nothing until it is asked for.
pub(super) enum Name {
    Given(String),
    /// That of a function, and how the compiler spells its type.
    Of(fn() -> String, fn() -> &'static str),
}

// The bits of `state`. None is ever taken back.
const CANCELLED: u8 = 1;
const ENDED: u8 = 2;
/// It is to leave its place, also if it has ended and is still at work for those who asked to be told.
const LEAVING: u8 = 4;

/// Coroutines are numbered from here. Threads have the numbers below, so none has the number of a coroutine.
const FIRST_ID: u64 = 1 << 48;

impl Control {
    #[inline]
    pub(super) fn new(name: Name, parent: Option<u64>, daemon: bool, place: Place) -> Control {
        static NEXT: AtomicU64 = AtomicU64::new(FIRST_ID);
        Control {
            // Relaxed: only the numbers count, which tell who is older too.
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            parent: parent.and_then(NonZeroU64::new),
            daemon,
            pool: 0,
            name,
            renamed: Mutex::new(None),
            started: AtomicBool::new(false),
            state: AtomicU8::new(0),
            fork: forks(),
            place,
        }
    }

    pub(super) fn of_pool(mut self, pool: u64) -> Control {
        self.pool = pool;
        self
    }

    /// Who started it.
    pub(super) fn parent(&self) -> Option<u64> {
        self.parent.map(NonZeroU64::get)
    }

    pub(super) fn name(&self) -> String {
        if let Some(name) = &*self.lock() {
            return name.to_string();
        }
        match &self.name {
            Name::Given(name) => name.clone(),
            Name::Of(name, _) => name(),
        }
    }

    /// The name, for a signal handler: takes no lock that is held, and no memory.
    pub(super) fn with_raw_name(&self, tell: impl FnOnce(&str)) {
        let renamed = self.renamed.try_lock();
        match (renamed.as_ref().ok().and_then(|name| name.as_deref()), &self.name) {
            (Some(name), _) => tell(name),
            (None, Name::Given(name)) => tell(name),
            (None, Name::Of(_, raw)) => tell(raw()),
        }
    }

    pub(super) fn rename(&self, name: String) {
        *self.lock() = Some(name.into());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.renamed.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Where it is. A hub that takes in what comes from elsewhere gives the slot.
    #[inline]
    pub(super) fn place(&self, slot: &'static Slot) {
        if let Place::Elsewhere(known) = &self.place {
            let _ = known.set(slot);
            // Pairs with that of `transition_to_cancelled`: either that one sees the place, or who starts the coroutine sees the
            // request.
            fence(Ordering::SeqCst);
        }
    }

    fn slot(&self) -> Option<&'static Slot> {
        match &self.place {
            Place::Here(slot) => Some(slot),
            Place::Elsewhere(known) => known.get().copied(),
        }
    }

    #[inline]
    pub(super) fn transition_to_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// Its function has ended. Whether it had been cancelled by then: no later request is heeded.
    #[inline]
    pub(super) fn transition_to_ended(&self) -> bool {
        // Release: who sees the end sees what the coroutine did before it.
        self.state.fetch_or(ENDED, Ordering::Release) & CANCELLED != 0
    }

    /// It will never have a value: who cancels it is told so from now on, although it has ended.
    pub(super) fn transition_to_ended_as_cancelled(&self) {
        self.state.fetch_or(ENDED | CANCELLED, Ordering::Release);
    }

    /// Has it end at the wait that it is in, or at the next. Whether it will have no value because of that.
    pub(super) fn transition_to_cancelled(&self) -> bool {
        // Nothing is noted of one that has ended: the next who asks is to have the same answer.
        let note = |state: u8| (state & ENDED == 0).then_some(state | CANCELLED);
        if let Err(end) = self.state.try_update(Ordering::Relaxed, Ordering::Relaxed, note) {
            return end & CANCELLED != 0;
        }
        fence(Ordering::SeqCst);
        if let Some(slot) = self.slot() {
            slot.wake();
        }
        true
    }

    /// Has it end at each wait from now on, also one that it makes after its end.
    pub(super) fn transition_to_leaving(&self) {
        self.transition_to_cancelled();
        self.state.fetch_or(LEAVING, Ordering::Relaxed);
    }

    /// Whether it is on a thread of the process that this one is a fork of, and never goes on here. One that its hub had not yet taken in
    /// at the fork counts as such.
    #[inline]
    pub(super) fn is_left_behind(&self) -> bool {
        if self.fork == forks() {
            return false;
        }
        self.slot().is_none_or(|slot| slot.remote.is_left_behind())
    }

    /// What is told of it then. Its name may be locked for ever.
    #[cold]
    pub(super) fn left_behind(&self) -> Error {
        let mut name = String::new();
        match (self.renamed.try_lock(), &self.name) {
            (Ok(renamed), Name::Of(of, _)) if renamed.is_none() => name = of(),
            (renamed, _) => {
                drop(renamed);
                self.with_raw_name(|raw| name.push_str(raw));
            }
        }
        fork::left_behind(name)
    }

    /// Gives way to it, if it is to begin on this hub: who joins it then most likely finds it ended, and need not be woken.
    #[inline]
    pub(super) fn let_begin(&self) {
        if let Place::Here(slot) = self.place
            && !self.is_started()
        {
            hub::give_way_on(slot);
        }
    }

    #[inline]
    pub(super) fn is_alive(&self) -> bool {
        self.state.load(Ordering::Acquire) & ENDED == 0
    }

    /// Whether it is to end at its next wait.
    #[inline(always)]
    pub(super) fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::Relaxed) & (CANCELLED | LEAVING) != 0
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }
}

/// A control, and in the same memory, so that one allocation makes a coroutine, the place of its outcome; `()` if that is elsewhere.
///
/// Its hub has it to the end of the coroutine, and whoever asks who that was may have it longer: so an outcome that nobody will take
/// is not left to go with it, but dropped when that is known: see [`Core::abandon`].
pub(super) struct Record<X: ?Sized = dyn Send + Sync> {
    control: Control,
    place: X,
}

impl Record<()> {
    /// The control alone.
    pub(super) fn alone(control: Control) -> Arc<Record> {
        Arc::new(Record { control, place: () })
    }
}

impl<T> Record<Core<T>> {
    #[inline]
    pub(super) fn with_outcome(control: Control) -> Arc<Record<Core<T>>> {
        let place = Core::new(control.id);
        Arc::new(Record { control, place })
    }

    /// Puts the outcome, and calls those who asked for it.
    pub(super) fn complete(&self, outcome: Outcome<T>) {
        if let (_, Some(due)) = self.place.finish(Value::Plain(outcome)) {
            self.place.run(due);
        }
    }
}

impl<X: ?Sized> Deref for Record<X> {
    type Target = Control;

    #[inline]
    fn deref(&self) -> &Control {
        &self.control
    }
}

impl<X: ?Sized> Holds for Arc<Record<X>> {
    #[inline]
    fn control(&self) -> &Control {
        self
    }
}

impl<T: Send + 'static> Promise<T> for Record<Core<T>> {
    fn core(&self) -> &Core<T> {
        &self.place
    }

    fn cancel(&self, even_running: bool) -> bool {
        !self.is_left_behind()
            && (even_running || !self.is_started())
            && self.transition_to_cancelled()
    }

    fn is_running(&self) -> bool {
        !self.is_left_behind() && self.is_started()
    }

    fn known(&self) -> &dyn Any {
        &self.control
    }

    fn abandon(&self) {
        self.place.abandon();
    }

    fn lost(&self) -> Option<Error> {
        self.is_left_behind().then(|| self.left_behind())
    }

    fn call(self: Arc<Self>, due: Due<T>) {
        self.place.run(due);
    }

    fn wait(self: Arc<Self>, pending: &dyn Pending, wait: &Wait, deadline: Option<Instant>) {
        park(pending, wait, deadline);
    }
}
