//! Graphs into Rust values.

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::{Error, Node, NodeRef, Value};

/// How deep values are read: a Rust type that nests by itself is read by recursion.
const DEPTH: usize = 128;

/// A Rust value from what a Python sent.
///
/// A `str` of Python 2 is taken as text or as bytes, as the type asks for; a list, a tuple or a set as a sequence; a
/// dict with text keys as a struct. An object is taken as the dict of its attributes, if it has one.
///
/// # Errors
///
/// The value is not what the type asks for, or is nested deeper than 128.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::{Value, from_value};
///
/// // ("job", [1, 2], None) by CPython 2.7
/// let value = Value::read(b"\x80\x02U\x03jobq\x01]q\x02(K\x01K\x02eN\x87q\x03.")?;
/// let job: (String, Vec<u8>, Option<f64>) = from_value(&value)?;
/// assert_eq!(job, ("job".to_owned(), vec![1, 2], None));
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    // A graph may share a part a billion times over; a tree as large cannot be had.
    let budget = std::cell::Cell::new(value.node_count().saturating_mul(64).saturating_add(1024));
    T::deserialize(De { node: value.root(), depth: DEPTH, budget: &budget })
}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Error::Custom(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: NodeRef<'a>,
    depth: usize,
    /// How many more nodes may be read.
    budget: &'a std::cell::Cell<usize>,
}

impl<'a> De<'a> {
    fn part(self, node: NodeRef<'a>) -> Result<De<'a>, Error> {
        let limit = |what, limit| Error::Limit { what, limit };
        let depth = self.depth.checked_sub(1).ok_or_else(|| limit(super::Limited::Depth, DEPTH))?;
        let left = self.budget.get().checked_sub(1);
        self.budget.set(left.ok_or_else(|| limit(super::Limited::Steps, 64))?);
        Ok(De { node, depth, budget: self.budget })
    }

    fn unexpected(self, expected: &str) -> Error {
        Error::unexpected(expected, self.node.node().type_name())
    }

    fn seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = self.node.items().ok_or_else(|| self.unexpected("a sequence"))?;
        let mut seq = Seq { of: self, items: items.collect::<Vec<_>>().into_iter() };
        let value = visitor.visit_seq(&mut seq)?;
        match seq.items.len() {
            0 => Ok(value),
            left => Err(Error::unexpected("fewer items", format!("{left} more"))),
        }
    }

    fn map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.entries()?;
        visitor.visit_map(Map { of: self, pairs: pairs.into_iter(), value: None })
    }

    /// The entries of a dict, or an object's attributes. Of a key that is there twice, the last counts.
    fn entries(self) -> Result<Vec<(NodeRef<'a>, NodeRef<'a>)>, Error> {
        let attributes = self.node.state().filter(|state| matches!(state.node(), Node::Dict(_)));
        let dict = attributes.unwrap_or(self.node);
        let entries = dict.entries().ok_or_else(|| self.unexpected("a dict"))?;
        let mut seen = std::collections::HashSet::new();
        let mut pairs: Vec<_> = entries
            .rev()
            .filter(|(key, _)| key.as_str().is_none_or(|text| seen.insert(text)))
            .collect();
        pairs.reverse();
        Ok(pairs)
    }
}

macro_rules! numbers {
    ($($method:ident),*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'a> Deserializer<'a> for De<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.node() {
            Node::None => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Int(value) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Node::Long(long) => match (long.to_i64(), long.to_i128()) {
                (Some(value), _) => visitor.visit_i64(value),
                (_, Some(value)) => match u64::try_from(value) {
                    Ok(value) => visitor.visit_u64(value),
                    Err(_) => visitor.visit_i128(value),
                },
                _ => Err(Error::unexpected("a number of 128 bits", "a larger one")),
            },
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Str(_) | Node::Unicode(_) => match self.node.as_str() {
                Some(text) => visitor.visit_borrowed_str(text),
                None => Err(Error::unexpected("text", "text with lone surrogates")),
            },
            Node::ByteStr(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            Node::Bytes(bytes) | Node::ByteArray(bytes) => visitor.visit_borrowed_bytes(bytes),
            Node::Tuple(_) | Node::List(_) | Node::Set(_) | Node::FrozenSet(_) => self.seq(visitor),
            Node::Dict(_) | Node::Object(_) => self.map(visitor),
            Node::Global(_) => Err(self.unexpected("a value")),
        }
    }

    numbers!(
        deserialize_bool,
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
        deserialize_char,
        deserialize_str,
        deserialize_string,
        deserialize_identifier
    );

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.as_f64() {
            Some(value) => visitor.visit_f64(value),
            None => Err(self.unexpected("a number")),
        }
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.as_bytes() {
            Some(bytes) => visitor.visit_borrowed_bytes(bytes),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.is_none() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.is_none() {
            true => visitor.visit_unit(),
            false => Err(self.unexpected("None")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.node() {
            // `Vec<u8>` from bytes.
            Node::Bytes(bytes) | Node::ByteArray(bytes) | Node::ByteStr(bytes) => {
                let bytes = bytes.iter().copied();
                visitor.visit_seq(de::value::SeqDeserializer::<_, Error>::new(bytes))
            }
            _ => self.seq(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node.items() {
            Some(_) => self.seq(visitor),
            None => self.map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(name) = self.node.as_str() {
            return visitor.visit_enum(name.into_deserializer());
        }
        match self.entries()?[..] {
            [(name, content)] => visitor.visit_enum(Enum { name: self.part(name)?, content }),
            _ => Err(self.unexpected("a variant: its name, or a dict of it and what it holds")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Seq<'a> {
    of: De<'a>,
    items: std::vec::IntoIter<NodeRef<'a>>,
}

impl<'a> de::SeqAccess<'a> for Seq<'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        seed.deserialize(self.of.part(item)?).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Map<'a> {
    of: De<'a>,
    pairs: std::vec::IntoIter<(NodeRef<'a>, NodeRef<'a>)>,
    value: Option<NodeRef<'a>>,
}

impl<'a> de::MapAccess<'a> for Map<'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(self.of.part(key)?).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = self.value.take().expect("serde asks for the key first");
        seed.deserialize(self.of.part(value)?)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

struct Enum<'a> {
    name: De<'a>,
    content: NodeRef<'a>,
}

impl<'a> de::EnumAccess<'a> for Enum<'a> {
    type Error = Error;
    type Variant = De<'a>;

    fn variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<(T::Value, De<'a>), Error> {
        Ok((seed.deserialize(self.name)?, self.name.part(self.content)?))
    }
}

impl<'a> de::VariantAccess<'a> for De<'a> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.map(visitor)
    }
}
