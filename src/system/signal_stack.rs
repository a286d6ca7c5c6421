//! A stack for signal handlers, which an overflow of the thread's own leaves none to.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

const SIZE: usize = 64 << 10;

/// The stack of this thread for handlers with SA_ONSTACK, given back when it is dropped.
pub(crate) struct SignalStack {
    stack: *mut libc::c_void,
}

impl SignalStack {
    /// Gives the calling thread one, unless it has one, as a thread of std has where std's runtime has been started.
    pub(crate) fn ensure() -> Option<SignalStack> {
        // SAFETY: asks for the present state, then hands over a fresh mapping, which is unmapped only when it is no longer that stack.
        unsafe {
            let mut present = MaybeUninit::<libc::stack_t>::zeroed().assume_init();
            if libc::sigaltstack(ptr::null(), &mut present) == 0
                && present.ss_flags & libc::SS_DISABLE == 0
            {
                return None;
            }
            let stack = libc::mmap(
                ptr::null_mut(),
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if stack == libc::MAP_FAILED {
                return None;
            }
            let state = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: SIZE };
            libc::sigaltstack(&state, ptr::null_mut());
            Some(SignalStack { stack })
        }
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's; no handler runs on it, since this code does, and no later one will. The value is
        // not `Send`, so this is the thread that has it.
        unsafe {
            let none =
                libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: SIZE };
            if libc::sigaltstack(&none, ptr::null_mut()) == 0 {
                libc::munmap(self.stack, SIZE);
            }
        }
    }
}
