//! How single values are written in each dialect.

use super::{Error, Global, Long, Node, Text, opcode as op};
use crate::Dialect;

/// Bytes of a pickle that is being written.
#[derive(Debug)]
pub(super) struct Emit {
    pub(super) out: Vec<u8>,
    pub(super) dialect: Dialect,
    /// The next free number of the memo.
    pub(super) next_memo: u32,
}

impl Emit {
    pub(super) fn op(&mut self, opcode: u8) {
        self.out.push(opcode);
    }

    fn cannot_say(&self, what: &'static str) -> Error {
        Error::CannotSay { dialect: self.dialect, what }
    }

    /// Writes a node that has no parts.
    pub(super) fn leaf(&mut self, node: &Node) -> Result<(), Error> {
        let python3 = self.dialect.is_python3();
        match node {
            Node::None => self.op(op::NONE),
            Node::Bool(true) => self.op(op::NEWTRUE),
            Node::Bool(false) => self.op(op::NEWFALSE),
            Node::Int(number) => self.int(*number),
            Node::Long(long) => match long.to_i64() {
                Some(small) if python3 => self.int(small),
                _ => return self.long(long),
            },
            Node::Float(number) => {
                self.op(op::BINFLOAT);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
            Node::Str(text) => match self.dialect {
                Dialect::Python3 => return self.unicode(text.as_bytes()),
                _ if text.as_bytes().is_ascii() => return self.byte_str(text.as_bytes()),
                _ => return self.unicode(text.as_bytes()),
            },
            Node::Unicode(text) => return self.unicode(text.as_bytes()),
            Node::ByteStr(bytes) => match self.dialect {
                Dialect::Python3 if bytes.is_ascii() => return self.unicode(bytes),
                Dialect::Common if !bytes.is_ascii() => return self.bytes(bytes),
                Dialect::Python3 => return self.bytes(bytes),
                _ => return self.byte_str(bytes),
            },
            Node::Bytes(bytes) => return self.bytes(bytes),
            Node::ByteArray(bytes) => return self.byte_array(bytes),
            Node::Global(global) => return self.global(global),
            other => unreachable!("{} has parts", other.type_name()),
        }
        Ok(())
    }

    pub(super) fn int(&mut self, number: i64) {
        if let Ok(byte) = u8::try_from(number) {
            self.out.extend_from_slice(&[op::BININT1, byte]);
        } else if let Ok(short) = u16::try_from(number) {
            self.op(op::BININT2);
            self.out.extend_from_slice(&short.to_le_bytes());
        } else if let Ok(int) = i32::try_from(number) {
            self.op(op::BININT);
            self.out.extend_from_slice(&int.to_le_bytes());
        } else if self.dialect.is_python3() {
            let long = Long::from(number);
            self.out.extend_from_slice(&[op::LONG1, long.as_le_bytes().len() as u8]);
            self.out.extend_from_slice(long.as_le_bytes());
        } else {
            // The only opcode that gives 2.7 an int of 64 bits, and not a long.
            self.op(op::INT);
            self.out.extend_from_slice(number.to_string().as_bytes());
            self.op(b'\n');
        }
    }

    fn long(&mut self, long: &Long) -> Result<(), Error> {
        let bytes = long.as_le_bytes();
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.out.extend_from_slice(&[op::LONG1, len]);
        } else {
            let len = i32::try_from(bytes.len())
                .map_err(|_| self.cannot_say("a number of more than 2 GiB"))?;
            self.op(op::LONG4);
            self.out.extend_from_slice(&len.to_le_bytes());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Text for Python 3, `unicode` for Python 2.
    pub(super) fn unicode(&mut self, utf8: &[u8]) -> Result<(), Error> {
        let (short, long) = (op::SHORT_BINUNICODE, op::BINUNICODE8);
        self.counted(utf8, short, op::BINUNICODE, long, "text of more than 4 GiB")
    }

    /// `str` for Python 2. Python 3 takes it too if it is ASCII.
    pub(super) fn byte_str(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Ok(len) = u8::try_from(bytes.len()) {
            self.out.extend_from_slice(&[op::SHORT_BINSTRING, len]);
        } else {
            let len = i32::try_from(bytes.len())
                .map_err(|_| self.cannot_say("a str of more than 2 GiB"))?;
            self.op(op::BINSTRING);
            self.out.extend_from_slice(&len.to_le_bytes());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.dialect {
            Dialect::Python2 => self.byte_str(bytes),
            Dialect::Python3 => {
                let (short, long) = (op::SHORT_BINBYTES, op::BINBYTES8);
                self.counted(bytes, short, op::BINBYTES, long, "bytes of more than 4 GiB")
            }
            Dialect::Common => {
                self.named("_codecs", "encode")?;
                self.latin1(bytes, b"latin1")?;
                self.op(op::REDUCE);
                Ok(())
            }
        }
    }

    fn byte_array(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.dialect.is_python3() {
            self.named("builtins", "bytearray")?;
            self.bytes(bytes)?;
            self.op(op::TUPLE1);
        } else {
            self.named("__builtin__", "bytearray")?;
            self.latin1(bytes, b"latin-1")?;
        }
        self.op(op::REDUCE);
        Ok(())
    }

    /// Bytes as the text of the same code points, and the encoding that turns it into them again.
    fn latin1(&mut self, bytes: &[u8], encoding: &[u8]) -> Result<(), Error> {
        if bytes.is_ascii() {
            self.unicode(bytes)?;
        } else {
            let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            self.unicode(text.as_bytes())?;
        }
        self.byte_str(encoding)?;
        self.op(op::TUPLE2);
        Ok(())
    }

    /// The shortest of three opcodes, of which protocol 2 has the middle one only.
    fn counted(
        &mut self,
        bytes: &[u8],
        short: u8,
        middle: u8,
        long: u8,
        what: &'static str,
    ) -> Result<(), Error> {
        let python3 = self.dialect.is_python3();
        match (u8::try_from(bytes.len()), u32::try_from(bytes.len())) {
            (Ok(len), _) if python3 => self.out.extend_from_slice(&[short, len]),
            (_, Ok(len)) => {
                self.op(middle);
                self.out.extend_from_slice(&len.to_le_bytes());
            }
            _ if python3 => {
                self.op(long);
                self.out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            }
            _ => return Err(self.cannot_say(what)),
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn global(&mut self, global: &Global) -> Result<(), Error> {
        if self.dialect.is_python3() {
            let (module, name) = global.python3();
            return self.named(module, name);
        }
        let (module, name) = global.python2();
        // Protocol 2 has no dots in names: one attribute after the other.
        let depth = name.matches('.').count();
        for _ in 0..depth {
            self.named("__builtin__", "getattr")?;
        }
        let mut parts = name.split('.');
        self.named(module, parts.next().unwrap_or_default())?;
        for part in parts {
            self.checked_name(part)?;
            self.byte_str(part.as_bytes())?;
            self.op(op::TUPLE2);
            self.op(op::REDUCE);
        }
        Ok(())
    }

    /// A global by the name that the dialect has for it.
    pub(super) fn named(&mut self, module: &str, name: &str) -> Result<(), Error> {
        if self.dialect.is_python3() {
            self.unicode(module.as_bytes())?;
            self.unicode(name.as_bytes())?;
            self.op(op::STACK_GLOBAL);
            return Ok(());
        }
        // A line feed would end the name and start an opcode.
        self.checked_name(module)?;
        self.checked_name(name)?;
        self.op(op::GLOBAL);
        self.out.extend_from_slice(module.as_bytes());
        self.op(b'\n');
        self.out.extend_from_slice(name.as_bytes());
        self.op(b'\n');
        Ok(())
    }

    fn checked_name(&self, name: &str) -> Result<(), Error> {
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(self.cannot_say("a global's name with other characters than printable ASCII"))
    }

    /// Memoizes what is on top of the stack and gives its number.
    pub(super) fn memoize(&mut self) -> u32 {
        let number = self.next_memo;
        self.next_memo += 1;
        if self.dialect.is_python3() {
            self.op(op::MEMOIZE);
        } else if let Ok(byte) = u8::try_from(number) {
            self.out.extend_from_slice(&[op::BINPUT, byte]);
        } else {
            self.op(op::LONG_BINPUT);
            self.out.extend_from_slice(&number.to_le_bytes());
        }
        number
    }

    pub(super) fn get(&mut self, number: u32) {
        if let Ok(byte) = u8::try_from(number) {
            self.out.extend_from_slice(&[op::BINGET, byte]);
        } else {
            self.op(op::LONG_BINGET);
            self.out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Text of our own as the `str` of whoever reads it, which stock peers check for.
    pub(super) fn native_str(&mut self, text: &str) -> Result<(), Error> {
        match self.dialect {
            Dialect::Python3 => self.unicode(text.as_bytes()),
            Dialect::Python2 => self.byte_str(text.as_bytes()),
            Dialect::Common if text.is_ascii() => self.byte_str(text.as_bytes()),
            Dialect::Common => {
                let escaped: String = text
                    .chars()
                    .flat_map(|c| {
                        let escape = (!c.is_ascii()).then(|| c.escape_unicode());
                        escape.into_iter().flatten().chain(c.is_ascii().then_some(c))
                    })
                    .collect();
                self.byte_str(escaped.as_bytes())
            }
        }
    }
}

/// Whether a second reference to the node is worth a memo entry: whether Python can tell the two
/// apart, or they are long.
pub(super) fn is_worth_sharing(node: &Node) -> bool {
    let long = |bytes: &[u8]| bytes.len() > 4;
    match node {
        Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_) => false,
        Node::Long(number) => long(number.as_le_bytes()),
        Node::Str(text) | Node::Unicode(text) => long(Text::as_bytes(text)),
        Node::Tuple(items) => !items.is_empty(),
        _ => true,
    }
}
