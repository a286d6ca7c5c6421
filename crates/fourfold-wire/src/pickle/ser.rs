//! Rust values into graphs.

use serde::ser::{self, Serialize};

use super::{Builder, Error, Node, NodeId, Value};

/// A Rust value as Python would have it.
///
/// | Rust | Python |
/// | --- | --- |
/// | numbers, `bool`, `()`, `None` | `int`, `float`, `bool`, `None` |
/// | `char`, text | `str` |
/// | bytes by `serialize_bytes` | `bytes` |
/// | sequences | `list` |
/// | tuples, tuple structs | `tuple` |
/// | maps, structs | `dict` |
/// | `Some(x)`, newtype structs | as `x` |
/// | enum variants | the name, or a `dict` of the name and what it holds |
///
/// # Errors
///
/// The type's own `Serialize` gives up.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::{Value, to_value};
///
/// let value = to_value(&("job", vec![1, 2], Some(0.5)))?;
/// let list = Value::list([Value::from(1), Value::from(2)]);
/// assert_eq!(value, Value::tuple([Value::from("job"), list, Value::from(0.5)]));
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    let mut builder = Builder::new();
    let root = value.serialize(Ser { builder: &mut builder })?;
    Ok(builder.finish(root))
}

impl ser::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Error::Custom(message.to_string())
    }
}

struct Ser<'b> {
    builder: &'b mut Builder,
}

impl<'b> Ser<'b> {
    fn node(self, node: Node) -> Result<NodeId, Error> {
        Ok(self.builder.push_unchecked(node))
    }

    fn items(self, tuple: bool, variant: Option<&'static str>) -> Items<'b> {
        Items { builder: self.builder, items: Vec::new(), tuple, variant }
    }

    fn pairs(self, variant: Option<&'static str>) -> Pairs<'b> {
        Pairs { builder: self.builder, pairs: Vec::new(), key: None, variant }
    }
}

/// A dict of a variant's name and what it holds.
fn tagged(builder: &mut Builder, variant: Option<&'static str>, content: NodeId) -> NodeId {
    match variant {
        None => content,
        Some(name) => {
            let name = builder.str(name);
            builder.push_unchecked(Node::Dict(vec![(name, content)]))
        }
    }
}

impl<'b> ser::Serializer for Ser<'b> {
    type Ok = NodeId;
    type Error = Error;
    type SerializeSeq = Items<'b>;
    type SerializeTuple = Items<'b>;
    type SerializeTupleStruct = Items<'b>;
    type SerializeTupleVariant = Items<'b>;
    type SerializeMap = Pairs<'b>;
    type SerializeStruct = Pairs<'b>;
    type SerializeStructVariant = Pairs<'b>;

    fn serialize_bool(self, v: bool) -> Result<NodeId, Error> {
        self.node(Node::Bool(v))
    }

    fn serialize_i8(self, v: i8) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<NodeId, Error> {
        self.node(Node::Int(v))
    }

    fn serialize_i128(self, v: i128) -> Result<NodeId, Error> {
        Ok(self.builder.long(v))
    }

    fn serialize_u8(self, v: u8) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<NodeId, Error> {
        self.serialize_i64(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<NodeId, Error> {
        self.serialize_u128(v.into())
    }

    fn serialize_u128(self, v: u128) -> Result<NodeId, Error> {
        Ok(self.builder.long(v))
    }

    fn serialize_f32(self, v: f32) -> Result<NodeId, Error> {
        self.serialize_f64(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<NodeId, Error> {
        self.node(Node::Float(v))
    }

    fn serialize_char(self, v: char) -> Result<NodeId, Error> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<NodeId, Error> {
        self.node(Node::Str(v.into()))
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<NodeId, Error> {
        self.node(Node::Bytes(v.to_vec()))
    }

    fn serialize_none(self) -> Result<NodeId, Error> {
        self.node(Node::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<NodeId, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<NodeId, Error> {
        self.node(Node::None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<NodeId, Error> {
        self.node(Node::None)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<NodeId, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<NodeId, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<NodeId, Error> {
        let content = value.serialize(Ser { builder: self.builder })?;
        Ok(tagged(self.builder, Some(variant), content))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'b>, Error> {
        Ok(self.items(false, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'b>, Error> {
        Ok(self.items(true, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'b>, Error> {
        Ok(self.items(true, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'b>, Error> {
        Ok(self.items(true, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Pairs<'b>, Error> {
        Ok(self.pairs(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Pairs<'b>, Error> {
        Ok(self.pairs(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Pairs<'b>, Error> {
        Ok(self.pairs(Some(variant)))
    }
}

struct Items<'b> {
    builder: &'b mut Builder,
    items: Vec<NodeId>,
    tuple: bool,
    variant: Option<&'static str>,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.items.push(value.serialize(Ser { builder: self.builder })?);
        Ok(())
    }

    fn finish(self) -> Result<NodeId, Error> {
        let node = if self.tuple { Node::Tuple(self.items) } else { Node::List(self.items) };
        let id = self.builder.push_unchecked(node);
        Ok(tagged(self.builder, self.variant, id))
    }
}

struct Pairs<'b> {
    builder: &'b mut Builder,
    pairs: Vec<(NodeId, NodeId)>,
    key: Option<NodeId>,
    variant: Option<&'static str>,
}

impl Pairs<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        let key = self.builder.str(key);
        let value = value.serialize(Ser { builder: self.builder })?;
        self.pairs.push((key, value));
        Ok(())
    }

    fn finish(self) -> Result<NodeId, Error> {
        let id = self.builder.push_unchecked(Node::Dict(self.pairs));
        Ok(tagged(self.builder, self.variant, id))
    }
}

/// The traits of rows differ in nothing but their names.
macro_rules! rows {
    ($($row:ident $item:ident),*) => {$(
        impl ser::$row for Items<'_> {
            type Ok = NodeId;
            type Error = Error;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<NodeId, Error> {
                self.finish()
            }
        }
    )*};
}

rows!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! structs {
    ($($row:ident),*) => {$(
        impl ser::$row for Pairs<'_> {
            type Ok = NodeId;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(key, value)
            }

            fn end(self) -> Result<NodeId, Error> {
                self.finish()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Pairs<'_> {
    type Ok = NodeId;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(key.serialize(Ser { builder: self.builder })?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let value = value.serialize(Ser { builder: self.builder })?;
        let key = self.key.take().ok_or_else(|| Error::Custom("a value without a key".into()))?;
        self.pairs.push((key, value));
        Ok(())
    }

    fn end(self) -> Result<NodeId, Error> {
        self.finish()
    }
}
