//! How values are written as bytes and read back: serde's own model, one tag a value, nothing left out.
//!
//! What is read is what was written, for every type whose `Serialize` and `Deserialize` agree in a format that describes
//! itself: `Some(None)` is not `None`, `Some(())` is not `()`, a float is not an integer, and fields and variants go by
//! name, so that untagged, internally tagged and flattened types and skipped fields come back as they were.
//!
//! A value is a tag, and what the tag asks for; numbers are little-endian.
//!
//! | tag | what follows |
//! | --- | --- |
//! | [`SMALL`]` + n` | nothing: the integer `n`, 0 to 127 |
//! | [`TEXT`]` + n`, [`LONG_TEXT`] | `n` bytes of UTF-8; the length as 8 bytes, then the text |
//! | [`SEQ`]` + n`, [`LONG_SEQ`] | `n` values; their number as 8 bytes, then the values |
//! | [`MAP`]` + n`, [`LONG_MAP`] | `n` pairs of key and value; their number as 8 bytes, then the pairs |
//! | [`U8`] … [`U128`], [`I8`] … [`I128`], [`F32`], [`F64`], [`CHAR`] | the number; an integer takes the narrowest that holds it |
//! | [`BYTES`] | the length as 8 bytes, then the bytes |
//! | [`UNIT`], [`NONE`], [`FALSE`], [`TRUE`] | nothing |
//! | [`SOME`] | the value |
//! | [`NAME`] | a text: the variant of an enum that holds nothing |
//! | [`VARIANT`] | a text, the variant's name, and a value, what it holds: any value, a sequence, or a map |
//!
//! Both ends say that the format is one for people to read: serde's buffers, which untagged and flattened types are read
//! through, say so in any case, and types with two forms (addresses, times) must be written in the one that is read.

mod de;
#[cfg(test)]
mod name_tests;
mod out;
mod ser;
#[cfg(test)]
mod tests;

use std::any::{Any, TypeId, type_name};
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use self::out::{Out, SHORT as ROOM, Short};

/// How deep values may be in each other: each is a few frames on the stack of who writes or reads it.
pub(crate) const MAX_DEPTH: usize = 256;

const UNIT: u8 = 0x00;
const NONE: u8 = 0x01;
const SOME: u8 = 0x02;
const FALSE: u8 = 0x03;
const TRUE: u8 = 0x04;
const U8: u8 = 0x05;
const U16: u8 = 0x06;
const U32: u8 = 0x07;
const U64: u8 = 0x08;
const U128: u8 = 0x09;
const I8: u8 = 0x0a;
const I16: u8 = 0x0b;
const I32: u8 = 0x0c;
const I64: u8 = 0x0d;
const I128: u8 = 0x0e;
const F32: u8 = 0x0f;
const F64: u8 = 0x10;
const CHAR: u8 = 0x11;
const BYTES: u8 = 0x12;
const LONG_TEXT: u8 = 0x13;
const LONG_SEQ: u8 = 0x14;
const LONG_MAP: u8 = 0x15;
const NAME: u8 = 0x16;
const VARIANT: u8 = 0x17;
const SEQ: u8 = 0x20;
const MAP: u8 = 0x30;
const TEXT: u8 = 0x40;
const SMALL: u8 = 0x80;

/// The longest sequence or map whose number is in its tag.
const SHORT: usize = 15;
/// The longest text whose length is in its tag.
const SHORT_TEXT: usize = 63;

/// Why a value cannot be written or read.
#[derive(Debug)]
struct Fault(Box<str>);

impl Fault {
    fn too_deep() -> Fault {
        Fault(format!("values are more than {MAX_DEPTH} deep in each other").into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl serde::ser::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault(message.to_string().into())
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault(message.to_string().into())
    }
}

/// Bytes that are a whole value: each of them as a value of its own would take long.
fn as_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    (value as &dyn Any).downcast_ref::<Vec<u8>>().map(Vec::as_slice)
}

/// Such bytes read back, if `T` is what they were.
fn from_bytes<T: 'static>(bytes: &[u8]) -> Option<T> {
    if TypeId::of::<T>() != TypeId::of::<Vec<u8>>() {
        return None;
    }
    let (&BYTES, rest) = bytes.split_first()? else { return None };
    let (length, bytes) = rest.split_first_chunk()?;
    let whole = u64::from_le_bytes(*length) == bytes.len() as u64;
    let mut value = whole.then(|| bytes.to_vec());
    (&mut value as &mut dyn Any).downcast_mut::<Option<T>>()?.take()
}

/// Writes a value. `what` names it in the error: "argument", "value".
pub(crate) fn encode<T: Serialize + 'static>(value: &T, what: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    encode_into(&mut out, value, what)?;
    Ok(out)
}

/// As [`encode`], behind what is in `out`, which is left with part of a value if there is an error.
#[inline]
pub(crate) fn encode_into<T: Serialize + 'static>(
    out: &mut impl Out,
    value: &T,
    what: &str,
) -> Result<()> {
    if let Some(bytes) = as_bytes(value) {
        out.number(BYTES, bytes.len() as u64, 8);
        out.extend(bytes);
        return Ok(());
    }
    value.serialize(&mut ser::Writer::behind(out)).map_err(|fault| {
        not_serializable(fault, format_args!("{what} of type {}", type_name::<T>()))
    })
}

#[cold]
fn not_serializable(fault: Fault, message: fmt::Arguments<'_>) -> Error {
    Error::new(ErrorKind::NotSerializable).with_message(message.to_string()).with_source(fault)
}

/// Reads a value back.
#[inline]
pub(crate) fn decode<T: DeserializeOwned + 'static>(bytes: &[u8], what: &str) -> Result<T> {
    decode_to(bytes, what, |value| value)
}

/// As [`decode`], and gives the value to `take`, from where it was made: each move of one that has just been made takes a while.
#[inline(always)]
pub(crate) fn decode_to<T: DeserializeOwned + 'static, R>(
    bytes: &[u8],
    what: &str,
    take: impl FnOnce(T) -> R,
) -> Result<R> {
    if let Some(value) = from_bytes(bytes) {
        return Ok(take(value));
    }
    let mut reader = de::Reader::new(bytes);
    let fault = match T::deserialize(&mut reader) {
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(take(value)),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    let name = type_name::<T>();
    Err(not_serializable(fault, format_args!("{what} of type {name} cannot be read back")))
}
