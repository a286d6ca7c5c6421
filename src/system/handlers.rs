//! Handlers of signals in front of those that were there before, which they pass on to.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Once, OnceLock};

/// A handler, called with what the kernel gives to one with SA_SIGINFO.
pub(crate) type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// A handler of ours for some signals, and what was done about each of them before.
pub(crate) struct Handlers<const N: usize> {
    signals: [c_int; N],
    /// There before the first handler is.
    previous: OnceLock<[libc::sigaction; N]>,
    installed: Once,
}

impl<const N: usize> Handlers<N> {
    pub(crate) const fn of(signals: [c_int; N]) -> Handlers<N> {
        Handlers { signals, previous: OnceLock::new(), installed: Once::new() }
    }

    /// Has `handler` called from now on, on the signal stack of the thread, if it has one. All but the first call do nothing.
    ///
    /// # Safety
    ///
    /// `handler` is async-signal-safe.
    pub(crate) unsafe fn install(&'static self, handler: Handler, flags: c_int) {
        self.previous.get_or_init(|| {
            self.signals.map(|signal| {
                let mut action = none();
                // SAFETY: reads the present action into a place of its type.
                unsafe { libc::sigaction(signal, ptr::null(), &mut action) };
                action
            })
        });
        self.installed.call_once(|| {
            let mut action = none();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | flags;
            for signal in self.signals {
                // SAFETY: the action is a handler of the type that the flags say, and async-signal-safe, as the caller promises.
                unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
            }
        });
    }

    fn previous(&self, signal: c_int) -> Option<&libc::sigaction> {
        let index = self.signals.iter().position(|known| *known == signal)?;
        self.previous.get().map(|previous| &previous[index])
    }

    /// For a handler: has the signal do what it did before ours, from now on. A fault, whose instruction is executed again when the
    /// handler returns, comes to that.
    pub(crate) fn put_back(&self, signal: c_int) {
        if let Some(previous) = self.previous(signal) {
            // SAFETY: the action was in place before ours. The call is async-signal-safe.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
        }
    }

    /// For a handler: calls the handler that was there before. False if there was none.
    ///
    /// # Safety
    ///
    /// `info` and `context` are what the kernel gave for this signal.
    pub(crate) unsafe fn pass_on(
        &self,
        signal: c_int,
        info: *mut libc::siginfo_t,
        context: *mut c_void,
    ) -> bool {
        let Some(previous) = self.previous(signal) else { return false };
        let handler = previous.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            return false;
        }
        if previous.sa_flags & libc::SA_SIGINFO != 0 {
            // SAFETY: with SA_SIGINFO the action is a function of this type, and gets what the kernel gave.
            let handler: Handler = unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        } else {
            // SAFETY: without SA_SIGINFO the action is a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
        true
    }
}

/// For a handler: has the signal do what it does by default, and sends it again. It comes when the handler has returned.
pub(crate) fn raise_default(signal: c_int) {
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        libc::sigaction(signal, &none(), ptr::null_mut());
        libc::raise(signal);
    }
}

/// The default action.
fn none() -> libc::sigaction {
    // SAFETY: a `sigaction` of zeroes is valid: no handler, no flags, an empty mask.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static OURS: AtomicU32 = AtomicU32::new(0);
    static THEIRS: AtomicU32 = AtomicU32::new(0);
    static HANDLERS: Handlers<2> = Handlers::of([libc::SIGUSR1, libc::SIGUSR2]);

    extern "C" fn ours(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        OURS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: both are what the kernel gave.
        let passed = unsafe { HANDLERS.pass_on(signal, info, context) };
        assert_eq!(passed, signal == libc::SIGUSR1);
    }

    extern "C" fn theirs(_signal: c_int) {
        THEIRS.fetch_add(1, Ordering::Relaxed);
    }

    #[test]
    fn what_was_there_before_is_passed_on_to_and_comes_back() {
        let told = |signal| {
            // SAFETY: the handlers only add to numbers; the signal comes before this returns.
            unsafe { libc::raise(signal) };
            (OURS.swap(0, Ordering::Relaxed), THEIRS.swap(0, Ordering::Relaxed))
        };
        // SAFETY: the handlers only add to numbers.
        unsafe {
            libc::signal(libc::SIGUSR1, theirs as *const () as usize);
            libc::signal(libc::SIGUSR2, libc::SIG_IGN);
            HANDLERS.install(ours, 0);
            HANDLERS.install(ours, 0);
        }
        assert_eq!((told(libc::SIGUSR1), told(libc::SIGUSR2)), ((1, 1), (1, 0)));
        HANDLERS.put_back(libc::SIGUSR1);
        assert_eq!((told(libc::SIGUSR1), told(libc::SIGUSR2)), ((0, 1), (1, 0)));
        HANDLERS.put_back(libc::SIGUSR2);
        assert_eq!(told(libc::SIGUSR2), (0, 0));
    }
}
