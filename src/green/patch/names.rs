//! Names of hosts: looked up on a thread where that may block.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::OnceLock;

use libc::{addrinfo, c_char, c_int};

use super::super::hub::may_suspend;
use super::super::offload::offload;
use super::raw::{errno, fail};
use super::waiting::guarded;

type Function = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const addrinfo,
    *mut *mut addrinfo,
) -> c_int;

/// That of the C library.
fn original() -> Option<Function> {
    static FOUND: OnceLock<Option<Function>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: the name ends with a zero byte. What is found under it is a function of this type, as POSIX has it; nothing is `None`.
        unsafe {
            let found = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
            std::mem::transmute::<*mut libc::c_void, Option<Function>>(found)
        }
    })
}

/// A list of addresses, freed unless it is taken.
struct List(*mut addrinfo);

// SAFETY: the list is on the heap, and belongs to this value alone.
unsafe impl Send for List {}

impl List {
    fn take(mut self) -> *mut addrinfo {
        std::mem::replace(&mut self.0, ptr::null_mut())
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by `getaddrinfo`, and not taken.
            unsafe { libc::freeaddrinfo(self.0) };
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    list: *mut *mut addrinfo,
) -> c_int {
    let Some(original) = original() else { return libc::EAI_FAIL };
    if !may_suspend() {
        // SAFETY: the caller's.
        return unsafe { original(node, service, hints, list) };
    }
    // SAFETY: the caller's: texts that end with a zero byte, and hints, or null.
    let (node, service, hints) = unsafe { (text(node), text(service), hints.as_ref()) };
    // Of the hints only these count; the rest must be zero.
    let hints = hints.map(|h| [h.ai_flags, h.ai_family, h.ai_socktype, h.ai_protocol]);
    let look = move || {
        // SAFETY: all its fields are numbers and pointers, which may be zero.
        let mut asked: addrinfo = unsafe { std::mem::zeroed() };
        if let Some(hints) = hints {
            [asked.ai_flags, asked.ai_family, asked.ai_socktype, asked.ai_protocol] = hints;
        }
        let asked = if hints.is_some() { &raw const asked } else { ptr::null() };
        let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |t| t.as_ptr());
        let mut found = ptr::null_mut();
        // SAFETY: the texts live here, and there is room for the answer.
        let result = unsafe { original(pointer(&node), pointer(&service), asked, &mut found) };
        (result, errno(), List(if result == 0 { found } else { ptr::null_mut() }))
    };
    match guarded(|| offload(look, ())) {
        Ok(Ok((result, error, found))) => {
            if result == 0 {
                // SAFETY: the caller has room for the answer.
                unsafe { *list = found.take() };
            } else if result == libc::EAI_SYSTEM {
                fail(error);
            }
            result
        }
        // No thread for it.
        Ok(Err(_)) => libc::EAI_AGAIN,
        Err(error) => {
            fail(error);
            libc::EAI_SYSTEM
        }
    }
}

/// # Safety
///
/// It is null, or a text that ends with a zero byte.
unsafe fn text(pointer: *const c_char) -> Option<CString> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_owned())
}
