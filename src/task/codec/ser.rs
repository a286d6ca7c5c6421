//! Writing a value: each of serde's calls as a tag and what belongs to it.

use serde::ser::{self, Serialize};

use super::out::Out;
use super::*;

type Done = std::result::Result<(), Fault>;

/// The bytes written so far, and how deep in the value they end.
pub(super) struct Writer<'o, O> {
    out: &'o mut O,
    depth: usize,
}

impl<'o, O: Out> Writer<'o, O> {
    /// Writes behind what is in `out`.
    #[inline]
    pub(super) fn behind(out: &'o mut O) -> Writer<'o, O> {
        Writer { out, depth: 0 }
    }

    #[inline]
    fn unsigned(&mut self, number: u64) {
        if number < 0x80 {
            return self.out.push(SMALL + number as u8);
        }
        // The tags of the widths follow each other.
        let width = u8::from(number > u64::from(u8::MAX))
            + u8::from(number > u64::from(u16::MAX))
            + u8::from(number > u64::from(u32::MAX));
        self.out.number(U8 + width, number, 1 << width);
    }

    #[inline]
    fn signed(&mut self, number: i64) {
        if number >= 0 {
            self.unsigned(number as u64);
        } else if let Ok(number) = i8::try_from(number) {
            self.tagged(I8, &number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.tagged(I16, &number.to_le_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.tagged(I32, &number.to_le_bytes());
        } else {
            self.tagged(I64, &number.to_le_bytes());
        }
    }

    #[inline(always)]
    fn tagged<const N: usize>(&mut self, tag: u8, bytes: &[u8; N]) {
        self.out.push(tag);
        self.out.extend(bytes);
    }

    #[inline(always)]
    fn text(&mut self, text: &str) {
        if text.len() <= SHORT_TEXT {
            return self.out.short(TEXT + text.len() as u8, text.as_bytes());
        }
        self.tagged(LONG_TEXT, &(text.len() as u64).to_le_bytes());
        self.out.extend(text.as_bytes());
    }

    #[inline]
    fn enter(&mut self) -> Done {
        if self.depth == MAX_DEPTH {
            return Err(Fault::too_deep());
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn some(&mut self, value: &(impl Serialize + ?Sized)) -> Done {
        self.enter()?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    #[inline]
    fn group(&mut self, shape: Shape, said: Option<usize>) -> Result<Group<'_, 'o, O>, Fault> {
        self.enter()?;
        let start = self.out.len();
        let said = said.unwrap_or(0);
        shape.head(said, |head| self.out.extend(head));
        Ok(Group { writer: self, shape, start, said, count: 0 })
    }

    #[inline]
    fn variant(&mut self, name: &str) {
        self.out.push(VARIANT);
        self.text(name);
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Seq,
    Map,
}

impl Shape {
    #[inline]
    fn head<R>(self, count: usize, with: impl FnOnce(&[u8]) -> R) -> R {
        let (short, long) = match self {
            Shape::Seq => (SEQ, LONG_SEQ),
            Shape::Map => (MAP, LONG_MAP),
        };
        if count <= SHORT {
            return with(&[short + count as u8]);
        }
        let mut head = [long; 9];
        head[1..].copy_from_slice(&(count as u64).to_le_bytes());
        with(&head)
    }
}

/// A sequence or a map that is being written.
///
/// Its head stands where it starts, with the number that the type said. Types may say none, or a wrong one: the head is
/// set right at the end, when the number is known.
pub(super) struct Group<'a, 'o, O> {
    writer: &'a mut Writer<'o, O>,
    shape: Shape,
    start: usize,
    said: usize,
    count: usize,
}

impl<O: Out> Group<'_, '_, O> {
    #[inline]
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Done {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    #[inline(always)]
    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Done {
        self.count += 1;
        self.writer.text(name);
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn finish(self) -> Done {
        self.writer.depth -= 1;
        if self.count != self.said {
            self.set_right();
        }
        Ok(())
    }

    #[cold]
    fn set_right(self) {
        let old = self.shape.head(self.said, <[u8]>::len);
        let place = self.start..self.start + old;
        self.shape.head(self.count, |head| self.writer.out.replace(place, head));
    }
}

impl<'a, 'o, O: Out> ser::Serializer for &'a mut Writer<'o, O> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Group<'a, 'o, O>;
    type SerializeTuple = Group<'a, 'o, O>;
    type SerializeTupleStruct = Group<'a, 'o, O>;
    type SerializeTupleVariant = Group<'a, 'o, O>;
    type SerializeMap = Group<'a, 'o, O>;
    type SerializeStruct = Group<'a, 'o, O>;
    type SerializeStructVariant = Group<'a, 'o, O>;

    #[inline]
    fn serialize_bool(self, v: bool) -> Done {
        self.out.push(if v { TRUE } else { FALSE });
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, v: i8) -> Done {
        self.signed(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_i16(self, v: i16) -> Done {
        self.signed(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_i32(self, v: i32) -> Done {
        self.signed(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Done {
        self.signed(v);
        Ok(())
    }

    #[inline]
    fn serialize_i128(self, v: i128) -> Done {
        if let Ok(v) = u64::try_from(v) {
            self.unsigned(v);
        } else if let Ok(v) = i64::try_from(v) {
            self.signed(v);
        } else {
            self.tagged(I128, &v.to_le_bytes());
        }
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, v: u8) -> Done {
        self.unsigned(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_u16(self, v: u16) -> Done {
        self.unsigned(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_u32(self, v: u32) -> Done {
        self.unsigned(v.into());
        Ok(())
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Done {
        self.unsigned(v);
        Ok(())
    }

    #[inline]
    fn serialize_u128(self, v: u128) -> Done {
        match u64::try_from(v) {
            Ok(v) => self.unsigned(v),
            Err(_) => self.tagged(U128, &v.to_le_bytes()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Done {
        self.tagged(F32, &v.to_bits().to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Done {
        self.tagged(F64, &v.to_bits().to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_char(self, v: char) -> Done {
        self.tagged(CHAR, &u32::from(v).to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Done {
        self.text(v);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Done {
        self.out.number(BYTES, v.len() as u64, 8);
        self.out.extend(v);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Done {
        self.out.push(NONE);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.out.push(SOME);
        self.some(value)
    }

    #[inline]
    fn serialize_unit(self) -> Done {
        self.out.push(UNIT);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Done {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.out.push(NAME);
        self.text(variant);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        self.some(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant);
        self.some(value)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Group<'a, 'o, O>, Fault> {
        self.group(Shape::Seq, len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Group<'a, 'o, O>, Fault> {
        self.group(Shape::Seq, Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Group<'a, 'o, O>, Fault> {
        self.group(Shape::Seq, Some(len))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Group<'a, 'o, O>, Fault> {
        self.variant(variant);
        self.group(Shape::Seq, Some(len))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Group<'a, 'o, O>, Fault> {
        self.group(Shape::Map, len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Group<'a, 'o, O>, Fault> {
        self.group(Shape::Map, Some(len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Group<'a, 'o, O>, Fault> {
        self.variant(variant);
        self.group(Shape::Map, Some(len))
    }
}

impl<O: Out> ser::SerializeSeq for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeTuple for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeTupleStruct for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeTupleVariant for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeMap for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.element(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.writer)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeStruct for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    // Into the type's own code, where the name is known, and a few instructions write it.
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}

impl<O: Out> ser::SerializeStructVariant for Group<'_, '_, O> {
    type Ok = ();
    type Error = Fault;

    // Into the type's own code, where the name is known, and a few instructions write it.
    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Done {
        self.finish()
    }
}
