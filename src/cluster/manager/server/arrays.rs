//! The methods of arrays, and arrays as they are pickled.

use fourfold_wire::pickle::{Builder, Made, Node, NodeId, NodeRef, Text, Value};
use fourfold_wire::talk::{Arguments, Exception, Reply};

use super::args::{index as at, int, number, slice, type_of};
use super::errors::{array_error, type_error, value_error};
use super::iterable::numbers;
use super::lists::{bounds, call, whole};
use super::thing::{Called, SHOWN};
use crate::words::{Array, Number, is_of_chars};

/// A character as a text, by its code point.
pub(super) fn char_text(point: u32) -> Text {
    Text::from_code_points([point]).unwrap_or_else(|_| "\u{fffd}".into())
}

fn node(builder: &mut Builder, number: Number) -> NodeId {
    match number {
        Number::Int(value) => builder.long(value),
        Number::Float(value) => builder.push(Node::Float(value)),
        // Text to either Python: a `str` of the old one is bytes to its arrays.
        Number::Char(point) => builder.push(Node::Unicode(char_text(point))),
    }
}

pub(super) fn number_value(number: Number) -> Value {
    let mut builder = Builder::new();
    let root = node(&mut builder, number);
    builder.finish(root)
}

/// Items of an array of that type as what makes one: a list of numbers, or a text.
fn contents(code: char, numbers: &[Number]) -> Value {
    let mut builder = Builder::new();
    let root = match is_of_chars(code) {
        true => {
            let points = numbers.iter().filter_map(|number| match number {
                Number::Char(point) => Some(*point),
                _ => None,
            });
            let text = Text::from_code_points(points).unwrap_or_else(|_| "".into());
            builder.push(Node::Unicode(text))
        }
        false => {
            let ids: Vec<NodeId> =
                numbers.iter().map(|number| node(&mut builder, *number)).collect();
            builder.push(Node::List(ids))
        }
    };
    builder.finish(root)
}

/// `array.array(code, [..])`
pub(super) fn array_value(array: &Array) -> Value {
    call(
        "array",
        "array",
        [Value::from(array.code().to_string()), contents(array.code(), array.numbers())],
    )
}

/// As `str` of an array shows it, cut where it is long.
pub(super) fn describe(array: &Array) -> String {
    match array.numbers() {
        [] => format!("array('{}')", array.code()),
        numbers => {
            // Each takes a byte or more of what is shown.
            let shown = &numbers[..numbers.len().min(SHOWN)];
            format!("array('{}', {})", array.code(), contents(array.code(), shown))
        }
    }
}

/// The array that `array.array(code, initial)` would be.
pub(super) fn new(code: char, initial: NodeRef<'_>) -> Result<Array, Exception> {
    let empty = Array::new(code, Vec::new()).map_err(array_error)?;
    let numbers = match initial.node() {
        Node::Bytes(bytes) | Node::ByteArray(bytes) => in_memory(format_of(empty.code())?, bytes)?,
        Node::ByteStr(bytes) if !is_of_chars(code) => in_memory(format_of(empty.code())?, bytes)?,
        Node::Str(_) | Node::Unicode(_) if !is_of_chars(code) => {
            let what = format!("cannot use a str to initialize an array with typecode '{code}'");
            return Err(type_error(what));
        }
        _ => numbers(initial)?,
    };
    Array::new(code, numbers).map_err(array_error)
}

/// The code of the type of a pickled array.
fn code_of(node: NodeRef<'_>) -> Option<char> {
    let args = node.made_with()?;
    let code = match node.class()?.python3() {
        ("array", "array") => args.take(1).next()?,
        ("array", "_array_reconstructor") => args.take(2).nth(1)?,
        _ => return None,
    };
    code.as_str()?.chars().next()
}

/// The items of a pickled array that is written as its machine had it in memory.
pub(super) fn written(node: NodeRef<'_>) -> Option<Result<Vec<Number>, Exception>> {
    let object = node.as_object().filter(|object| object.steps.is_empty())?;
    let (Made::Reduce { .. }, ("array", name)) = (object.made, node.class()?.python3()) else {
        return None;
    };
    let args: Vec<NodeRef<'_>> = node.made_with()?.take(5).collect();
    machine(name, &args)
}

/// The same by the name of what makes it and the arguments. `None`: it is made of a list.
pub(super) fn machine(name: &str, args: &[NodeRef<'_>]) -> Option<Result<Vec<Number>, Exception>> {
    match (name, args) {
        // As multiprocessing writes it.
        ("array", [code, of]) => {
            let bytes = of.as_bytes()?;
            let code = code.as_str().and_then(|code| code.chars().next()).unwrap_or('?');
            Some(format_of(code).and_then(|format| in_memory(format, bytes)))
        }
        ("_array_reconstructor", [_, _, format, bytes]) => {
            let bytes = bytes.as_bytes().ok_or_else(|| type_error("an array of bytes is required"));
            Some(bytes.and_then(|bytes| in_memory(int(*format)?, bytes)))
        }
        _ => None,
    }
}

/// The code of the format that an array of that type has in the memory of our machines and those like them.
fn format_of(code: char) -> Result<i64, Exception> {
    Ok(match code {
        'B' => 0,
        'b' => 1,
        'H' => 2,
        'h' => 4,
        'I' => 6,
        'i' => 8,
        'L' | 'Q' => 10,
        'l' | 'q' => 12,
        'f' => 14,
        'd' => 16,
        'u' | 'w' => 20,
        _ => return Err(type_error("an array of numbers is required")),
    })
}

/// Items as a machine has them in memory: a code of the format, and bytes.
fn in_memory(format: i64, bytes: &[u8]) -> Result<Vec<Number>, Exception> {
    let width = match format {
        0 | 1 => 1,
        2..=5 => 2,
        6..=9 | 14 | 15 | 20 | 21 => 4,
        10..=13 | 16 | 17 => 8,
        _ => return Err(type_error("an array of numbers or of UTF-32 is required")),
    };
    if !bytes.len().is_multiple_of(width) {
        return Err(value_error("bytes length not a multiple of item size"));
    }
    bytes
        .chunks_exact(width)
        .map(|number| {
            // From the lowest byte on, filled up with the sign.
            let mut wide = [0; 16];
            wide[..width].copy_from_slice(number);
            if format % 2 == 1 && format > 1 {
                wide[..width].reverse();
            }
            let is_signed = matches!(format, 1 | 4 | 5 | 8 | 9 | 12 | 13);
            if is_signed && wide[width - 1] >= 0x80 {
                wide[width..].fill(0xff);
            }
            let whole = i128::from_le_bytes(wide);
            Ok(match format {
                14 | 15 => Number::Float(f64::from(f32::from_bits(whole as u32))),
                16 | 17 => Number::Float(f64::from_bits(whole as u64)),
                20 | 21 if whole > 0x10_ffff => {
                    let what = format!("character U+{whole:x} is not in range [U+0000; U+10ffff]");
                    return Err(value_error(what));
                }
                20 | 21 => Number::Char(whole as u32),
                _ => Number::Int(whole),
            })
        })
        .collect()
}

pub(super) fn array(
    array: &mut Array,
    method: &str,
    args: &Arguments,
) -> Result<Called, Exception> {
    let required = |id: Option<NodeId>| args.node(id.expect("it is required"));
    // As Python: no list, and no array of another type.
    let same_type = |array: &Array, id: Option<NodeId>| -> Result<Vec<Number>, Exception> {
        let node = required(id);
        match code_of(node) {
            Some(code) if code == array.code() => numbers(node),
            Some(_) => Err(type_error("bad argument type for built-in operation")),
            None => {
                let what = "can only assign array (not";
                Err(type_error(format!("{what} \"{}\") to array slice", type_of(node))))
            }
        }
    };
    let part = |array: &Array, slice| -> Result<Reply, Exception> {
        let numbers = array.slice(slice).map_err(array_error)?;
        let part = Array::new(array.code(), numbers).map_err(array_error)?;
        Ok(Reply::Return(array_value(&part)))
    };
    let reply = match method {
        "__len__" => args.bind(method, [], 0).map(|[]| whole(array.numbers().len()))?,
        "__getitem__" => {
            let [id] = args.bind(method, ["index"], 1)?;
            let index = required(id);
            match slice(index)? {
                Some(slice) => part(array, slice)?,
                None => {
                    let number = array.get(at(index)?).map_err(array_error)?;
                    Reply::Return(number_value(number))
                }
            }
        }
        "__setitem__" => {
            let [index, id] = args.bind(method, ["index", "value"], 2)?;
            let index = required(index);
            match slice(index)? {
                Some(slice) => array.set_slice(slice, same_type(array, id)?),
                None => array.set(at(index)?, number(required(id))?),
            }
            .map_err(array_error)?;
            Reply::none()
        }
        "__getslice__" => part(array, bounds(args, args.bind(method, ["i", "j"], 2)?)?)?,
        "__setslice__" => {
            let [start, stop, id] = args.bind(method, ["i", "j", "y"], 3)?;
            let new = same_type(array, id)?;
            array.set_slice(bounds(args, [start, stop])?, new).map_err(array_error)?;
            Reply::none()
        }
        _ => return Ok(Called::Unknown),
    };
    Ok(reply.into())
}
