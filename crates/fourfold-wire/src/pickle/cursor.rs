//! A place in the bytes of a pickle, and what can be read there.

use super::Error;

/// A place in the bytes of a pickle.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where the current opcode starts, for errors.
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, position: 0, at: 0 }
    }

    /// Takes note that an opcode starts here.
    pub(super) fn mark(&mut self) {
        self.at = self.position;
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn truncated(&self) -> Error {
        Error::Truncated { at: self.at }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let byte = *self.bytes.get(self.position).ok_or_else(|| self.truncated())?;
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = *self.bytes[self.position..].first_chunk().ok_or_else(|| self.truncated())?;
        self.position += N;
        Ok(array)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let length = usize::try_from(length).map_err(|_| self.truncated())?;
        let (taken, _) =
            self.bytes[self.position..].split_at_checked(length).ok_or_else(|| self.truncated())?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn counted_u8(&mut self) -> Result<&'a [u8], Error> {
        let length = self.byte()?;
        self.take(length.into())
    }

    pub(super) fn counted_i32(&mut self) -> Result<&'a [u8], Error> {
        let length = i32::from_le_bytes(self.array()?);
        let length = u64::try_from(length)
            .map_err(|_| Error::Malformed { at: self.at, what: "a negative length" })?;
        self.take(length)
    }

    pub(super) fn counted_u32(&mut self) -> Result<&'a [u8], Error> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length.into())
    }

    pub(super) fn counted_u64(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u64()?;
        self.take(length)
    }

    /// The bytes up to the next line feed, which is passed over.
    pub(super) fn line(&mut self) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.position..];
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| self.truncated())?;
        self.position += end + 1;
        Ok(&rest[..end])
    }
}
