//! Deaths of workers, at each step of telling their pool of an outcome and of taking up what comes next.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use fourfold::process::{Executor, steps};

use super::support::{Board, Case, HANG, MANY, Round};
use super::words::case;

/// Steps of a worker that are tried: more than an answer of a few bytes and the next task have. Idle, it goes on with
/// steps for as long as it looks.
const STEPS: i64 = 120;

pub(crate) fn cases(cases: &mut Vec<Case>) {
    case(cases, "pool, an answer and what comes next", |round| answer(round, 1, 1));
    case(cases, "pool, several sent ahead", |round| answer(round, 1, 40));
    case(cases, "pool, answers of some pages", |round| answer(round, 2_000, 3));
}

/// Has the worker die before its step number `steps` from here on.
fn die_at(steps: i64, long: usize) -> Vec<u8> {
    steps::arm(steps);
    vec![7; long]
}

fn back(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn joined(handle: fourfold::Handle<Vec<u8>>, expected: &[u8]) -> bool {
    let mut handle = handle;
    match handle.join_timeout(HANG).expect("an outcome") {
        Ok(value) => {
            assert_eq!(value, expected);
            true
        }
        Err(error) => {
            assert_eq!(error.signal(), Some(9), "{error}");
            false
        }
    }
}

/// One that dies, and tasks behind it. Of all of them one at most is lost.
fn answer(round: Round, long: usize, behind: usize) -> bool {
    static POOL: OnceLock<Executor> = OnceLock::new();
    let pool = POOL.get_or_init(|| Executor::builder().workers(1).build().unwrap());
    if round.steps == MANY {
        round.board.measured(STEPS);
    }
    // So that several are sent ahead; and one that was to die and has not yet does so here.
    for n in 0..60_u8 {
        joined(pool.submit(back, vec![n]), &[n]);
    }
    let steps = if round.steps == MANY { -1 } else { round.steps * long.div_ceil(200) as i64 };
    let first = pool.submit(die_at, (steps, long));
    let others: Vec<_> = (0..behind).map(|n| (n, pool.submit(back, vec![n as u8; long]))).collect();
    let mut lost = usize::from(!joined(first, &vec![7; long]));
    for (n, handle) in others {
        lost += usize::from(!joined(handle, &vec![n as u8; long]));
    }
    assert!(lost <= 1, "{lost} tasks were lost with one worker");
    round.board.got.store(lost as u64, SeqCst);
    lost == 0
}

impl Board {
    fn measured(&self, steps: i64) {
        self.left.store(MANY - steps, SeqCst);
    }
}
