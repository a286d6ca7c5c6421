//! Leaving one stack and going on where another one was left: the one switch that a hub and its coroutines are built on.
//!
//! Both ways are jumps, in place of a call into the one and a return out of the other. The processor foretells where a
//! return goes by the calls that went before it. So each call must meet its own return: then all those of a
//! coroutine that comes back from a wait, through as many functions as there may be, go where the same calls of the one that
//! was left would have gone. A call or a return of the switch itself would put each of them out by one, at some 20 cycles each.
//!
//! ```text
//!                  left in the middle   begun by nobody yet      a point is the address of the lowest word
//!     where it goes on                  `begin`
//!     the stack pointer there           where what it calls lies, aligned
//!     the frame pointer                 0
//!     one more register                 how to call that
//! ```
//!
//! Whoever walks the frames, a profiler in its signal handler or a debugger, may look between any two instructions. So these four words
//! lie in the frame of the function that is left, whose stack pointer stays where the compiler has it, and those two registers are
//! what they were before it goes on. In between, for a few instructions, the registers are of neither stack, and a walk ends there.
//!
//! A panic never leaves a stack: what it begins with does not unwind. A backtrace ends there too.
#![allow(unsafe_code)]

use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr;

use super::stack::Stack;

/// Where a stack was left, or will begin. It stands for whatever waits there, and is to be gone to once.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Point(NonZeroUsize);

impl Point {
    /// Where it lies on its stack.
    #[inline(always)]
    pub(super) fn address(self) -> usize {
        self.0.get()
    }
}

/// So much may lie at the beginning of a stack at most. Of the smallest it is a quarter.
const ROOM: usize = 4096;

/// Has `f` called on a stack when its point is gone to, with what it captures put there. It returns the point to go to at its end.
///
/// `f` is dropped by being called, and in no other way: a point that nobody goes to leaks it.
///
/// # Safety
///
/// The stack is used by nobody else from now until that end, and what `f` borrows lives until then.
pub(super) unsafe fn prepare<F: FnOnce() -> Point>(stack: &Stack, f: F) -> Point {
    if size_of::<F>() > ROOM || align_of::<F>() > ROOM {
        let f = Box::new(f);
        // SAFETY: as the caller promises.
        unsafe { put(stack, f) }
    } else {
        // SAFETY: as the caller promises.
        unsafe { put(stack, f) }
    }
}

/// As `prepare`.
///
/// # Safety
///
/// As for `prepare`; and `F` takes no more than `ROOM`, nor is it aligned to more.
unsafe fn put<F: FnOnce() -> Point>(stack: &Stack, f: F) -> Point {
    let range = stack.range();
    let object = (range.end - size_of::<F>()) & !(align_of::<F>().max(ALIGNED) - 1);
    let point = object - size_of::<Left>();
    debug_assert!(range.contains(&point));
    let left = Left {
        goes_on: begin as *const () as usize,
        stack_pointer: object,
        frame_pointer: 0,
        register: call::<F> as *const () as usize,
    };
    // SAFETY: four words and the object, which all lie in the uppermost part of the stack, which is the caller's: the smallest has 16 KiB,
    // and these have less than 9. The object is aligned as it must be, and the words are, since it is aligned to 16.
    unsafe {
        (point as *mut Left).write(left);
        (object as *mut F).write(f);
    }
    Point(NonZeroUsize::new(point).expect("a mapping is not at 0"))
}

/// How a stack was left: what a point is the address of.
#[repr(C)]
struct Left {
    goes_on: usize,
    stack_pointer: usize,
    /// The two registers that the compiler does not let be lost: `rbp` and `rbx`, `x29` and `x19`.
    frame_pointer: usize,
    register: usize,
}

/// What the stack pointer is a multiple of where a function is called.
const ALIGNED: usize = 16;

/// Calls what lies at the beginning of a stack, and goes to the point that it returns. A panic that came out of it would abort.
///
/// # Safety
///
/// It is there, and is called once.
unsafe extern "C" fn call<F: FnOnce() -> Point>(object: *mut F) -> ! {
    // SAFETY: as the caller promises: `put` has written it there.
    let f = unsafe { object.read() };
    let there = f();
    // SAFETY: the point is one that may be gone to, as `prepare` has it of `f`. Nothing on this stack is of use any more.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("jmp {}", sym leave_for_good, in("rsi") there.0.get(), options(noreturn));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("b {}", sym leave_for_good, in("x1") there.0.get(), options(noreturn));
    }
}

/// From here on the registers are in part of one stack and in part of the other, so that no caller is known.
#[cfg(panic = "unwind")]
macro_rules! between_stacks {
    ($register:literal) => {
        concat!(".cfi_remember_state\n.cfi_undefined ", $register)
    };
}

/// From here on they are what the compiler has told.
#[cfg(panic = "unwind")]
macro_rules! again_on_one {
    () => {
        ".cfi_restore_state"
    };
}

/// A program that aborts may be built without what is told of frames, and then nothing may be said of them.
#[cfg(not(panic = "unwind"))]
macro_rules! between_stacks {
    ($register:literal) => {
        ""
    };
}

#[cfg(not(panic = "unwind"))]
macro_rules! again_on_one {
    () => {
        ""
    };
}

/// Notes in `here` where this is left, and goes to `there`. Returns when somebody goes to what was noted.
///
/// # Safety
///
/// `there` is a point that nobody has gone to since it was noted or prepared, on a stack that is as it was then. What was noted
/// is gone to by the same thread, at a time when all that the caller borrows is there.
#[inline(always)]
pub(super) unsafe fn jump(here: &Cell<Option<Point>>, there: Point) {
    // An `Option<Point>` is one word, and `None` is 0.
    const { assert!(size_of::<Cell<Option<Point>>>() == size_of::<usize>()) };
    let here = ptr::from_ref(here);
    let mut left = MaybeUninit::<Left>::uninit();
    // SAFETY: what is noted lies in the frame of this function, which is there for who comes back, with the stack pointer and the two
    // registers that are noted; all other registers that a function must keep are said to be lost. The rest is what the caller promises.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "mov [rdx], rax",
            "mov [rdx + 8], rsp",
            "mov [rdx + 16], rbp",
            "mov [rdx + 24], rbx",
            "mov [rdi], rdx",
            between_stacks!("rip"),
            "mov rbp, [rsi + 16]",
            "mov rbx, [rsi + 24]",
            "mov rsp, [rsi + 8]",
            "jmp [rsi]",
            again_on_one!(),
            "2:",
            inout("rdi") here => _,
            inout("rsi") there.0.get() => _,
            inout("rdx") left.as_mut_ptr() => _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "adr x9, 2f",
            "mov x10, sp",
            "stp x9, x10, [x2]",
            "stp x29, x19, [x2, #16]",
            "str x2, [x0]",
            between_stacks!("x30"),
            "ldp x9, x10, [x1]",
            "ldp x29, x19, [x1, #16]",
            "mov sp, x10",
            "br x9",
            again_on_one!(),
            "2:",
            inout("x0") here => _,
            inout("x1") there.0.get() => _,
            inout("x2") left.as_mut_ptr() => _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            clobber_abi("C"),
        );
    }
}

/// Goes to the point in `rsi`, from a stack that nobody comes back to. With the stack pointer low: for valgrind, what lies below it is no
/// memory any more, and it does not see that a stack begins anew.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn leave_for_good() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "sub rsp, {low}",
        "mov rbp, [rsi + 16]",
        "mov rbx, [rsi + 24]",
        "mov rsp, [rsi + 8]",
        "jmp [rsi]",
        ".cfi_endproc",
        low = const ROOM + 256,
    )
}

/// Goes to the point in `x1`, from a stack that nobody comes back to.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn leave_for_good() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined x30",
        "ldp x9, x10, [x1]",
        "ldp x29, x19, [x1, #16]",
        "mov sp, x10",
        "br x9",
        ".cfi_endproc",
    )
}

/// What `jump` comes to on a stack that has not begun: calls what lies there, by a jump too, since it does not return. That no
/// caller is known is where whoever walks the frames stops.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rdi, rsp",
        "lea rcx, [rip + 2f]",
        "push rcx",
        "jmp rbx",
        // Whoever walks the frames looks at what lies before it.
        "2:",
        "ud2",
        ".cfi_endproc",
    )
}

#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined x30",
        "mov x0, sp",
        "adr x30, 2f",
        "br x19",
        // Whoever walks the frames looks at what lies before it.
        "2:",
        "udf #0",
        ".cfi_endproc",
    )
}

#[cfg(all(test, target_arch = "x86_64", panic = "unwind"))]
mod tests;
