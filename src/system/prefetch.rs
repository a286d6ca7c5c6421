//! Memory that will be needed soon, asked for ahead.
#![allow(unsafe_code)]

/// Bytes that a processor fetches at once.
pub(crate) const LINE: usize = 64;

/// Has the processor fetch the line at this address, whatever is there. A hint: nothing is read.
#[inline(always)]
pub(crate) fn prefetch(address: usize) {
    // SAFETY: the instruction accesses nothing, whatever the address is.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("prefetcht0 [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
