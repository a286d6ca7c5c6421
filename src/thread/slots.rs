//! How many workers hold a slot of an executor, and how many of these look for a task: one word, for all to see.
//!
//! A worker *holds a slot* from when it is started or woken until it is idle or lends the slot. It *searches* while it holds
//! one and looks for a task without having just run one: from its start, when it is woken, or from its first empty look,
//! until it finds one or goes idle. One that starts does not search yet, and will.
//!
//! ```text
//! bit 63      closed: nothing is taken in any more
//! bits 24..48 how many hold a slot
//! bits  0..24 how many of these search
//! ```
//!
//! # No wake-up is lost
//!
//! The rule: *if a task waits and a slot is free, then a worker searches, or starts, or somebody is about to wake one.* What
//! can break it is a task more, a slot more, and a searcher less. Whoever does one of these then looks at the other side:
//!
//! - Who submits pushes the task, and then looks at the word. It may go its way if somebody searches, or if no slot is free.
//! - Who searches, and finds a task or gives up, leaves the word, and then looks at the queue. If it was the last one to
//!   search and a task waits, it wakes another, or goes on itself.
//! - Who lends its slot leaves the word, and then looks at the queue, too.
//!
//! Between the two there is a fence of the order `SeqCst` on both sides, the push itself is stronger than `Release`, and
//! these fences are in one total order. If the submitter's comes first, the other's look at the queue sees the task. If it
//! comes last, the submitter's look at the word sees that nobody searches and that a slot is free. So at least one of them
//! sees the other, and wakes a worker.
//!
//! A worker that holds a slot and does not search looks at the queue when it is done with its task, or its start: so where
//! all slots are held, nobody need be woken. Where workers start for all the tasks that wait, neither: each searches first of
//! all, and so looks if more are there once it has found one.
//!
//! The number of those that hold a slot changes only under the lock of the pool's state; whether they search, also without.

use crate::sync::primitive::atomic::{AtomicU64, Ordering, fence};

const SEARCHING: u64 = 1;
const ACTIVE: u64 = 1 << 24;
const CLOSED: u64 = 1 << 63;

/// As many as either count can be.
const MOST: u64 = ACTIVE - 1;

pub(super) struct Slots {
    word: AtomicU64,
    limit: u64,
}

/// What who has pushed a task must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing: the task will be found.
    Nothing,
    /// Wake a worker, or start one.
    Wake,
    /// Take the task back: the executor has been closed meanwhile.
    TakeBack,
}

fn searching(word: u64) -> u64 {
    word & MOST
}

fn active(word: u64) -> u64 {
    (word / ACTIVE) & MOST
}

impl Slots {
    pub(super) fn new(limit: usize) -> Slots {
        // Half, since more may hold one for a while: those whose wait has ended.
        let limit = u64::try_from(limit).map_or(MOST / 2, |limit| limit.min(MOST / 2));
        Slots { word: AtomicU64::new(0), limit }
    }

    /// How many hold a slot. Exact under the lock.
    pub(super) fn active(&self) -> usize {
        active(self.word.load(Ordering::Relaxed)) as usize
    }

    /// Whether more hold a slot than there are. Exact under the lock.
    pub(super) fn is_surplus(&self) -> bool {
        active(self.word.load(Ordering::Relaxed)) > self.limit
    }

    /// Whether no slot is free, so that nobody could be woken.
    pub(super) fn is_full(&self) -> bool {
        active(self.word.load(Ordering::Relaxed)) >= self.limit
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Called after a task was pushed.
    pub(super) fn after_push(&self) -> After {
        fence(Ordering::SeqCst);
        let word = self.word.load(Ordering::Relaxed);
        if word & CLOSED != 0 {
            After::TakeBack
        } else if self.is_short(word) {
            After::Wake
        } else {
            After::Nothing
        }
    }

    fn is_short(&self, word: u64) -> bool {
        searching(word) == 0 && active(word) < self.limit
    }

    /// Under the lock: gives a slot, to one that is woken and begins to search or to one that is started, if one is free and
    /// nobody searches.
    pub(super) fn transition_to_active(&self, searches: bool) -> bool {
        let more = ACTIVE + if searches { SEARCHING } else { 0 };
        let change = |word| self.is_short(word).then_some(word + more);
        // SeqCst, as all changes here: none is made so often that it would matter.
        self.word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change).is_ok()
    }

    /// A holder has found nothing. How many search already.
    pub(super) fn transition_to_searching(&self) -> usize {
        searching(self.word.fetch_add(SEARCHING, Ordering::SeqCst)) as usize
    }

    /// A searcher has found a task. Whether it is to look if more are there, and to wake another for them.
    pub(super) fn transition_to_running(&self) -> bool {
        let before = self.word.fetch_sub(SEARCHING, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.is_short(before - SEARCHING)
    }

    /// Under the lock: a holder gives its slot up, and is to look at the queue then.
    pub(super) fn transition_to_idle(&self, searches: bool) {
        let less = ACTIVE + if searches { SEARCHING } else { 0 };
        self.word.fetch_sub(less, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Under the lock: one that has lent its slot has it back, be it one too many.
    pub(super) fn transition_to_regained(&self) {
        self.word.fetch_add(ACTIVE, Ordering::SeqCst);
    }

    /// Under the lock: nothing is taken in from here on.
    pub(super) fn transition_to_closed(&self) {
        self.word.fetch_or(CLOSED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(loom, test))]
mod model {
    //! Each order of events, for workers without tasks of their own: where a task is left, one has been given a slot for it.

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::{After, Slots};

    struct Pool {
        slots: Slots,
        tasks: AtomicUsize,
        /// How many are idle. The lock is that of a pool's state.
        idle: Mutex<usize>,
    }

    impl Pool {
        fn new(limit: usize, searching: usize, running: usize) -> Arc<Pool> {
            let slots = Slots::new(limit);
            let word = super::ACTIVE * (searching + running) as u64 + searching as u64;
            slots.word.store(word, Ordering::SeqCst);
            Arc::new(Pool { slots, tasks: AtomicUsize::new(0), idle: Mutex::new(0) })
        }

        fn is_empty(&self) -> bool {
            self.tasks.load(Ordering::SeqCst) == 0
        }

        fn pop(&self) -> bool {
            let less = |tasks: usize| tasks.checked_sub(1);
            self.tasks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
        }

        fn submit(&self) {
            self.tasks.fetch_add(1, Ordering::SeqCst);
            if self.slots.after_push() == After::Wake {
                self.staff();
            }
        }

        fn staff(&self) {
            let _idle = self.idle.lock().unwrap();
            if !self.is_empty() {
                // One that is woken: what it does then is what any searcher does.
                self.slots.transition_to_active(true);
            }
        }

        fn work(&self, mut searches: bool) {
            loop {
                if self.pop() {
                    if std::mem::take(&mut searches)
                        && self.slots.transition_to_running()
                        && !self.is_empty()
                    {
                        self.staff();
                    }
                    continue;
                }
                if !searches {
                    searches = true;
                    self.slots.transition_to_searching();
                    continue;
                }
                let mut idle = self.idle.lock().unwrap();
                self.slots.transition_to_idle(true);
                if !self.is_empty() && self.slots.transition_to_active(true) {
                    continue;
                }
                *idle += 1;
                return;
            }
        }
    }

    fn no_task_is_left(limit: usize, searching: usize, running: usize, tasks: usize) {
        let mut model = loom::model::Builder::new();
        // Three threads in every order would take hours.
        model.preemption_bound = (searching + running > 1).then_some(2);
        model.check(move || {
            let pool = Pool::new(limit, searching, running);
            let workers: Vec<_> = (0..searching + running)
                .map(|n| {
                    let pool = pool.clone();
                    thread::spawn(move || pool.work(n < searching))
                })
                .collect();
            (0..tasks).for_each(|_| pool.submit());
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            assert!(pool.is_empty() || pool.slots.active() > 0, "a task waits, and nobody knows");
        });
    }

    #[test]
    fn one_that_searches() {
        no_task_is_left(1, 1, 0, 2);
    }

    #[test]
    fn one_that_runs() {
        no_task_is_left(1, 0, 1, 2);
    }

    #[test]
    fn one_that_searches_and_one_that_runs() {
        no_task_is_left(2, 1, 1, 1);
    }
}
