//! Lengths written in front of frames.

use super::FrameError;
use crate::Framing;

/// How many bytes [`begin`] leaves free for the length.
pub const PREFIX: usize = 4;

/// The longest frame with a 32-bit length: what the other end reads as a positive `int`.
const SHORT_MAX: u64 = i32::MAX as u64;

/// The bytes in front of a frame.
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Framing, frame::Header};
///
/// let header = Header::new(Framing::Python38, 5)?;
/// assert_eq!(header.as_ref(), [0, 0, 0, 5]);
/// assert_eq!(Header::new(Framing::Python38, 3 << 30)?.as_ref().len(), 12);
/// assert!(Header::new(Framing::Python36, 3 << 30).is_err());
/// # Ok::<(), fourfold_wire::frame::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 12],
    len: usize,
}

impl Header {
    /// The header of a frame of `length` bytes.
    ///
    /// # Errors
    ///
    /// [`FrameError::CannotSay`]: the family has no way to write such a length.
    pub fn new(framing: Framing, length: u64) -> Result<Header, FrameError> {
        let mut bytes = [0; 12];
        if length <= SHORT_MAX {
            bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
            return Ok(Header { bytes, len: 4 });
        }
        if framing != Framing::Python38 {
            return Err(FrameError::CannotSay { length });
        }
        bytes[..4].copy_from_slice(&(-1i32).to_be_bytes());
        bytes[4..].copy_from_slice(&length.to_be_bytes());
        Ok(Header { bytes, len: 12 })
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends `payload` as one frame to `out`.
///
/// # Errors
///
/// [`FrameError::CannotSay`], with `out` as it was.
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Framing, frame};
///
/// let mut out = Vec::new();
/// frame::write(Framing::Python2, b"#WELCOME#", &mut out)?;
/// assert_eq!(out, b"\0\0\0\x09#WELCOME#");
/// # Ok::<(), frame::FrameError>(())
/// ```
pub fn write(framing: Framing, payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    let header = Header::new(framing, payload.len() as u64)?;
    out.reserve(header.as_ref().len() + payload.len());
    out.extend_from_slice(header.as_ref());
    out.extend_from_slice(payload);
    Ok(())
}

/// Leaves room in `out` for the length of a frame that is written next, and says where it starts.
///
/// With [`seal`] this writes header and payload into one buffer, to go out in one write.
///
/// # Examples
///
/// ```
/// use fourfold_wire::{Framing, frame};
///
/// let mut out = Vec::new();
/// let start = frame::begin(&mut out);
/// out.extend_from_slice(b"payload");
/// frame::seal(Framing::Python38, &mut out, start)?;
/// assert_eq!(out, b"\0\0\0\x07payload");
/// # Ok::<(), frame::FrameError>(())
/// ```
#[must_use = "seal() needs to know where the frame starts"]
pub fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    start
}

/// Writes the length of the frame that [`begin`] started and that reaches to the end of `out`.
///
/// # Errors
///
/// [`FrameError::CannotSay`], with the frame removed from `out`.
///
/// # Panics
///
/// When `out` is shorter than what [`begin`] left.
pub fn seal(framing: Framing, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
    let length = out.len().checked_sub(start + PREFIX).expect("a frame that begin() started");
    match Header::new(framing, length as u64) {
        Ok(header) => {
            out.splice(start..start + PREFIX, header.as_ref().iter().copied());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}
