//! Bytes that all may read.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::buffer::shared_parts;
use super::object::Attached;
use crate::error::Result;

/// Bytes in the memory that processes share, which all who have a handle may read: a [`Buffer`](super::Buffer) that was
/// [shared](super::Buffer::share).
pub struct SharedBuffer {
    attached: Arc<Attached>,
    data: *mut u8,
    len: usize,
}

// SAFETY: `data` points into the mapping, which is never unmapped, at bytes that nobody changes any more.
unsafe impl Send for SharedBuffer {}
// SAFETY: as above.
unsafe impl Sync for SharedBuffer {}

impl SharedBuffer {
    /// Of bytes that nobody changes any more, in the word that `attached` is a reference to.
    pub(super) fn new(attached: Arc<Attached>, data: *mut u8, len: usize) -> SharedBuffer {
        SharedBuffer { attached, data, len }
    }

    pub(super) fn of(attached: Arc<Attached>) -> Result<SharedBuffer> {
        let (data, len) = shared_parts(&attached)?;
        Ok(SharedBuffer { attached, data, len })
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }
}

impl Clone for SharedBuffer {
    /// The same bytes.
    fn clone(&self) -> SharedBuffer {
        SharedBuffer { attached: self.attached.clone(), data: self.data, len: self.len }
    }
}

impl Deref for SharedBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // A fork takes a reference of its own now.
        self.attached.enter();
        // SAFETY: the bytes of the block, which nobody changes since it was shared, and which this process refers to.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl fmt::Debug for SharedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBuffer").field("len", &self.len).finish_non_exhaustive()
    }
}
