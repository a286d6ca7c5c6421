//! Objects of Python's own classes as `repr` shows them.

use std::fmt::Write as _;

use super::repr::{Show, float};
use super::{Global, Made, Node, NodeRef, Step, names};

/// A class or function.
pub(super) fn global(global: &Global, out: &mut String) {
    let _ = match global.python3() {
        ("builtins", name @ ("Ellipsis" | "NotImplemented")) => write!(out, "{name}"),
        ("builtins", name) if is_class(name) => write!(out, "<class '{name}'>"),
        ("builtins", name) => write!(out, "<built-in function {name}>"),
        (module, name) if name.starts_with(|first: char| first.is_uppercase()) => {
            write!(out, "<class '{module}.{name}'>")
        }
        (module, name) => write!(out, "<{module}.{name}>"),
    };
}

/// The classes of `builtins` that are no exceptions.
const CLASSES: [&str; 28] = [
    "bool",
    "bytearray",
    "bytes",
    "classmethod",
    "complex",
    "dict",
    "enumerate",
    "filter",
    "float",
    "frozenset",
    "int",
    "list",
    "map",
    "memoryview",
    "object",
    "property",
    "range",
    "reversed",
    "set",
    "slice",
    "staticmethod",
    "str",
    "super",
    "tuple",
    "type",
    "zip",
    "function",
    "module",
];

fn is_class(name: &str) -> bool {
    CLASSES.contains(&name) || names::exceptions().any(|exception| exception == name)
}

/// An object, mostly as the call that makes it.
pub(super) fn object(node: NodeRef<'_>, show: &mut Show) {
    let Some((object, class)) = node.as_object().zip(node.class()) else {
        return show.out.push_str("<object>");
    };
    if known(node, class.python3(), show).is_some() {
        return;
    }
    let (module, name) = class.python3();
    match (object.made, node.made_with()) {
        (Made::Reduce { .. }, Some(args)) => {
            show.out.push_str(name);
            show.row("(", args, ")");
        }
        _ => drop(write!(show.out, "<{module}.{name} object>")),
    }
}

/// Nothing, and nothing is written: it is no object of a class that is known here, or not as that writes them.
fn known(node: NodeRef<'_>, class: (&str, &str), show: &mut Show) -> Option<()> {
    let object = node.as_object()?;
    if class == ("uuid", "UUID") {
        let Node::Long(long) = node.state()?.get_key("int")?.node() else { return None };
        return uuid(long.to_u128()?, show);
    }
    let Made::Reduce { .. } = object.made else { return None };
    let args: Vec<NodeRef<'_>> = node.made_with()?.take(4).collect();
    match (class, &args[..]) {
        (("builtins", "complex"), [real, imaginary]) => {
            complex(real.as_f64()?, imaginary.as_f64()?, &mut show.out);
        }
        (("builtins", "range"), [start, stop, step]) if step.as_i64() == Some(1) => {
            show.row("range(", [*start, *stop].into_iter(), ")");
        }
        (("fractions", "Fraction"), [text]) => {
            let text = text.as_str()?;
            let (above, below) = text.split_once('/').unwrap_or((text, "1"));
            let _ = write!(show.out, "Fraction({above}, {below})");
        }
        (("datetime", "timedelta"), [days, seconds, micros]) => {
            span([days.as_i64()?, seconds.as_i64()?, micros.as_i64()?], &mut show.out);
        }
        (("datetime", "timezone"), [offset]) if is_zero_span(*offset) => {
            show.out.push_str("datetime.timezone.utc");
        }
        (("datetime", "timezone"), [_] | [_, _]) => {
            show.row("datetime.timezone(", args.into_iter(), ")");
        }
        (("datetime", name @ ("date" | "time" | "datetime")), [bytes, zone @ ..]) => {
            moment(name, bytes.as_bytes()?, show)?;
            if let [zone] = zone {
                show.out.pop();
                show.out.push_str(", tzinfo=");
                show.node(*zone);
                show.out.push(')');
            }
        }
        (("collections", "deque"), _) => deque(node, &args, show)?,
        (("collections", "OrderedDict" | "Counter" | "defaultdict"), _) => {
            dict(node, class.1, &args, show)?;
        }
        _ => return None,
    }
    Some(())
}

fn complex(real: f64, imaginary: f64, out: &mut String) {
    let part = |value: f64| {
        let mut text = String::new();
        float(value, &mut text);
        text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
    };
    let (first, second) = (part(real), part(imaginary));
    if real == 0.0 && real.is_sign_positive() {
        let _ = write!(out, "{second}j");
    } else {
        let sign = if second.starts_with('-') { "" } else { "+" };
        let _ = write!(out, "({first}{sign}{second}j)");
    }
}

fn uuid(number: u128, show: &mut Show) -> Option<()> {
    let hex = format!("{number:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    write!(show.out, "UUID('{}')", parts.join("-")).ok()
}

fn is_zero_span(node: NodeRef<'_>) -> bool {
    let is_span = |class: &Global| class.python3() == ("datetime", "timedelta");
    let is_zero = |part: NodeRef<'_>| part.as_i64() == Some(0);
    node.class().is_some_and(is_span) && node.made_with().is_some_and(|mut args| args.all(is_zero))
}

fn span(parts: [i64; 3], out: &mut String) {
    let named = ["days", "seconds", "microseconds"].into_iter().zip(parts);
    let named = named.filter(|(_, part)| *part != 0).map(|(name, part)| format!("{name}={part}"));
    let named: Vec<String> = named.collect();
    let inner = if named.is_empty() { "0".to_owned() } else { named.join(", ") };
    let _ = write!(out, "datetime.timedelta({inner})");
}

/// A date, a time or both, from the bytes of its fields.
fn moment(name: &str, bytes: &[u8], show: &mut Show) -> Option<()> {
    let (date, time) = match (name, bytes.len()) {
        ("date", 4) => (bytes, None),
        ("time", 6) => (&bytes[..0], Some(bytes)),
        ("datetime", 10) => (&bytes[..4], Some(&bytes[4..])),
        _ => return None,
    };
    // Which of two equal times on the clock it is, is the highest bit of a field.
    let mut fields: Vec<u32> = Vec::new();
    let mut fold = false;
    if let [high, low, month, day] = *date {
        fold |= month >= 0x80;
        fields.extend([u32::from(high) << 8 | u32::from(low), u32::from(month & 0x7f), day.into()]);
    }
    if let Some(&[hour, minute, second, a, b, c]) = time {
        fold |= hour >= 0x80;
        let micros = u32::from_be_bytes([0, a, b, c]);
        fields.extend([u32::from(hour & 0x7f), minute.into()]);
        if second != 0 || micros != 0 {
            fields.push(second.into());
        }
        if micros != 0 {
            fields.push(micros);
        }
    }
    let fields: Vec<String> = fields.iter().map(u32::to_string).collect();
    let fold = if fold { ", fold=1" } else { "" };
    write!(show.out, "datetime.{name}({}{fold})", fields.join(", ")).ok()
}

fn deque(node: NodeRef<'_>, args: &[NodeRef<'_>], show: &mut Show) -> Option<()> {
    let mut items: Vec<NodeRef<'_>> = match args.first() {
        Some(first) => first.items()?.collect(),
        None => Vec::new(),
    };
    for step in &node.as_object()?.steps {
        match step {
            Step::Append(more) => items.extend(more.iter().map(|&id| node.at(id))),
            Step::State(_) => {}
            _ => return None,
        }
    }
    show.row("deque([", items.into_iter(), "]");
    if let Some(longest) = args.get(1).and_then(|longest| longest.as_i64()) {
        let _ = write!(show.out, ", maxlen={longest}");
    }
    show.out.push(')');
    Some(())
}

fn dict(node: NodeRef<'_>, name: &str, args: &[NodeRef<'_>], show: &mut Show) -> Option<()> {
    let mut entries = node.mapping()?;
    let _ = write!(show.out, "{name}(");
    match (name, args) {
        ("defaultdict", [factory]) => {
            show.node(*factory);
            show.out.push_str(", ");
        }
        ("defaultdict", _) => show.out.push_str("None, "),
        // The most frequent first, where all are counted in numbers.
        ("Counter", _) if entries.iter().all(|(_, count)| count.as_i64().is_some()) => {
            entries.sort_by_key(|(_, count)| std::cmp::Reverse(count.as_i64()));
        }
        _ => {}
    }
    if !entries.is_empty() || name == "defaultdict" {
        show.entries(entries.into_iter());
    }
    show.out.push(')');
    Some(())
}
