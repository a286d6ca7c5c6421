//! What is read here and written again, Python loads as the same.

mod support;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::{Reader, Value};
use support::{Python, hex, messages, pythons, unhex};

/// A pickle of one of the objects of `objects.py`.
struct Dumped {
    name: String,
    label: String,
    /// Whether the same program text makes the object in either Python.
    cross: bool,
    bytes: Vec<u8>,
}

fn dump(python: &Python) -> Vec<Dumped> {
    let lines = python.run("dump", &[]);
    assert!(lines.len() > 150, "Python {} pickled {}", python.version, lines.len());
    lines
        .iter()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [name, protocol, pickler, cross, bytes] = fields[..] else { panic!("{line}") };
            Dumped {
                name: name.to_owned(),
                label: format!("{name}/{protocol}/{pickler}"),
                cross: cross == "cross",
                bytes: unhex(bytes),
            }
        })
        .collect()
}

fn read(python: &Python, label: &str, bytes: &[u8]) -> Value {
    let language = match python.is_python2() {
        true => fourfold_wire::Language::Python2,
        false => fourfold_wire::Language::Python3,
    };
    Reader::new()
        .written_by(language)
        .read(bytes)
        .unwrap_or_else(|error| panic!("Python {} {label}: {error}", python.version))
}

/// Runs lines through `objects.py` and lists what is not the same.
fn differences(python: &Python, verb: &str, lines: &[String]) -> Vec<String> {
    let answers = python.run(verb, lines);
    assert_eq!(answers.len(), lines.len());
    answers
        .into_iter()
        .filter(|answer| !answer.ends_with(" ok"))
        .map(|answer| format!("Python {}: {answer}", python.version))
        .collect()
}

fn assert_none(differences: &[String]) {
    // The first of thousands say enough.
    let shown = differences[..differences.len().min(40)].join("\n");
    assert!(differences.is_empty(), "{} differ\n{shown}", differences.len());
}

#[test]
fn captured_messages_load_as_the_same() {
    let mut wrong = Vec::new();
    for python in pythons() {
        let mut lines = Vec::new();
        for message in messages().iter().filter(|message| message.version == python.version) {
            let value = Value::read(&message.bytes).expect("a captured message");
            for dialect in [message.dialect, Dialect::Common] {
                let written = value.write(dialect).expect("can be said");
                let (before, after) = (hex(&message.bytes), hex(&written));
                lines.push(format!("{}/{dialect:?} {before} {after}", message.name));
            }
        }
        wrong.extend(differences(python, "compare", &lines));
    }
    assert_none(&wrong);
}

#[test]
fn hard_objects_load_as_the_same() {
    let mut wrong = Vec::new();
    for python in pythons() {
        let native = if python.is_python2() { Dialect::Python2 } else { Dialect::Python3 };
        let mut lines = Vec::new();
        for Dumped { label, bytes, .. } in dump(python) {
            let value = read(python, &label, &bytes);
            for dialect in [native, Dialect::Common] {
                match value.write(dialect) {
                    Ok(written) => {
                        let (before, after) = (hex(&bytes), hex(&written));
                        lines.push(format!("{label}/{dialect:?} {before} {after}"));
                    }
                    // Keyword arguments of __new__ came with protocol 4.
                    Err(error) if dialect == Dialect::Common && label.starts_with("keywords/") => {
                        assert!(error.to_string().contains("keyword"), "{error}");
                    }
                    Err(error) => panic!("Python {} {label} {dialect:?}: {error}", python.version),
                }
            }
        }
        let lines: Vec<String> =
            lines.into_iter().filter(|line| !is_os_error_to_all(line)).collect();
        wrong.extend(differences(python, "compare", &lines));
    }
    assert_none(&wrong);
}

/// What every Python reads has one name only for the exceptions that are all `OSError` to Python 2.
fn is_os_error_to_all(line: &str) -> bool {
    line.starts_with("os_errors/") && line.contains("/Common ")
}

/// Values go through a queue from any Python to any other.
#[test]
fn hard_objects_cross_between_versions() {
    let mut wrong = Vec::new();
    // Neighbours among the versions of Python 3 write the same: 2.7 and the ends matter.
    let python3 = || pythons().iter().filter(|python| !python.is_python2());
    let writers = pythons().iter().filter(|python| {
        python.is_python2() || [python3().next(), python3().next_back()].contains(&Some(*python))
    });
    let dumps: Vec<(&Python, Vec<Dumped>)> = writers.map(|python| (python, dump(python))).collect();
    for reader in pythons() {
        let native = if reader.is_python2() { Dialect::Python2 } else { Dialect::Python3 };
        let mut lines = Vec::new();
        for (writer, dumped) in &dumps {
            for case in dumped.iter().filter(|case| case.cross) {
                let value = read(writer, &case.label, &case.bytes);
                for dialect in [native, Dialect::Common] {
                    let written = value.write(dialect).unwrap_or_else(|error| {
                        panic!("Python {} {}: {error}", writer.version, case.label)
                    });
                    let label = format!("{}-from-{}/{dialect:?}", case.label, writer.version);
                    lines.push(format!("{label} {} {}", case.name, hex(&written)));
                }
            }
        }
        wrong.extend(differences(reader, "expect", &lines));
    }
    assert_none(&wrong);
}

/// A graph that is written for Python 3 and read again is the same graph.
#[test]
fn hard_objects_read_back_as_the_same_graph() {
    for python in pythons().iter().filter(|python| !python.is_python2()) {
        for Dumped { label, bytes, .. } in dump(python) {
            let value = read(python, &label, &bytes);
            let write = |value: &Value| {
                value.write(Dialect::Python3).unwrap_or_else(|error| panic!("{label}: {error}"))
            };
            let again = Value::read(&write(&value)).expect("what was written");
            let third = write(&again);
            assert_eq!(Value::read(&third).expect("what was written"), again, "{label}");
        }
    }
}
