//! Locks and semaphores against plain models.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::Driver;
use crate::words::{
    Lock, LockReply, LockRequest, RLock, Semaphore, SemaphoreReply, SemaphoreRequest,
};

#[derive(Clone, Debug)]
enum Step {
    Acquire { block: bool },
    Release,
    TimeOut,
    Gone,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(|block| Step::Acquire { block }),
        4 => Just(Step::Release),
        1 => Just(Step::TimeOut),
        2 => Just(Step::Gone),
    ];
    prop::collection::vec((0u64..4, step), 0..150)
}

fn lock_step<W>(lock: &mut Driver<W>, who: u64, step: &Step) -> Option<Vec<(u64, LockReply)>>
where
    W: crate::words::Word<Request = LockRequest, Reply = LockReply>,
{
    if lock.is_waiting(who) && !matches!(step, Step::TimeOut | Step::Gone) {
        return None;
    }
    Some(match *step {
        Step::Acquire { block } => lock.request(who, LockRequest::Acquire { block }),
        Step::Release => lock.request(who, LockRequest::Release),
        Step::TimeOut => lock.time_out(who),
        Step::Gone => lock.gone(who),
    })
}

/// A lock, taken again by its holder or not.
struct Model {
    again: bool,
    holder: Option<u64>,
    depth: usize,
    orphaned: bool,
    line: VecDeque<u64>,
}

impl Model {
    fn step(&mut self, who: u64, step: &Step) -> Vec<(u64, LockReply)> {
        let mut out = Vec::new();
        match *step {
            Step::Acquire { .. } if self.holder.is_none() => {
                let owner_died = std::mem::take(&mut self.orphaned);
                (self.holder, self.depth) = (Some(who), 1);
                out.push((who, LockReply::Acquired { owner_died }));
            }
            Step::Acquire { .. } if self.again && self.holder == Some(who) => {
                self.depth += 1;
                out.push((who, LockReply::Acquired { owner_died: false }));
            }
            Step::Acquire { block: true } => self.line.push_back(who),
            Step::Acquire { block: false } => out.push((who, LockReply::Busy)),
            Step::Release => {
                let allowed =
                    if self.again { self.holder == Some(who) } else { self.holder.is_some() };
                if allowed {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.holder = None;
                    }
                    out.push((who, LockReply::Released));
                } else {
                    out.push((who, LockReply::NotHeld));
                }
            }
            Step::TimeOut => {
                if self.line.contains(&who) {
                    self.line.retain(|&other| other != who);
                    out.push((who, LockReply::Busy));
                }
            }
            Step::Gone => {
                self.line.retain(|&other| other != who);
                if self.holder == Some(who) {
                    (self.holder, self.orphaned) = (None, true);
                }
            }
        }
        if self.holder.is_none()
            && let Some(next) = self.line.pop_front()
        {
            (self.holder, self.depth) = (Some(next), 1);
            out.push((
                next,
                LockReply::Acquired { owner_died: std::mem::take(&mut self.orphaned) },
            ));
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_lock_does_what_its_model_does(steps in steps()) {
        let mut lock = Driver::new(Lock::default());
        let mut model =
            Model { again: false, holder: None, depth: 0, orphaned: false, line: VecDeque::new() };
        for (who, step) in &steps {
            if let Some(ours) = lock_step(&mut lock, *who, step) {
                prop_assert_eq!(ours, model.step(*who, step), "{:?} of {}", step, who);
            }
        }
    }

    #[test]
    fn a_lock_that_is_taken_again_does_what_its_model_does(steps in steps()) {
        let mut lock = Driver::new(RLock::default());
        let mut model =
            Model { again: true, holder: None, depth: 0, orphaned: false, line: VecDeque::new() };
        for (who, step) in &steps {
            if let Some(ours) = lock_step(&mut lock, *who, step) {
                prop_assert_eq!(ours, model.step(*who, step), "{:?} of {}", step, who);
            }
        }
    }

    /// With releases by holders alone, permits inside and free are always as many as at the start.
    #[test]
    fn permits_are_kept(bounded in any::<bool>(), permits in 0usize..4, steps in steps()) {
        let word = if bounded { Semaphore::bounded(permits) } else { Semaphore::new(permits) };
        let mut semaphore = Driver::new(word);
        let mut holds = [0usize; 4];
        let note = |replies: Vec<(u64, SemaphoreReply)>, holds: &mut [usize; 4]| {
            for (who, reply) in replies {
                if reply == SemaphoreReply::Acquired {
                    holds[who as usize] += 1;
                }
            }
        };
        for (who, step) in &steps {
            let who = *who;
            if semaphore.is_waiting(who) && !matches!(step, Step::TimeOut | Step::Gone) {
                continue;
            }
            let replies = match *step {
                Step::Acquire { block } => {
                    semaphore.request(who, SemaphoreRequest::Acquire { block })
                }
                Step::Release if holds[who as usize] == 0 => continue,
                Step::Release => {
                    holds[who as usize] -= 1;
                    semaphore.request(who, SemaphoreRequest::Release(1))
                }
                Step::TimeOut => semaphore.time_out(who),
                Step::Gone => {
                    holds[who as usize] = 0;
                    semaphore.gone(who)
                }
            };
            note(replies, &mut holds);
            let value = semaphore.request(9, SemaphoreRequest::Value);
            let inside: usize = holds.iter().sum();
            prop_assert_eq!(value, [(9, SemaphoreReply::Value(permits - inside))]);
            prop_assert!(semaphore.waiting.is_empty() || inside == permits, "free permits, and a line");
        }
    }
}

/// As a producer and a consumer use it, who hold nothing.
#[test]
fn an_event_that_was_taken_does_not_come_back_with_the_end_of_who_took_it() {
    let mut semaphore = Driver::new(Semaphore::new(0));
    semaphore.request(1, SemaphoreRequest::Release(5));
    for _ in 0..3 {
        let taken = semaphore.request(2, SemaphoreRequest::Acquire { block: false });
        assert_eq!(taken, [(2, SemaphoreReply::Acquired)]);
    }
    semaphore.gone(2);
    let left = semaphore.request(9, SemaphoreRequest::Value);
    assert_eq!(left, [(9, SemaphoreReply::Value(2))]);
}

#[test]
fn a_bounded_semaphore_has_its_bound() {
    let mut semaphore = Driver::new(Semaphore::bounded(1));
    assert_eq!(semaphore.request(1, SemaphoreRequest::Release(1)), [(1, SemaphoreReply::TooMany)]);
    let mut semaphore = Driver::new(Semaphore::new(0));
    assert!(semaphore.request(1, SemaphoreRequest::Acquire { block: true }).is_empty());
    let replies = semaphore.request(2, SemaphoreRequest::Release(2));
    assert_eq!(replies, [(2, SemaphoreReply::Released), (1, SemaphoreReply::Acquired)]);
}

/// Who signals with a semaphore takes the signal away from nobody who dies later.
#[test]
fn a_release_by_another_is_for_one_who_holds() {
    let mut semaphore = Driver::new(Semaphore::new(1));
    semaphore.request(1, SemaphoreRequest::Acquire { block: false });
    semaphore.request(2, SemaphoreRequest::Release(1));
    semaphore.gone(1);
    let value = semaphore.request(2, SemaphoreRequest::Value);
    assert_eq!(value, [(2, SemaphoreReply::Value(1))]);
}
