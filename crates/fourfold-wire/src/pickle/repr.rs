//! Values as Python's `repr` shows them.

use std::fmt::{self, Write as _};

use super::{Node, NodeId, NodeRef, Value, repr_objects};

/// The longest text, in bytes. What is longer ends in dots.
pub(super) const LONGEST: usize = 64 << 10;
/// How deep values are shown.
const DEPTH: usize = 100;

impl fmt::Display for NodeRef<'_> {
    /// As `repr` of Python 3.12 and later shows it, cut after 64 KiB. An object of a class that is not known here is shown as the
    /// call that makes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut show = Show { out: String::new(), open: Vec::new() };
        show.node(*self);
        cut(&mut show.out);
        f.write_str(&show.out)
    }
}

impl fmt::Display for Value {
    /// As Python's `repr` shows it, cut after 64 KiB.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold_wire::pickle::Value;
    ///
    /// let value = Value::tuple([Value::from("it's"), Value::from(1.0), Value::none()]);
    /// assert_eq!(value.to_string(), r#"("it's", 1.0, None)"#);
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root().fmt(f)
    }
}

fn cut(out: &mut String) {
    if out.len() > LONGEST {
        out.truncate(out.floor_char_boundary(LONGEST));
        out.push_str("...");
    }
}

/// A text under construction.
pub(super) struct Show {
    pub(super) out: String,
    /// What the next part lies in, from the outermost on.
    open: Vec<NodeId>,
}

impl Show {
    pub(super) fn is_full(&self) -> bool {
        self.out.len() > LONGEST
    }

    pub(super) fn node(&mut self, node: NodeRef<'_>) {
        if self.is_full() {
            return;
        }
        if self.open.contains(&node.id()) {
            self.out.push_str(match node.node() {
                Node::List(_) => "[...]",
                Node::Dict(_) => "{...}",
                Node::Tuple(_) => "(...)",
                _ => "...",
            });
        } else if self.open.len() >= DEPTH {
            self.out.push_str("...");
        } else {
            self.open.push(node.id());
            self.opened(node);
            self.open.pop();
        }
    }

    fn opened(&mut self, node: NodeRef<'_>) {
        let out = &mut self.out;
        match node.node() {
            Node::None => out.push_str("None"),
            Node::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
            Node::Int(value) => drop(write!(out, "{value}")),
            Node::Long(long) if long.as_le_bytes().len() <= 1024 => drop(write!(out, "{long}")),
            Node::Long(_) => out.push_str("<a large int>"),
            Node::Float(value) => float(*value, out),
            Node::Str(text) | Node::Unicode(text) => quoted(text.code_points(), out),
            Node::ByteStr(bytes) if bytes.is_ascii() => {
                quoted(bytes.iter().map(|&byte| byte.into()), out);
            }
            Node::ByteStr(bytes) | Node::Bytes(bytes) => bytes_literal(bytes, false, out),
            Node::ByteArray(bytes) => {
                out.push_str("bytearray(");
                bytes_literal(bytes, true, out);
                out.push(')');
            }
            Node::Tuple(items) => {
                let close = if items.len() == 1 { ",)" } else { ")" };
                self.row("(", items.iter().map(|&id| node.at(id)), close);
            }
            Node::List(items) => self.row("[", items.iter().map(|&id| node.at(id)), "]"),
            Node::Set(items) if items.is_empty() => out.push_str("set()"),
            Node::Set(items) => self.row("{", items.iter().map(|&id| node.at(id)), "}"),
            Node::FrozenSet(items) if items.is_empty() => out.push_str("frozenset()"),
            Node::FrozenSet(items) => {
                self.row("frozenset({", items.iter().map(|&id| node.at(id)), "})");
            }
            Node::Dict(entries) => {
                self.entries(entries.iter().map(|&(key, value)| (node.at(key), node.at(value))));
            }
            Node::Global(global) => repr_objects::global(global, out),
            Node::Object(_) => repr_objects::object(node, self),
        }
    }

    pub(super) fn row<'a>(
        &mut self,
        open: &str,
        items: impl Iterator<Item = NodeRef<'a>>,
        close: &str,
    ) {
        self.out.push_str(open);
        for (at, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if at > 0 {
                self.out.push_str(", ");
            }
            self.node(item);
        }
        self.out.push_str(close);
    }

    pub(super) fn entries<'a>(
        &mut self,
        entries: impl Iterator<Item = (NodeRef<'a>, NodeRef<'a>)>,
    ) {
        self.out.push('{');
        for (at, (key, value)) in entries.enumerate() {
            if self.is_full() {
                return;
            }
            if at > 0 {
                self.out.push_str(", ");
            }
            self.node(key);
            self.out.push_str(": ");
            self.node(value);
        }
        self.out.push('}');
    }
}

/// As Python writes a float: the shortest digits, an exponent from 1e16 on.
pub(super) fn float(value: f64, out: &mut String) {
    let size = value.abs();
    if value.is_nan() {
        out.push_str("nan");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "inf" } else { "-inf" });
    } else if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
    } else {
        let _ = write!(out, "{value:?}");
    }
}

/// Whether Python shows a character as it is.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Rust escapes those of the same categories, and at the start of a text some more.
    let mut buffer = [b'a'; 5];
    let len = c.encode_utf8(&mut buffer[1..]).len();
    let text = std::str::from_utf8(&buffer[..=len]).unwrap_or_default();
    text.escape_debug().nth(1) != Some('\\')
}

fn quoted(points: impl Iterator<Item = u32> + Clone, out: &mut String) {
    let has = |wanted: char| points.clone().take(LONGEST).any(|point| point == wanted as u32);
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(quote);
    for point in points.take(LONGEST) {
        match char::from_u32(point) {
            Some(c) if c == quote || c == '\\' => out.extend(['\\', c]),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) if is_printable(c) => out.push(c),
            _ if point < 0x100 => drop(write!(out, "\\x{point:02x}")),
            _ if point < 0x1_0000 => drop(write!(out, "\\u{point:04x}")),
            _ => drop(write!(out, "\\U{point:08x}")),
        }
    }
    out.push(quote);
}

/// A `bytearray` puts a backslash before each single quote, whatever it is quoted with.
fn bytes_literal(bytes: &[u8], is_array: bool, out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let escaped = if is_array { '\'' } else { quote };
    out.push('b');
    out.push(quote);
    for &byte in bytes.iter().take(LONGEST) {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if char::from(byte) == escaped => out.extend(['\\', escaped]),
            0x20..0x7f => out.push(char::from(byte)),
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_shows_it() {
        let shown = |value: Value| value.to_string();
        assert_eq!(
            shown(Value::list([1.into(), "a'b".into(), Value::none()])),
            "[1, \"a'b\", None]"
        );
        assert_eq!(shown(Value::tuple([Value::from(vec![0u8, b'a', b'\''])])), "(b\"\\x00a'\",)");
        assert_eq!(shown(Value::dict([("k".into(), 5.into())])), "{'k': 5}");
        assert_eq!(shown("é\n\u{7}".into()), "'é\\n\\x07'");
        for (value, text) in
            [(1.0, "1.0"), (1e16, "1e+16"), (1.5e-5, "1.5e-05"), (0.0001, "0.0001"), (-0.0, "-0.0")]
        {
            assert_eq!(shown(value.into()), text);
        }
        let cyclic = Value::read(b"]q\x00h\x00a.").expect("a pickle");
        assert_eq!(cyclic.to_string(), "[[...]]");
        assert!(shown("x".repeat(1 << 20).as_str().into()).len() < LONGEST + 10);
    }
}
