//! The scheduler of one thread: it runs coroutines one after the other, and sleeps while none can go on.
//!
//! A [`Hub`] belongs to a stack frame ([`run()`]), which lets no coroutine outlive it. The thread knows its hub through a
//! thread-local pointer, set by that frame and reset by it. All but [`Remote`] and [`Slot`] is used by the one thread only.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `remote.rs` | what other threads reach: wake-ups and requests; why none is lost |
//! | `run.rs` | the loop, and its end |
//! | `switch.rs` | starting, resuming, suspending, unwinding a coroutine |
//! | `timers.rs` | deadlines |
//! | `poller.rs`, `descriptors.rs` | what the kernel tells of descriptors; waiting for them |
//! | `stuck.rs` | finding that nothing can ever go on, and telling who waits for what |

mod descriptors;
mod poller;
mod remote;
mod run;
mod stuck;
mod switch;
mod timers;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use self::poller::Poller;
use self::timers::Timers;
use super::control::{Control, Record};
use super::greenlet::Context;
use super::jump::Point;
use super::stack::{Cache, Stack};
use crate::sync::park::Wait;
pub(super) use crate::system::ready::Direction;
use crate::task::aside::Aside;

#[cfg(feature = "patch")]
pub(super) use self::descriptors::may_suspend;
pub(super) use self::descriptors::{Sources, poll_until, wait_for_any};
use self::remote::Request;
pub(super) use self::remote::{Remote, Slot, hold};
pub(super) use self::run::{run, serve};
pub(super) use self::switch::{
    Interrupt, current, current_id, current_pool, give_way_on, limited, running, with_hub,
    without_suspension,
};

pub(super) struct Hub {
    remote: &'static Remote,
    entries: RefCell<Vec<Entry>>,
    /// Entries without a coroutine.
    free: RefCell<Vec<u32>>,
    /// Who runs next.
    ready: RefCell<VecDeque<Ready>>,
    timers: RefCell<Timers>,
    poller: RefCell<Poller>,
    stacks: RefCell<Cache>,
    /// For what comes in next, so that it is not allocated each time. Empty.
    spare: RefCell<(Vec<u32>, Vec<Request>)>,
    /// The place of the coroutine that runs.
    current: Cell<Option<&'static Slot>>,
    /// Who resumed it: its way out.
    resumer: Cell<Option<Point>>,
    /// Where a coroutine has just been left; `None` if it has ended.
    left: Cell<Option<Point>>,
    /// How many coroutines are there that the end of the hub waits for.
    foreground: Cell<usize>,
    /// How many coroutines wait for descriptors.
    polling: Cell<usize>,
    /// Whether suspending is an error now, in the running coroutine.
    no_suspend: Cell<bool>,
    /// What `main` of the hub is told when nothing can go on.
    stuck: RefCell<Option<String>>,
    /// When another thread was last seen, by who looked whether nothing can go on.
    company: Cell<Option<Instant>>,
    /// The first coroutine of a hub that ends with it.
    main: Cell<Option<u64>>,
    /// For the handler of faults.
    running: Cell<Running>,
    /// Whether it takes no new coroutines, since it ends.
    closing: Cell<bool>,
    /// Addresses in the functions that it was begun by: see `thread_end.rs`.
    callers: Box<[usize]>,
    /// Whether it is to end when no foreground coroutine is left.
    stopping: Cell<bool>,
}

/// The coroutine that runs, as a signal handler can look at it.
#[derive(Clone, Copy)]
pub(super) struct Running {
    /// Null if none runs. Valid while it runs.
    pub(super) control: *const Control,
    /// Its number; 0 if none runs.
    id: u64,
    /// Where the guard of its stack begins, and ends.
    pub(super) guard: (usize, usize),
}

impl Running {
    const NONE: Running = Running { control: std::ptr::null(), id: 0, guard: (0, 0) };
}

/// A place for a coroutine.
struct Entry {
    slot: &'static Slot,
    /// Where it goes on. `None` while it runs, and if there is none.
    point: Option<Point>,
    /// What it is on.
    stack: Option<Stack>,
    control: Option<Arc<Record>>,
    /// The greenlets that it is the root of, while it does not run.
    greenlets: *const Context,
    /// What it was in the middle of writing or reading, while it does not run.
    aside: Aside,
    /// What it waits for.
    wait: Option<Wait>,
    /// The time limits that it is inside of, the outermost first.
    limits: Vec<Limit>,
}

/// A time limit on what a coroutine does.
#[derive(Clone, Copy)]
struct Limit {
    deadline: Instant,
    token: u64,
}

#[derive(Clone, Copy)]
struct Ready {
    index: u32,
    why: Why,
}

/// Why a coroutine is in the queue of those that run next: which flag of its slot stands for that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// None: it has begun or given way, or what the hub itself watches over has come.
    Turn,
    /// `queued_here`.
    Here,
    /// `queued`.
    Elsewhere,
}
