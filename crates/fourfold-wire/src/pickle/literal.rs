//! The values that protocol 0 writes as text.

use super::text::push_code_point;
use super::{Long, Node, Text};

/// A whole number or, as protocol 0 has it, a truth value.
pub(super) fn int(line: &[u8]) -> Option<Node> {
    match line {
        b"00" => Some(Node::Bool(false)),
        b"01" => Some(Node::Bool(true)),
        _ => {
            let text = trimmed(line)?;
            Some(match text.parse() {
                Ok(small) => Node::Int(small),
                Err(_) => Node::Long(Long::from_decimal(text)?),
            })
        }
    }
}

/// A whole number with an `L` behind, or without.
pub(super) fn long(line: &[u8]) -> Option<Long> {
    let text = trimmed(line)?;
    Long::from_decimal(text.strip_suffix('L').unwrap_or(text))
}

pub(super) fn float(line: &[u8]) -> Option<f64> {
    trimmed(line)?.parse().ok()
}

/// The number of a memo entry.
pub(super) fn index(line: &[u8]) -> Option<u64> {
    trimmed(line)?.parse().ok()
}

fn trimmed(line: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(line).ok()?.trim_ascii())
}

/// The bytes of a string literal of Python 2, in quotes of either kind.
pub(super) fn string(line: &[u8]) -> Option<Vec<u8>> {
    let (&quote, inner) = line.trim_ascii_end().split_first()?;
    let inner = match inner.split_last() {
        Some((last, inner)) if *last == quote && matches!(quote, b'"' | b'\'') => inner,
        _ => return None,
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (&escape, tail) = rest.split_first()?;
        rest = tail;
        match escape {
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(escape),
            b'a' => out.push(0x07),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(0x0b),
            b'x' => {
                let (number, tail) = hex(rest, 2)?;
                rest = tail;
                out.push(number as u8);
            }
            b'0'..=b'7' => {
                let mut number = u32::from(escape - b'0');
                for _ in 0..2 {
                    match rest.split_first() {
                        Some((&digit @ b'0'..=b'7', tail)) => {
                            number = number * 8 + u32::from(digit - b'0');
                            rest = tail;
                        }
                        _ => break,
                    }
                }
                // Python takes the low byte of numbers over 0o377.
                out.push(number as u8);
            }
            _ => out.extend_from_slice(&[b'\\', escape]),
        }
    }
    Some(out)
}

/// Text in Latin-1 with `\u0000` and `\U00000000`, and no other escape.
pub(super) fn unicode(line: &[u8]) -> Option<Text> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            push_code_point(&mut out, u32::from(byte))?;
            rest = tail;
            continue;
        }
        // Of a row of backslashes only the last can start an escape, and only if the row is odd.
        let slashes = rest.iter().take_while(|&&byte| byte == b'\\').count();
        let digits = match rest.get(slashes) {
            Some(b'u') if slashes % 2 == 1 => 4,
            Some(b'U') if slashes % 2 == 1 => 8,
            _ => 0,
        };
        let literal = if digits > 0 { slashes - 1 } else { slashes };
        out.extend(std::iter::repeat_n(b'\\', literal));
        rest = &rest[slashes..];
        if digits > 0 {
            let (point, tail) = hex(&rest[1..], digits)?;
            push_code_point(&mut out, point)?;
            rest = tail;
        }
    }
    Text::from_bytes(out)
}

fn hex(bytes: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    if !number.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let number = u32::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_literals() {
        let read = |line: &[u8]| string(line);
        assert_eq!(read(br#"'a\'b"c\\'"#), Some(b"a'b\"c\\".to_vec()));
        assert_eq!(
            read(br#""\x00\xff\n\t\r\7\101\400\q""#),
            Some(b"\0\xff\n\t\r\x07A\0\\q".to_vec())
        );
        assert_eq!(read(b"''"), Some(Vec::new()));
        for bad in [&b""[..], b"'", b"a", b"'a", b"'a\"", b"'\\x1'", b"'\\'"] {
            assert_eq!(read(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn unicode_lines() {
        let read = |line: &[u8]| unicode(line).map(|text| format!("{text:?}"));
        assert_eq!(read(b"caf\xe9 \\u20ac \\U0001f600").as_deref(), Some("\"café € 😀\""));
        assert_eq!(read(br"\\u0041 \\\u0041 \n").as_deref(), Some(r#""\\\\u0041 \\\\A \\n""#));
        assert_eq!(read(br"\ud800").as_deref(), Some(r#""\u{d800}""#));
        for bad in [&br"\u12"[..], br"\u12g4", br"\U00110000", br"\u+123"] {
            assert_eq!(read(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn numbers() {
        assert!(matches!(int(b"01"), Some(Node::Bool(true))));
        assert!(matches!(int(b"1"), Some(Node::Int(1))));
        assert!(matches!(int(b"-9223372036854775808"), Some(Node::Int(i64::MIN))));
        assert!(matches!(int(b"9223372036854775808"), Some(Node::Long(_))));
        assert_eq!(long(b"-12L").and_then(|long| long.to_i64()), Some(-12));
        assert_eq!(float(b"-1e-3"), Some(-0.001));
        assert!(float(b"nan").is_some_and(f64::is_nan));
        assert_eq!((index(b"12"), index(b"-1"), index(b"")), (Some(12), None, None));
    }
}
