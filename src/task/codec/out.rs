//! Where a value is written: on the heap, or on the stack as long as it is short.

use std::ops::Range;

/// Bytes that grow.
pub(crate) trait Out {
    fn len(&self) -> usize;
    fn push(&mut self, byte: u8);
    fn extend(&mut self, bytes: &[u8]);
    /// A tag, and a few bytes.
    #[inline(always)]
    fn short(&mut self, tag: u8, bytes: &[u8]) {
        self.push(tag);
        self.extend(bytes);
    }
    /// A tag, and the lowest bytes of a number, 8 at most, the lowest first.
    #[inline]
    fn number(&mut self, tag: u8, number: u64, width: usize) {
        self.push(tag);
        self.extend(&number.to_le_bytes()[..width]);
    }
    /// Puts others in the place of some of the bytes.
    fn replace(&mut self, place: Range<usize>, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        self.push(byte);
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn replace(&mut self, place: Range<usize>, bytes: &[u8]) {
        self.splice(place, bytes.iter().copied());
    }
}

/// How many bytes are short.
pub(crate) const SHORT: usize = 128;

/// Bytes that lie on the stack until they are too many for it, and then all on the heap.
pub(crate) struct Short {
    here: [u8; SHORT],
    len: usize,
    /// How many there may be in `here`; 0 once they are in `there`.
    room: usize,
    there: Vec<u8>,
}

impl Short {
    #[inline]
    pub(crate) fn new() -> Short {
        Short { here: [0; SHORT], len: 0, room: SHORT, there: Vec::new() }
    }

    /// Makes it empty again.
    #[inline]
    pub(crate) fn clear(&mut self) {
        (self.len, self.room) = (0, SHORT);
        self.there.clear();
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.room == 0 { &self.there } else { &self.here[..self.len] }
    }

    /// If they lie on the stack: all that there may be, and how many there are.
    #[inline]
    pub(crate) fn here(&self) -> Option<(&[u8; SHORT], usize)> {
        (self.room != 0).then_some((&self.here, self.len))
    }

    #[cold]
    #[inline(never)]
    fn number_slowly(&mut self, tag: u8, number: u64, width: usize) {
        self.extend(&[tag]);
        self.extend(&number.to_le_bytes()[..width]);
    }

    #[cold]
    #[inline(never)]
    fn extend_there(&mut self, bytes: &[u8]) {
        if self.room != 0 {
            self.there.reserve((self.len + bytes.len()).max(4 * SHORT));
            self.there.extend_from_slice(&self.here[..self.len]);
            self.room = 0;
        }
        self.there.extend_from_slice(bytes);
        self.len = self.there.len();
    }
}

impl Out for Short {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if self.len < self.room {
            self.here[self.len] = byte;
            self.len += 1;
        } else {
            self.extend_there(&[byte]);
        }
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.room && self.len <= self.room - bytes.len() {
            self.here[self.len..self.len + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        } else {
            self.extend_there(bytes);
        }
    }

    #[inline(always)]
    fn short(&mut self, tag: u8, bytes: &[u8]) {
        if let Some(place) = self.here.get_mut(self.len..self.len + 1 + bytes.len())
            && self.room != 0
        {
            place[0] = tag;
            place[1..].copy_from_slice(bytes);
            self.len += 1 + bytes.len();
        } else {
            self.extend_there(&[tag]);
            self.extend_there(bytes);
        }
    }

    #[inline(always)]
    fn number(&mut self, tag: u8, number: u64, width: usize) {
        // All 8 at once, which is one instruction; what is too many of them is written over by what follows.
        if let Some(place) = self.here.get_mut(self.len..self.len + 9)
            && self.room != 0
        {
            place[0] = tag;
            place[1..].copy_from_slice(&number.to_le_bytes());
            self.len += 1 + width;
        } else {
            self.number_slowly(tag, number, width);
        }
    }

    #[cold]
    fn replace(&mut self, place: Range<usize>, bytes: &[u8]) {
        // A type that said a wrong number of elements: rare enough to be slow.
        self.extend_there(&[]);
        self.there.splice(place, bytes.iter().copied());
        self.len = self.there.len();
    }
}
