//! What a child writes into its page when it panics or is hit by a fatal signal, so that the parent is told also if the
//! child never gets to answer.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::page::{CrashKind, Front};
use crate::error::Panic;
use crate::system::{Handlers, raise_default};

/// The page of this child. Set once, before the handlers are installed, and never freed.
static PAGE: AtomicPtr<Front> = AtomicPtr::new(ptr::null_mut());
/// Whose it is: what a fork of the child dies of is not what the child died of.
static OWNER: AtomicU32 = AtomicU32::new(0);

static HANDLERS: Handlers<6> = Handlers::of([
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
]);

/// How far above or below the stack pointer an address may lie to be called a stack overflow: a frame may jump the guard
/// page by its own size, which stack probes keep to a page at a time.
const NEAR: usize = 256 << 10;

/// Writes panics and fatal signals of this process into `page` from now on.
pub(crate) fn install(page: &'static Front) {
    OWNER.store(std::process::id(), Ordering::Relaxed);
    // Release: a handler, in whatever thread, that sees the pointer sees the page, and whose it is.
    PAGE.store(ptr::from_ref(page).cast_mut(), Ordering::Release);
    // Once: a fork of a zygote has both from it, and changes the page alone.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let panic = crate::task::catch::describe(info);
            if let Some(page) = page_of_this_child() {
                record_panic(page, &panic);
            }
            hook(info);
        }));
        install_signals();
    });
}

/// Async-signal-safe.
fn page_of_this_child() -> Option<&'static Front> {
    // Acquire pairs with the Release of `install`.
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: null, or a page that `install` was given for ever.
    let page = unsafe { page.as_ref() }?;
    (OWNER.load(Ordering::Relaxed) == std::process::id()).then_some(page)
}

fn record_panic(page: &Front, panic: &Panic) {
    let text: [&[u8]; 5] = [
        panic.message.as_bytes(),
        b"\0",
        panic.location.as_deref().unwrap_or("").as_bytes(),
        b"\0",
        panic.backtrace.as_deref().unwrap_or("").as_bytes(),
    ];
    page.record_crash(CrashKind::Panic, 0, 0, &text);
}

/// The panic that a record tells of.
pub(crate) fn parse_panic(text: &str) -> Panic {
    let mut parts = text.splitn(3, '\0');
    let mut part = || parts.next().unwrap_or("").to_owned();
    let (message, location, backtrace) = (part(), part(), part());
    Panic {
        message,
        location: Some(location).filter(|text| !text.is_empty()),
        backtrace: Some(backtrace).filter(|text| !text.is_empty()),
    }
}

fn install_signals() {
    // For this thread alone, which is the one that runs tasks, and for good.
    std::mem::forget(crate::system::SignalStack::ensure());
    // SAFETY: `on_signal` is async-signal-safe: it touches atomics and the page, and calls `sigaction` and `raise` only.
    unsafe { HANDLERS.install(on_signal, 0) };
}

/// Records the signal. A fault is given back to whom it would have gone to: the instruction is executed again.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives a valid `info` to a handler with SA_SIGINFO.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let sent = code <= 0;
    if let Some(page) = page_of_this_child() {
        let faulted = signal == libc::SIGSEGV || signal == libc::SIGBUS;
        // SAFETY: the kernel gives a valid `context` to a handler with SA_SIGINFO.
        let stack = unsafe { stack_pointer(context) };
        let overflow = faulted && !sent && stack != 0 && stack.abs_diff(address) < NEAR;
        let kind = if overflow { CrashKind::StackOverflow } else { CrashKind::Signal };
        page.record_crash(kind, signal, address as u64, &[]);
    }
    if sent {
        // Nothing is executed again for a signal that was sent, and a handler before ours may count on that: that of std
        // gives the signal back and returns, and the process would go on. It is blocked until this handler returns.
        return raise_default(signal);
    }
    HANDLERS.put_back(signal);
}

/// The stack pointer of the interrupted code; 0 where it is not known how to find it.
unsafe fn stack_pointer(context: *mut c_void) -> usize {
    // SAFETY: the caller gives the context that the kernel gave to a handler.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    #[cfg(target_arch = "x86_64")]
    return context.uc_mcontext.gregs[libc::REG_RSP as usize] as usize;
    #[cfg(target_arch = "aarch64")]
    return context.uc_mcontext.sp as usize;
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return 0;
}
