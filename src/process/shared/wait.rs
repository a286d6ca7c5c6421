//! Waiting for a word in shared memory: as a thread, which sleeps in the kernel, or as a coroutine or a future, which the
//! process's bell wakes.
//!
//! The bell is one thread of each process that has such waits. It sleeps on a number in the process's slot, which who opens a
//! gate counts up if the process has said there that it watches. Then it looks which gates were opened for somebody, and wakes
//! those who wait there. When a participant has died, which may have been about to wake somebody, it wakes all.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::thread::futex;

use super::arena::Arena;
use super::atomic::Ordering;
use super::gate::{ASK, Gate, Look, sleep_until};
use super::host::Host;
use super::object::Attached;
use crate::sync::park::{self, Wait};
use crate::system::forks;

/// Looks until there is something, and waits at the gate in between. `None`: the deadline has passed.
pub(super) fn wait<T>(
    word: &Arc<Attached>,
    gate: &'static Gate,
    wait: &Wait,
    deadline: Option<Instant>,
    mut look: impl FnMut(Look) -> Option<T>,
) -> Option<T> {
    if !park::may_spin() {
        let mut watch = Watch::new(word, gate);
        return park::block(wait, deadline, |context| watch.poll(context, &mut look));
    }
    let (arena, _) = word.enter();
    sleep_until(arena, gate, deadline, || arena.look_after_some(), look)
}

/// Who gives up may have been woken in another's place.
fn pass_on(arena: &Arena, gate: &Gate) {
    gate.open_one(arena);
}

/// A future's wait at a gate. Dropped, it is forgotten.
pub(super) struct Watch {
    word: Arc<Attached>,
    arena: &'static Arena,
    gate: &'static Gate,
    id: Option<u64>,
}

impl Watch {
    /// At a gate of this word.
    pub(super) fn new(word: &Arc<Attached>, gate: &'static Gate) -> Watch {
        let (arena, _) = word.enter();
        Watch { word: word.clone(), arena, gate, id: None }
    }

    /// Looks, and has the waker woken when it is worth to look again.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut look: impl FnMut(Look) -> Option<T>,
    ) -> Poll<T> {
        // Deaths are found by the bell's thread, and then it costs nothing to ask.
        let waited = self.id.is_some();
        let now = Look { slept: waited, ask: waited };
        let mut found = look(now);
        if found.is_none() {
            self.register(context.waker());
            // From now on it is one of those that a lock may be kept for.
            found = look(Look { slept: true, ask: now.ask });
        }
        match found {
            Some(found) => {
                self.end();
                Poll::Ready(found)
            }
            None => Poll::Pending,
        }
    }

    fn register(&mut self, waker: &Waker) {
        let mut bell = bell();
        let id = *self.id.get_or_insert_with(|| {
            bell.next += 1;
            bell.next
        });
        let count = self.gate.count();
        let entry =
            Entry { gate: self.gate, count, waker: waker.clone(), _word: self.word.clone() };
        // A waker is a user's: dropped outside of the lock.
        let old = bell.waiting.insert(id, entry);
        let start = !std::mem::replace(&mut bell.runs, true);
        // Before the look that follows: what somebody did who dies after this, the bell wakes us for.
        let deaths = self.arena.deaths();
        drop(bell);
        drop(old);
        if start {
            let arena = self.arena;
            let thread = std::thread::Builder::new().name("fourfold-bell".into());
            if let Err(error) = thread.spawn(move || run(arena, deaths)) {
                self::bell().runs = false;
                panic!("no thread for a future that waits for another process: {error}");
            }
        }
        self.gate.watch(self.arena.me());
    }

    fn end(&mut self) {
        if let Some(id) = self.id.take() {
            let entry = bell().waiting.remove(&id);
            drop(entry);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.end();
            pass_on(self.arena, self.gate);
        }
    }
}

struct Entry {
    /// What the gate is a part of: it is there for as long as the bell looks at it, also if the future is leaked.
    _word: Arc<Attached>,
    gate: &'static Gate,
    /// What the gate had counted before it was watched.
    count: u32,
    waker: Waker,
}

/// The waits of this process's futures.
struct Bell {
    forks: u32,
    /// Whether there is a thread that looks after them.
    runs: bool,
    next: u64,
    waiting: HashMap<u64, Entry>,
}

fn bell() -> MutexGuard<'static, Bell> {
    static BELL: OnceLock<Mutex<Bell>> = OnceLock::new();
    let fresh = || Bell { forks: forks(), runs: false, next: 0, waiting: HashMap::new() };
    let bell = BELL.get_or_init(|| Mutex::new(fresh()));
    let mut bell = bell.lock().unwrap_or_else(|error| error.into_inner());
    if bell.forks != forks() {
        // A fork has none of the threads, and nobody who waits.
        std::mem::forget(std::mem::replace(&mut *bell, fresh()));
    }
    bell
}

/// Holds it still, for a fork.
pub(super) fn hold() -> impl Sized {
    bell()
}

/// How often all futures look again, whatever they have been told: of one who is in the middle of putting several items, and waits
/// for something else, nobody can know.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The life of the bell's thread, which ends when it has found nobody waiting.
fn run(arena: &'static Arena, mut deaths: u64) {
    let slot = arena.slot(arena.me().slot());
    let mut looked = Instant::now();
    loop {
        let rung = slot.bell.load(Ordering::Acquire);
        let now = arena.deaths();
        let died = std::mem::replace(&mut deaths, now) != now;
        let all = died || looked.elapsed() >= LOOK_AGAIN;
        if all {
            looked = Instant::now();
        }
        let mut woken = Vec::new();
        {
            let mut bell = bell();
            if bell.waiting.is_empty() {
                bell.runs = false;
                return;
            }
            let me = arena.me();
            for entry in bell.waiting.values_mut() {
                if entry.gate.watch_again(me, entry.count) || all {
                    entry.count = entry.gate.count();
                    // A user's, as below.
                    let clone = std::panic::catch_unwind(AssertUnwindSafe(|| entry.waker.clone()));
                    woken.extend(clone);
                }
            }
        }
        for waker in woken {
            // A user's, whose panic must not end what all the others wait for. It has been told.
            crate::error::shield(|| waker.wake());
        }
        let limit = futex::Timespec { tv_sec: 0, tv_nsec: ASK.as_nanos() as i64 };
        let _ = futex::wait(slot.bell.inner(), futex::Flags::empty(), rung, Some(&limit));
        arena.look_after_some();
    }
}
