//! Events, conditions and barriers, with deaths in the sequence.

use proptest::prelude::*;

use super::Driver;
use crate::words::{
    Barrier, BarrierReply, BarrierRequest, Condition, ConditionReply, ConditionRequest, Event,
    EventReply, EventRequest, LockReply, LockRequest,
};

const ACQUIRE: ConditionRequest = ConditionRequest::Lock(LockRequest::Acquire { block: true });
const RELEASE: ConditionRequest = ConditionRequest::Lock(LockRequest::Release);

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Release,
    Wait,
    Notify(usize),
    NotifyAll,
    TimeOut,
    Gone,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        4 => Just(Step::Acquire),
        4 => Just(Step::Release),
        4 => Just(Step::Wait),
        2 => (0usize..3).prop_map(Step::Notify),
        1 => Just(Step::NotifyAll),
        1 => Just(Step::TimeOut),
        1 => Just(Step::Gone),
    ];
    prop::collection::vec((0u64..5, step), 0..200)
}

/// What a participant is doing, and how often it holds the lock or will.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Nothing,
    Holds(usize),
    /// In line for the lock; `Some` says with what a wait ends there.
    InLine(usize, Option<bool>),
    Waits(usize),
}

struct Model {
    doing: [Doing; 5],
    /// Who stands in line for the lock, and who waits, in order.
    line: Vec<u64>,
    waiters: Vec<u64>,
    orphaned: bool,
}

type Answers = Vec<(u64, ConditionReply)>;

impl Model {
    fn at(&mut self, who: u64) -> &mut Doing {
        &mut self.doing[who as usize]
    }

    fn is_free(&self) -> bool {
        !self.doing.iter().any(|doing| matches!(doing, Doing::Holds(_)))
    }

    fn wake(&mut self, who: u64, notified: bool) {
        self.waiters.retain(|&waiter| waiter != who);
        if let Doing::Waits(depth) = *self.at(who) {
            *self.at(who) = Doing::InLine(depth, Some(notified));
            self.line.push(who);
        }
    }

    fn notify(&mut self, count: usize) {
        for who in self.waiters.iter().copied().take(count).collect::<Vec<_>>() {
            self.wake(who, true);
        }
    }

    fn step(&mut self, who: u64, step: &Step) -> Answers {
        let mut out = Vec::new();
        let held = |doing: &Doing| matches!(doing, Doing::Holds(_));
        match step {
            Step::Acquire => match *self.at(who) {
                Doing::Holds(depth) => {
                    *self.at(who) = Doing::Holds(depth + 1);
                    let reply = LockReply::Acquired { owner_died: false };
                    out.push((who, ConditionReply::Lock(reply)));
                }
                _ => {
                    *self.at(who) = Doing::InLine(1, None);
                    self.line.push(who);
                }
            },
            Step::Release => match *self.at(who) {
                Doing::Holds(depth) => {
                    *self.at(who) =
                        if depth == 1 { Doing::Nothing } else { Doing::Holds(depth - 1) };
                    out.push((who, ConditionReply::Lock(LockReply::Released)));
                }
                _ => out.push((who, ConditionReply::Lock(LockReply::NotHeld))),
            },
            Step::Wait | Step::Notify(_) | Step::NotifyAll if !held(self.at(who)) => {
                out.push((who, ConditionReply::NotHeld));
            }
            Step::Wait => {
                if let Doing::Holds(depth) = *self.at(who) {
                    *self.at(who) = Doing::Waits(depth);
                    self.waiters.push(who);
                }
            }
            Step::Notify(count) => {
                self.notify(*count);
                out.push((who, ConditionReply::Notified));
            }
            Step::NotifyAll => {
                self.notify(self.waiters.len());
                out.push((who, ConditionReply::Notified));
            }
            Step::TimeOut => match *self.at(who) {
                Doing::Waits(_) => self.wake(who, false),
                Doing::InLine(_, None) => {
                    *self.at(who) = Doing::Nothing;
                    self.line.retain(|&other| other != who);
                    out.push((who, ConditionReply::Lock(LockReply::Busy)));
                }
                _ => {}
            },
            Step::Gone => {
                let was = std::mem::replace(self.at(who), Doing::Nothing);
                self.line.retain(|&other| other != who);
                self.waiters.retain(|&other| other != who);
                self.orphaned |= matches!(was, Doing::Holds(_));
                if matches!(was, Doing::InLine(_, Some(true))) {
                    self.notify(1);
                }
            }
        }
        if self.is_free() && !self.line.is_empty() {
            let next = self.line.remove(0);
            if let Doing::InLine(depth, how) = *self.at(next) {
                *self.at(next) = Doing::Holds(depth);
                let owner_died = std::mem::take(&mut self.orphaned);
                out.push((
                    next,
                    match how {
                        Some(notified) => ConditionReply::Woken { notified, owner_died },
                        None => ConditionReply::Lock(LockReply::Acquired { owner_died }),
                    },
                ));
            }
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_condition_does_what_its_model_does(steps in steps()) {
        let mut condition = Driver::new(Condition::default());
        let mut model = Model {
            doing: [Doing::Nothing; 5], line: Vec::new(), waiters: Vec::new(), orphaned: false,
        };
        for (who, step) in &steps {
            let who = *who;
            if condition.is_waiting(who) && !matches!(step, Step::TimeOut | Step::Gone) {
                continue;
            }
            let ours = match step {
                Step::Acquire => condition.request(who, ACQUIRE),
                Step::Release => condition.request(who, RELEASE),
                Step::Wait => condition.request(who, ConditionRequest::Wait),
                Step::Notify(count) => condition.request(who, ConditionRequest::Notify(*count)),
                Step::NotifyAll => condition.request(who, ConditionRequest::NotifyAll),
                Step::TimeOut => condition.time_out(who),
                Step::Gone => condition.gone(who),
            };
            prop_assert_eq!(ours, model.step(who, step), "{:?} of {}", step, who);
        }
    }

    #[test]
    fn an_event_lets_go_of_all_who_wait(steps in prop::collection::vec((0u64..4, 0u8..5), 0..100)) {
        let mut event = Driver::new(Event::default());
        let mut is_set = false;
        for (who, what) in steps {
            if event.is_waiting(who) && what < 3 {
                continue;
            }
            let waiting = event.waiting.len();
            match what {
                0 => {
                    let replies = event.request(who, EventRequest::Set);
                    prop_assert_eq!(replies.len(), waiting + 1);
                    is_set = true;
                }
                1 => {
                    event.request(who, EventRequest::Clear);
                    is_set = false;
                }
                2 => {
                    let replies = event.request(who, EventRequest::Wait);
                    let expected = if is_set { vec![(who, EventReply::Is(true))] } else { vec![] };
                    prop_assert_eq!(replies, expected);
                }
                3 => {
                    let was_waiting = event.is_waiting(who);
                    let replies = event.time_out(who);
                    let expected = if was_waiting { vec![(who, EventReply::Is(false))] } else { vec![] };
                    prop_assert_eq!(replies, expected);
                }
                _ => prop_assert!(event.gone(who).is_empty()),
            }
            prop_assert!(!is_set || event.waiting.is_empty());
        }
    }

    /// A generation passes whole, or is broken whole.
    #[test]
    fn a_barrier_is_left_by_all_or_broken_for_all(
        parties in 1usize..4,
        steps in prop::collection::vec((0u64..5, 0u8..12), 0..120),
    ) {
        let mut barrier = Driver::new(Barrier::new(parties));
        let mut broken = false;
        for (who, what) in steps {
            if barrier.is_waiting(who) && what < 10 {
                continue;
            }
            let waiting = barrier.waiting.len();
            let replies = match what {
                0..=7 => barrier.request(who, BarrierRequest::Wait),
                8 => barrier.request(who, BarrierRequest::Reset),
                9 => barrier.request(who, BarrierRequest::Abort),
                10 => barrier.time_out(who),
                _ => barrier.gone(who),
            };
            match what {
                0..=7 if broken => prop_assert_eq!(replies, [(who, BarrierReply::Broken)]),
                0..=7 if waiting + 1 == parties => {
                    let places: Vec<_> = replies.iter().map(|(_, reply)| *reply).collect();
                    let expected: Vec<_> = (0..parties).map(BarrierReply::Passed).collect();
                    prop_assert_eq!(places, expected);
                }
                0..=7 => prop_assert!(replies.is_empty()),
                _ => {
                    let told = [BarrierReply::Broken, BarrierReply::Done];
                    let all = replies.iter().all(|(_, reply)| told.contains(reply));
                    prop_assert!(all, "{:?}", replies);
                }
            }
            broken = barrier.request(9, BarrierRequest::IsBroken) == [(9, BarrierReply::Is(true))];
            prop_assert!(barrier.waiting.is_empty() || !broken, "nobody waits at a broken barrier");
            prop_assert!(barrier.waiting.len() < parties);
        }
    }
}

#[test]
fn a_barrier_with_a_dead_member_is_broken_until_it_is_reset() {
    let mut barrier = Driver::new(Barrier::new(3));
    assert!(barrier.request(1, BarrierRequest::Wait).is_empty());
    assert!(barrier.request(2, BarrierRequest::Wait).is_empty());
    assert_eq!(barrier.gone(1), [(2, BarrierReply::Broken)]);
    assert_eq!(barrier.request(3, BarrierRequest::Wait), [(3, BarrierReply::Broken)]);
    assert_eq!(barrier.request(3, BarrierRequest::Reset), [(3, BarrierReply::Done)]);
    assert!(barrier.request(3, BarrierRequest::Wait).is_empty());
}
