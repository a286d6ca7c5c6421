//! Leaving one stack and going on where another one was left: the one switch that a hub and its coroutines are built on.
//!
//! Both ways are jumps, in place of a call into the one and a return out of the other. The processor foretells where a
//! return goes by the calls that went before it. So each call must meet its own return: then all those of a
//! coroutine that comes back from a wait, through as many functions as there may be, go where the same calls of the one that
//! was left would have gone. A call or a return of the switch itself would put each of them out by one, at some 20 cycles each.
//!
//! ```text
//! left in the middle   begun by nobody yet    a point is the address of the lowest word
//!     saved registers      what it calls, aligned
//!     where it goes on     how to call that
//!                          `begin`
//! ```
//!
//! A panic never leaves a stack: what it begins with does not unwind. A backtrace ends there too.
#![allow(unsafe_code)]

use std::arch::{asm, naked_asm};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr;

use super::stack::Stack;

/// Where a stack was left, or will begin. It stands for whatever waits there, and is to be gone to once.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Point(NonZeroUsize);

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
    let point = object - 2 * size_of::<usize>();
    debug_assert!(range.contains(&point));
    let words = point as *mut usize;
    // SAFETY: two words and the object, which all lie in the uppermost part of the stack, which is the caller's: the smallest has 16 KiB,
    // and these have less than 9. The object is aligned as it must be, and the words are, since it is aligned to 16.
    unsafe {
        words.write(begin as *const () as usize);
        words.add(1).write(call::<F> as *const () as usize);
        (object as *mut F).write(f);
    }
    Point(NonZeroUsize::new(point).expect("a mapping is not at 0"))
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
    // Left from in here, and with the stack pointer low: for valgrind, what lies below it is no memory any more, and it does not see
    // that a stack begins anew.
    // SAFETY: the point is one that may be gone to, as `prepare` has it of `f`. Nothing on this stack is of use any more.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "sub rsp, {low}",
            "mov rax, [rdi]",
            "lea rsp, [rdi + 8]",
            "jmp rax",
            low = const ROOM + 256,
            in("rdi") there.0.get(),
            options(noreturn),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("mov sp, x0", "ldr x9, [x0]", "br x9", in("x0") there.0.get(), options(noreturn));
    }
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
    // SAFETY: what is pushed is popped again by who comes back, with the stack pointer that is noted; all other registers that a function
    // must keep are said to be lost. The rest is what the caller promises.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            // Two that the compiler does not let be lost.
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov [rdi], rsp",
            "mov rsp, rsi",
            "pop rax",
            "jmp rax",
            "2:",
            "pop rbx",
            "pop rbp",
            inout("rdi") here => _,
            inout("rsi") there.0.get() => _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "adr x9, 2f",
            "stp x9, x29, [sp, #-32]!",
            "str x19, [sp, #16]",
            "mov x10, sp",
            "str x10, [x0]",
            "mov sp, x1",
            "ldr x9, [x1]",
            "br x9",
            "2:",
            "ldr x29, [sp, #8]",
            "ldr x19, [sp, #16]",
            "add sp, sp, #32",
            inout("x0") here => _,
            inout("x1") there.0.get() => _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            clobber_abi("C"),
        );
    }
}

/// What `jump` comes to on a stack that has not begun: calls what lies there, by a jump too, since it does not return. That no
/// caller is known is where whoever walks the frames stops.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "pop rax",
        "mov rdi, rsp",
        "xor ebp, ebp",
        "lea rcx, [rip + 2f]",
        "push rcx",
        "jmp rax",
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
        "ldr x9, [sp, #8]",
        "add sp, sp, #16",
        "mov x0, sp",
        "mov x29, xzr",
        "adr x30, 2f",
        "br x9",
        // Whoever walks the frames looks at what lies before it.
        "2:",
        "udf #0",
        ".cfi_endproc",
    )
}
