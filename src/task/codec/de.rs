//! Reading a value back: each tag as the call of serde's that wrote it.

use serde::Deserializer as _;
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Error as _, Visitor};

use super::*;

type Read<T> = std::result::Result<T, Fault>;

/// The bytes that are yet to be read, and how deep in the value they start.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth: usize,
    /// The name that the next field has, most likely.
    likely: &'static str,
}

impl<'de> Reader<'de> {
    #[inline]
    pub(super) fn new(bytes: &'de [u8]) -> Reader<'de> {
        Reader { rest: bytes, depth: 0, likely: "" }
    }

    /// An error, if anything is left.
    #[inline]
    pub(super) fn end(&self) -> Read<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Fault::custom(format_args!("{left} bytes follow the value"))),
        }
    }

    #[inline]
    fn tag(&mut self) -> Read<u8> {
        let (tag, rest) = self.rest.split_first().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*tag)
    }

    fn peek(&self) -> Read<u8> {
        self.rest.first().copied().ok_or_else(cut_off)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn bytes(&mut self, count: usize) -> Read<&'de [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn length(&mut self) -> Read<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| cut_off())
    }

    #[inline]
    fn utf8(&mut self, count: usize) -> Read<&'de str> {
        str::from_utf8(self.bytes(count)?).map_err(no_text)
    }

    /// A text whose tag is the next byte.
    fn text(&mut self) -> Read<&'de str> {
        match self.tag()? {
            tag @ TEXT..SMALL => self.utf8(usize::from(tag - TEXT)),
            LONG_TEXT => {
                let length = self.length()?;
                self.utf8(length)
            }
            tag => Err(unknown(tag)),
        }
    }

    /// Reads what lies one deeper.
    #[inline]
    fn inner<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::too_deep());
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    #[inline]
    fn seq<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Read<V::Value> {
        self.inner(|reader| {
            let mut items = Items { reader, left: count, likely: &[] };
            let value = visitor.visit_seq(&mut items)?;
            items.end()?;
            Ok(value)
        })
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Read<V::Value> {
        self.fields(count, &[], visitor)
    }

    /// A map whose keys are mostly these, in this order.
    #[inline]
    fn fields<V: Visitor<'de>>(
        &mut self,
        count: usize,
        likely: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.inner(|reader| {
            let mut items = Items { reader, left: count, likely };
            let value = visitor.visit_map(&mut items)?;
            items.end()?;
            Ok(value)
        })
    }

    /// An unsigned number that is next, and what is behind it.
    #[inline(always)]
    fn number(&self) -> Option<(u64, &'de [u8])> {
        let (&tag, rest) = self.rest.split_first()?;
        match tag {
            SMALL.. => Some((u64::from(tag - SMALL), rest)),
            U64 => rest.split_first_chunk().map(|(n, rest)| (u64::from_le_bytes(*n), rest)),
            U32 => rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n).into(), rest)),
            U16 => rest.split_first_chunk().map(|(n, rest)| (u16::from_le_bytes(*n).into(), rest)),
            U8 => rest.split_first_chunk().map(|(n, rest)| (u8::from_le_bytes(*n).into(), rest)),
            _ => None,
        }
    }

    /// What is behind this text, if it is next, and short.
    #[inline(always)]
    fn behind(&self, text: &str) -> Option<&'de [u8]> {
        let (&tag, rest) = self.rest.split_first()?;
        if usize::from(tag) != usize::from(TEXT) + text.len() || tag >= SMALL {
            return None;
        }
        let (found, rest) = rest.split_at_checked(text.len())?;
        let same = match text.len() {
            // Fewer instructions than a call.
            ..=8 => found.iter().zip(text.as_bytes()).all(|(a, b)| a == b),
            _ => found == text.as_bytes(),
        };
        same.then_some(rest)
    }

    /// A value, of whatever kind it was written as.
    #[inline(never)]
    fn other<V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        self.peel()?;
        de::Deserializer::deserialize_any(self, visitor)
    }

    /// The value of a type that is not an `Option`, whose writer made one of it.
    #[inline]
    fn peel(&mut self) -> Read<()> {
        while self.rest.first() == Some(&SOME) {
            self.rest = &self.rest[1..];
        }
        Ok(())
    }
}

#[cold]
fn cut_off() -> Fault {
    Fault("the bytes end before the value does".into())
}

#[cold]
fn no_text(error: std::str::Utf8Error) -> Fault {
    Fault::custom(error)
}

#[cold]
fn unknown(tag: u8) -> Fault {
    Fault(format!("no value starts with byte {tag:#04x}").into())
}

macro_rules! as_it_was_written {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            self.other(visitor)
        }
    )*};
}

/// As `as_it_was_written`, with what is likely first: a number that is not negative, and that the type has room for.
macro_rules! integers {
    ($($method:ident $visit:ident $number:ty,)*) => {$(
        #[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            if let Some((number, rest)) = self.number()
                && let Ok(number) = <$number>::try_from(number)
            {
                self.rest = rest;
                return visitor.$visit(number);
            }
            self.other(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.tag()? {
            tag @ SMALL.. => visitor.visit_u8(tag - SMALL),
            tag @ TEXT..SMALL => visitor.visit_borrowed_str(self.utf8(usize::from(tag - TEXT))?),
            tag @ MAP..TEXT => self.map(usize::from(tag - MAP), visitor),
            tag @ SEQ..MAP => self.seq(usize::from(tag - SEQ), visitor),
            UNIT => visitor.visit_unit(),
            NONE => visitor.visit_none(),
            SOME => self.inner(|reader| visitor.visit_some(reader)),
            FALSE => visitor.visit_bool(false),
            TRUE => visitor.visit_bool(true),
            U8 => visitor.visit_u8(u8::from_le_bytes(self.array()?)),
            U16 => visitor.visit_u16(u16::from_le_bytes(self.array()?)),
            U32 => visitor.visit_u32(u32::from_le_bytes(self.array()?)),
            U64 => visitor.visit_u64(u64::from_le_bytes(self.array()?)),
            U128 => visitor.visit_u128(u128::from_le_bytes(self.array()?)),
            I8 => visitor.visit_i8(i8::from_le_bytes(self.array()?)),
            I16 => visitor.visit_i16(i16::from_le_bytes(self.array()?)),
            I32 => visitor.visit_i32(i32::from_le_bytes(self.array()?)),
            I64 => visitor.visit_i64(i64::from_le_bytes(self.array()?)),
            I128 => visitor.visit_i128(i128::from_le_bytes(self.array()?)),
            F32 => visitor.visit_f32(f32::from_le_bytes(self.array()?)),
            F64 => visitor.visit_f64(f64::from_le_bytes(self.array()?)),
            CHAR => {
                let code = u32::from_le_bytes(self.array()?);
                let letter = char::from_u32(code)
                    .ok_or_else(|| Fault::custom(format_args!("{code:#x} is not a character")))?;
                visitor.visit_char(letter)
            }
            BYTES => {
                let length = self.length()?;
                visitor.visit_borrowed_bytes(self.bytes(length)?)
            }
            LONG_TEXT => {
                let length = self.length()?;
                visitor.visit_borrowed_str(self.utf8(length)?)
            }
            LONG_SEQ => {
                let count = self.length()?;
                self.seq(count, visitor)
            }
            LONG_MAP => {
                let count = self.length()?;
                self.map(count, visitor)
            }
            NAME => visitor.visit_borrowed_str(self.text()?),
            VARIANT => {
                let name = self.text()?;
                self.inner(|reader| {
                    let mut entry = Entry { name: Some(name), reader };
                    let value = visitor.visit_map(&mut entry)?;
                    match entry.name {
                        None => Ok(value),
                        Some(name) => {
                            Err(Fault::custom(format_args!("the variant {name} was not read")))
                        }
                    }
                })
            }
            tag => Err(unknown(tag)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.peek()? {
            UNIT | NONE | SOME => self.deserialize_any(visitor),
            _ => self.inner(|reader| visitor.visit_some(reader)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Read<V::Value> {
        self.inner(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.peel()?;
        match self.peek()? {
            NAME => {
                self.tag()?;
                visitor.visit_enum(BorrowedStrDeserializer::new(self.text()?))
            }
            TEXT..SMALL | LONG_TEXT => {
                visitor.visit_enum(BorrowedStrDeserializer::new(self.text()?))
            }
            // A map of one entry is how a type writes a variant by hand.
            tag if tag == VARIANT || tag == MAP + 1 => {
                self.tag()?;
                let name = self.text()?;
                self.inner(|reader| visitor.visit_enum(Variant { name, reader }))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Bytes are read as a sequence too, as formats without bytes of their own write them.
    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.peel()?;
        if self.peek()? != BYTES {
            return self.deserialize_any(visitor);
        }
        self.tag()?;
        let length = self.length()?;
        let mut items = SeqDeserializer::new(self.bytes(length)?.iter().copied());
        let value = visitor.visit_seq(&mut items)?;
        items.end()?;
        Ok(value)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Read<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        match self.rest.first() {
            Some(tag @ MAP..TEXT) => {
                self.rest = &self.rest[1..];
                self.fields(usize::from(tag - MAP), fields, visitor)
            }
            _ => self.other(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Read<V::Value> {
        self.peel()?;
        self.deserialize_any(visitor)
    }

    as_it_was_written! {
        deserialize_char deserialize_i128 deserialize_u128 deserialize_f32 deserialize_unit
        deserialize_map
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.rest.first() {
            Some(tag @ (&FALSE | &TRUE)) => {
                self.rest = &self.rest[1..];
                visitor.visit_bool(*tag == TRUE)
            }
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.rest.first() {
            Some(&F64) => {
                self.rest = &self.rest[1..];
                visitor.visit_f64(f64::from_le_bytes(self.array()?))
            }
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.rest.first() {
            Some(tag @ TEXT..SMALL) => {
                self.rest = &self.rest[1..];
                visitor.visit_borrowed_str(self.utf8(usize::from(tag - TEXT))?)
            }
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if self.rest.first() != Some(&BYTES) {
            return self.other(visitor);
        }
        self.rest = &self.rest[1..];
        let length = self.length()?;
        visitor.visit_borrowed_bytes(self.bytes(length)?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.deserialize_bytes(visitor)
    }

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    }

    /// A field's name is mostly the one that comes next in its type.
    #[inline(always)]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if let Some(rest) = self.behind(self.likely) {
            self.rest = rest;
            return visitor.visit_borrowed_str(self.likely);
        }
        self.other(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.deserialize_any(visitor)
    }
}

/// The values of a sequence, or the pairs of a map.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
    /// Names that the keys of a map are likely to be, from the next on.
    likely: &'static [&'static str],
}

impl Items<'_, '_> {
    #[inline]
    fn end(self) -> Read<()> {
        match self.left {
            0 => Ok(()),
            left => Err(Fault::custom(format_args!("{left} more elements than the type takes"))),
        }
    }

    /// How many are to come, but never more than there are bytes: a hint decides how much memory is taken.
    #[inline]
    fn hint(&self) -> usize {
        self.left.min(self.reader.rest.len())
    }
}

impl<'de> de::SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

impl<'de> de::MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (likely, rest) = self.likely.split_first().unwrap_or((&"", &[]));
        (self.reader.likely, self.likely) = (likely, rest);
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.hint())
    }
}

/// A variant, for who does not know that it is one: a map of one entry.
struct Entry<'a, 'de> {
    name: Option<&'de str>,
    reader: &'a mut Reader<'de>,
}

impl<'de> de::MapAccess<'de> for &mut Entry<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        let Some(name) = self.name.take() else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::from(self.name.is_some()))
    }
}

/// A variant that holds something.
struct Variant<'a, 'de> {
    name: &'de str,
    reader: &'a mut Reader<'de>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a, 'de> {
    type Error = Fault;
    type Variant = &'a mut Reader<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Read<(V::Value, Self::Variant)> {
        let variant = seed.deserialize(BorrowedStrDeserializer::new(self.name))?;
        Ok((variant, self.reader))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Read<()> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Read<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.deserialize_any(visitor)
    }
}
