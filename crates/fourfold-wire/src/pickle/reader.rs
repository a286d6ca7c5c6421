//! Pickles into graphs: the options, and the loop over opcodes.

use super::cursor::Cursor;
use super::node::{Made, Node, NodeId};
use super::stack::Machine;
use super::{Error, Globals, Limited, Value, graph, literal, opcode as op};
use crate::Language;

/// Bounds on what a pickle may take to read.
///
/// The memory that a value takes is proportional to the bytes of its pickle: at most about a hundred times
/// as many, for a pickle made of empty lists; for usual values, a few times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a pickle, in bytes. Default: 256 MiB.
    pub bytes: usize,
    /// The number of values in it. Default: 4 Mi.
    pub nodes: usize,
    /// How deep values may lie in each other. Default: 10,000.
    pub depth: usize,
    /// The number of entries in its memo. Default: 4 Mi.
    pub memo: usize,
    /// The digits of a number that is written in decimal, which takes quadratic time. Default: 4,300.
    pub digits: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 256 << 20, nodes: 4 << 20, depth: 10_000, memo: 4 << 20, digits: 4300 }
    }
}

/// Reads pickles of protocols 0 to 5.
///
/// # Examples
///
/// ```
/// use fourfold_wire::pickle::{Error, Limits, Reader};
///
/// let mut limits = Limits::default();
/// limits.depth = 3;
/// let reader = Reader::new().limits(limits);
/// assert!(reader.read(b"]]]aa.").is_ok());
/// assert!(matches!(reader.read(b"]]]]aaa."), Err(Error::Limit { .. })));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reader {
    limits: Limits,
    globals: Globals,
    language: Option<Language>,
}

impl Reader {
    /// A reader with default limits that allows any global.
    #[must_use]
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Sets the bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Reader {
        self.limits = limits;
        self
    }

    /// Sets which globals are allowed.
    #[must_use]
    pub fn globals(mut self, globals: Globals) -> Reader {
        self.globals = globals;
        self
    }

    /// Says which Python wrote the pickles. Without, protocols 0 to 2 are taken as of Python 2
    /// and later ones as of Python 3, as is the case between managers.
    #[must_use]
    pub fn written_by(mut self, language: Language) -> Reader {
        self.language = Some(language);
        self
    }

    /// Reads a pickle that takes up all of `bytes`.
    ///
    /// # Errors
    ///
    /// The bytes are no pickle, or more than one; it needs something outside itself; it is over
    /// a limit; it names a global that is not allowed.
    pub fn read(&self, bytes: &[u8]) -> Result<Value, Error> {
        let (value, end) = self.read_prefix(bytes)?;
        if end < bytes.len() {
            return Err(Error::Trailing { at: end });
        }
        Ok(value)
    }

    /// Reads a pickle that `bytes` start with, and says where it ends.
    ///
    /// # Errors
    ///
    /// As [`read`](Reader::read), other bytes behind the pickle allowed.
    pub fn read_prefix(&self, bytes: &[u8]) -> Result<(Value, usize), Error> {
        if bytes.len() > self.limits.bytes {
            return Err(Error::Limit { what: Limited::Bytes, limit: self.limits.bytes });
        }
        let mut cursor = Cursor::new(bytes);
        let mut machine = Machine::new(self.limits, self.language, bytes.len());
        let root = loop {
            cursor.mark();
            machine.at = cursor.at();
            if let Some(root) = opcode(&mut cursor, &mut machine)? {
                break root;
            }
        };
        let value = Value { nodes: machine.nodes, root };
        self.check(&value)?;
        Ok((value, cursor.position()))
    }

    fn check(&self, value: &Value) -> Result<(), Error> {
        if value.nodes.len() <= self.limits.depth && self.globals.is_any() {
            return Ok(());
        }
        graph::walk(&value.nodes, value.root, |id, depth| {
            if depth > self.limits.depth {
                return Err(Error::Limit { what: Limited::Depth, limit: self.limits.depth });
            }
            match &value.nodes[id.index()] {
                Node::Global(global) => self.globals.check(global),
                _ => Ok(()),
            }
        })
    }
}

/// Carries out one opcode. The root comes with `STOP`.
fn opcode(c: &mut Cursor<'_>, m: &mut Machine) -> Result<Option<NodeId>, Error> {
    match c.byte()? {
        op::STOP => return m.pop().map(Some),
        op::PROTO => {
            let version = c.byte()?;
            if version > op::NEWEST {
                return Err(Error::NewerProtocol { version });
            }
            m.protocol(version);
        }
        op::FRAME => {
            let length = c.u64()?;
            if length > c.left() as u64 {
                return Err(Error::Truncated { at: m.at });
            }
        }

        op::MARK => m.mark()?,
        op::POP => m.discard()?,
        op::POP_MARK => drop(m.pop_mark()?),
        op::DUP => m.dup()?,

        op::NONE => m.push(Node::None)?,
        op::NEWTRUE => m.push(Node::Bool(true))?,
        op::NEWFALSE => m.push(Node::Bool(false))?,
        op::INT => {
            let line = m.number(c.line()?)?;
            m.literal(literal::int(line), "a number that is none")?;
        }
        op::LONG => {
            let line = m.number(c.line()?)?;
            let long = literal::long(line);
            m.long_literal(long)?;
        }
        op::FLOAT => {
            let line = m.number(c.line()?)?;
            m.literal(literal::float(line).map(Node::Float), "a number that is none")?;
        }
        op::BININT => m.push(Node::Int(i32::from_le_bytes(c.array()?).into()))?,
        op::BININT1 => m.push(Node::Int(c.byte()?.into()))?,
        op::BININT2 => m.push(Node::Int(u16::from_le_bytes(c.array()?).into()))?,
        op::BINFLOAT => m.push(Node::Float(f64::from_be_bytes(c.array()?)))?,
        op::LONG1 => m.long(c.counted_u8()?)?,
        op::LONG4 => m.long(c.counted_i32()?)?,

        op::STRING => m.literal(literal::string(c.line()?).map(Node::ByteStr), "a bad string")?,
        op::SHORT_BINSTRING => m.push(Node::ByteStr(c.counted_u8()?.to_vec()))?,
        op::BINSTRING => m.push(Node::ByteStr(c.counted_i32()?.to_vec()))?,
        op::UNICODE => {
            let text = literal::unicode(c.line()?);
            m.text(text)?;
        }
        op::SHORT_BINUNICODE => m.utf8(c.counted_u8()?)?,
        op::BINUNICODE => m.utf8(c.counted_u32()?)?,
        op::BINUNICODE8 => m.utf8(c.counted_u64()?)?,
        op::SHORT_BINBYTES => m.push(Node::Bytes(c.counted_u8()?.to_vec()))?,
        op::BINBYTES => m.push(Node::Bytes(c.counted_u32()?.to_vec()))?,
        op::BINBYTES8 => m.push(Node::Bytes(c.counted_u64()?.to_vec()))?,
        op::BYTEARRAY8 => m.push(Node::ByteArray(c.counted_u64()?.to_vec()))?,

        op::EMPTY_TUPLE => m.push(Node::Tuple(Vec::new()))?,
        op::TUPLE1 => m.tuple_of(1)?,
        op::TUPLE2 => m.tuple_of(2)?,
        op::TUPLE3 => m.tuple_of(3)?,
        op::TUPLE => {
            let items = m.pop_mark()?;
            m.push(Node::Tuple(items))?;
        }
        op::EMPTY_LIST => m.push(Node::List(Vec::new()))?,
        op::LIST => {
            let items = m.pop_mark()?;
            m.push(Node::List(items))?;
        }
        op::EMPTY_DICT => m.push(Node::Dict(Vec::new()))?,
        op::DICT => {
            let entries = m.pop_mark_pairs()?;
            m.push(Node::Dict(entries))?;
        }
        op::EMPTY_SET => m.push(Node::Set(Vec::new()))?,
        op::FROZENSET => {
            let items = m.pop_mark()?;
            m.push(Node::FrozenSet(items))?;
        }
        op::APPEND => {
            let item = m.pop()?;
            m.append(vec![item])?;
        }
        op::APPENDS => {
            let items = m.pop_mark()?;
            m.append(items)?;
        }
        op::SETITEM => {
            let (value, key) = (m.pop()?, m.pop()?);
            m.set_items(vec![(key, value)])?;
        }
        op::SETITEMS => {
            let entries = m.pop_mark_pairs()?;
            m.set_items(entries)?;
        }
        op::ADDITEMS => {
            let items = m.pop_mark()?;
            m.add_items(items)?;
        }

        op::PUT => {
            let number = m.index(c.line()?)?;
            m.put(number)?;
        }
        op::BINPUT => m.put(c.byte()?.into())?,
        op::LONG_BINPUT => m.put(u32::from_le_bytes(c.array()?).into())?,
        op::MEMOIZE => m.memoize()?,
        op::GET => {
            let number = m.index(c.line()?)?;
            m.get(number)?;
        }
        op::BINGET => m.get(c.byte()?.into())?,
        op::LONG_BINGET => m.get(u32::from_le_bytes(c.array()?).into())?,

        op::GLOBAL => {
            let (module, name) = (c.line()?, c.line()?);
            m.global(module, name)?;
        }
        op::STACK_GLOBAL => m.stack_global()?,
        op::REDUCE => m.reduce()?,
        op::NEWOBJ => {
            let (args, class) = (m.pop_args()?, m.pop()?);
            m.object(Made::New { class, args })?;
        }
        op::NEWOBJ_EX => {
            let (kwargs, args, class) = (m.pop()?, m.pop_args()?, m.pop()?);
            m.object(Made::NewEx { class, args, kwargs })?;
        }
        op::INST => {
            let (module, name) = (c.line()?, c.line()?);
            m.inst(module, name)?;
        }
        op::OBJ => m.obj()?,
        op::BUILD => m.build()?,

        other => return Err(refused(m.at, other)),
    }
    Ok(None)
}

/// Why an opcode that was not carried out cannot be.
fn refused(at: usize, opcode: u8) -> Error {
    let name = match opcode {
        op::PERSID => "PERSID",
        op::BINPERSID => "BINPERSID",
        op::EXT1 => "EXT1",
        op::EXT2 => "EXT2",
        op::EXT4 => "EXT4",
        op::NEXT_BUFFER => "NEXT_BUFFER",
        op::READONLY_BUFFER => "READONLY_BUFFER",
        opcode => return Error::UnknownOpcode { at, opcode },
    };
    Error::RefusedOpcode { at, name }
}
