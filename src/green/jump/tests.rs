//! A switch, looked at between any two of its instructions, as a profiler may.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::green::stack::{Cache, Class};

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut c_void, before: *mut c_int) -> usize;
    fn _Unwind_FindEnclosingFunction(address: *mut c_void) -> *mut c_void;
}

/// A side that was left.
struct Side(Cell<Option<Point>>);

// SAFETY: one test has them, on one thread.
unsafe impl Sync for Side {}

static HERE: Side = Side(Cell::new(None));
static THERE: Side = Side(Cell::new(None));

/// How many walks there were; those that ended where they began; and those that came to no function that is known to be there.
static WALKS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

/// The functions of one walk, and how many.
struct Walk([usize; 64], usize);

unsafe extern "C" fn step(context: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: called by the walk of `look` with its context, and with that `Walk`.
    unsafe {
        let walk = &mut *walk.cast::<Walk>();
        let mut before = 0;
        let address = _Unwind_GetIPInfo(context, &mut before);
        // The end of a walk is told like a frame.
        if address == 0 {
            return 0;
        }
        let address = address.saturating_sub(usize::from(before == 0));
        let function = _Unwind_FindEnclosingFunction(address as *mut c_void) as usize;
        if let Some(place) = walk.0.get_mut(walk.1) {
            *place = function;
        }
        walk.1 += 1;
        // What never ends is as wrong as what goes astray.
        if walk.1 > walk.0.len() { 5 } else { 0 }
    }
}

/// Called between any two instructions: walks the frames.
extern "C" fn look(_: c_int, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    if DONE.load(Ordering::Relaxed) {
        // SAFETY: the kernel's, for this handler, which the thread goes on from: without the trap flag.
        unsafe { (*context).uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP };
        return;
    }
    let mut walk = Walk([0; 64], 0);
    // SAFETY: `step` takes what it is given.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    // Without this one, and the frame of the signal.
    let seen = walk.0.get(2..walk.1).unwrap_or(&[]);
    // SAFETY: the kernel's, for this handler; a look-up by an address.
    let at = unsafe {
        let rip = (*context).uc_mcontext.gregs[libc::REG_RIP as usize];
        _Unwind_FindEnclosingFunction(rip as *mut c_void) as usize
    };
    let test = frames_are_walked_to_a_sane_end_between_any_two_instructions_of_a_switch;
    let known = [outer_here as fn() as usize, outer_there as fn() as usize, test as fn() as usize];
    let switches = [inner_here as fn() as usize, inner_there as fn() as usize];
    let is_right = match seen {
        [_] if switches.contains(&at) => {
            WALKS[1].fetch_add(1, Ordering::Relaxed);
            true
        }
        // Who switches has its own caller, not the other's.
        [inner, outer, ..] if switches.contains(&at) => {
            (0..2).any(|n| [*inner, *outer] == [switches[n], known[n]])
        }
        // On a stack that begins or ends there are few.
        _ => seen.len() < 12 || seen.iter().any(|function| known.contains(function)),
    };
    WALKS[0].fetch_add(1, Ordering::Relaxed);
    WALKS[2].fetch_add(usize::from(!is_right), Ordering::Relaxed);
}

#[inline(never)]
fn outer_here() {
    for _ in 0..3 {
        inner_here();
        std::hint::black_box(());
    }
}

#[inline(never)]
fn inner_here() {
    let there = THERE.0.take().unwrap();
    // SAFETY: the point was prepared, or noted by the other side, which is as it was then.
    unsafe { jump(&HERE.0, there) };
}

#[inline(never)]
fn outer_there() {
    for _ in 0..2 {
        inner_there();
        std::hint::black_box(());
    }
}

#[inline(never)]
fn inner_there() {
    let here = HERE.0.take().unwrap();
    // SAFETY: as above.
    unsafe { jump(&THERE.0, here) };
}

/// The trap flag of the processor.
const TRAP: i64 = 0x100;

/// Ends the steps. Not by an instruction that itself could be looked at with the stack pointer changed.
static DONE: AtomicBool = AtomicBool::new(false);

/// Has this thread trapped after each instruction from here on.
fn begin_steps() {
    // SAFETY: sets a flag of this thread; the stack is as before.
    unsafe { asm!("pushfq", "or qword ptr [rsp], {trap}", "popfq", trap = const TRAP) }
}

#[test]
fn frames_are_walked_to_a_sane_end_between_any_two_instructions_of_a_switch() {
    let mut cache = Cache::default();
    let stack = cache.take(Class::new(256 << 10, 1).unwrap()).unwrap();
    let body = || {
        outer_there();
        HERE.0.take().unwrap()
    };
    // SAFETY: the stack is this function's, and what is called on it ends below.
    let point = unsafe { prepare(&stack, body) };
    THERE.0.set(Some(point));
    // SAFETY: an action of zeroes but for a handler that walks frames, on a thread that has nothing locked meanwhile.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_flags = libc::SA_SIGINFO;
        action.sa_sigaction = look as *const () as usize;
        libc::sigaction(libc::SIGTRAP, &action, ptr::null_mut());
    }
    begin_steps();
    outer_here();
    DONE.store(true, Ordering::Relaxed);
    // SAFETY: puts back what is usual.
    unsafe { libc::signal(libc::SIGTRAP, libc::SIG_DFL) };
    cache.put(stack);
    let [walks, short, wrong] = WALKS.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(walks > 60, "{walks} walks");
    // Six switches, of at most five instructions each between the stacks.
    assert!(short <= 30 && short > 0, "{short} of {walks}");
    assert_eq!(wrong, 0, "of {walks}");
}
