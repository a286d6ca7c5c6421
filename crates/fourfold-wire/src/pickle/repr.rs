//! Values as Python's `repr` shows them.

use std::fmt::{self, Write as _};

use super::{Made, Node, NodeRef, Value};

/// The longest text, in bytes. What is longer ends in dots.
const LONGEST: usize = 64 << 10;
/// How deep values are shown.
const DEPTH: usize = 100;

impl fmt::Display for NodeRef<'_> {
    /// As Python's `repr` shows it, cut after 64 KiB. An object is shown as the call that makes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write(*self, DEPTH, &mut out);
        cut(&mut out);
        f.write_str(&out)
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

fn write(node: NodeRef<'_>, depth: usize, out: &mut String) {
    if out.len() > LONGEST {
        return;
    }
    let Some(depth) = depth.checked_sub(1) else {
        out.push_str("...");
        return;
    };
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
        Node::ByteStr(bytes) | Node::Bytes(bytes) => bytes_literal(bytes, out),
        Node::ByteArray(bytes) => {
            out.push_str("bytearray(");
            bytes_literal(bytes, out);
            out.push(')');
        }
        Node::Tuple(items) => {
            let close = if items.len() == 1 { ",)" } else { ")" };
            row(node, "(", close, depth, out);
        }
        Node::List(_) => row(node, "[", "]", depth, out),
        Node::Set(items) if items.is_empty() => out.push_str("set()"),
        Node::Set(_) => row(node, "{", "}", depth, out),
        Node::FrozenSet(items) if items.is_empty() => out.push_str("frozenset()"),
        Node::FrozenSet(_) => row(node, "frozenset({", "})", depth, out),
        Node::Dict(entries) => {
            out.push('{');
            for (at, &(key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(node.at(key), depth, out);
                out.push_str(": ");
                write(node.at(value), depth, out);
            }
            out.push('}');
        }
        Node::Global(global) => {
            let (module, name) = global.python3();
            let _ = write!(out, "<{module}.{name}>");
        }
        Node::Object(object) => match (object.made, node.class()) {
            (Made::Reduce { args, .. }, Some(class)) => {
                out.push_str(class.python3().1);
                row(node.at(args), "(", ")", depth, out);
            }
            (_, Some(class)) => {
                let (module, name) = class.python3();
                let _ = write!(out, "<{module}.{name} object>");
            }
            (_, None) => out.push_str("<object>"),
        },
    }
}

fn row(node: NodeRef<'_>, open: &str, close: &str, depth: usize, out: &mut String) {
    out.push_str(open);
    for (at, item) in node.items().into_iter().flatten().enumerate() {
        if out.len() > LONGEST {
            return;
        }
        if at > 0 {
            out.push_str(", ");
        }
        write(item, depth, out);
    }
    out.push_str(close);
}

/// As Python writes a float: the shortest digits, an exponent from 1e16 on.
fn float(value: f64, out: &mut String) {
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
            Some(c) if !c.is_control() => out.push(c),
            _ if point < 0x100 => drop(write!(out, "\\x{point:02x}")),
            _ => drop(write!(out, "\\u{point:04x}")),
        }
    }
    out.push(quote);
}

fn bytes_literal(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for &byte in bytes.iter().take(LONGEST) {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if char::from(byte) == quote => out.extend(['\\', quote]),
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
        assert!(cyclic.to_string().contains("..."));
        assert!(shown("x".repeat(1 << 20).as_str().into()).len() < LONGEST + 10);
    }
}
