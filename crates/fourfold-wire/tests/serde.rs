//! Rust values through pickles, in every dialect.

use std::collections::BTreeMap;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::{Error, Value, from_value, to_value};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(i64),
    Pair(u8, String),
    Named { x: Option<f64>, y: Vec<Kind> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Text(String),
    List(Vec<Loose>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    size: u64,
    big: i128,
    signed: i32,
    ratio: f64,
    flag: bool,
    letter: char,
    nothing: (),
    maybe: Option<String>,
    kinds: Vec<Kind>,
    pair: (u8, String),
    map: BTreeMap<String, i64>,
    numbered: BTreeMap<i64, bool>,
    loose: Loose,
    raw: Vec<u8>,
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Unit),
        any::<i64>().prop_map(Kind::New),
        (any::<u8>(), any::<String>()).prop_map(|(a, b)| Kind::Pair(a, b)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::option::of(-1e9f64..1e9), prop::collection::vec(inner, 0..3))
            .prop_map(|(x, y)| Kind::Named { x, y })
    })
}

prop_compose! {
    fn job()(
        name in any::<String>(), size in any::<u64>(), big in any::<i128>(), signed in any::<i32>(),
        ratio in -1e300f64..1e300, flag in any::<bool>(), letter in any::<char>(),
    )(
        maybe in prop::option::of(any::<String>()), kinds in prop::collection::vec(kind(), 0..4),
        pair in any::<(u8, String)>(), raw in any::<Vec<u8>>(), n in any::<i64>(),
        map in prop::collection::btree_map(any::<String>(), any::<i64>(), 0..4),
        numbered in prop::collection::btree_map(any::<i64>(), any::<bool>(), 0..4),
        name in Just(name), size in Just(size), big in Just(big), signed in Just(signed),
        ratio in Just(ratio), flag in Just(flag), letter in Just(letter),
    ) -> Job {
        let text = Loose::Text(name.clone());
        let loose = Loose::List(vec![Loose::Number(n), text, Loose::List(vec![])]);
        Job {
            name, size, big, signed, ratio, flag, letter, nothing: (), maybe, kinds, pair, map,
            numbered, loose, raw,
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_received(job in job()) {
        let value = to_value(&job).unwrap();
        prop_assert_eq!(&from_value::<Job>(&value).unwrap(), &job);
        for dialect in [Dialect::Common, Dialect::Python2, Dialect::Python3] {
            let bytes = value.write(dialect).unwrap();
            let back: Job = from_value(&Value::read(&bytes).unwrap()).unwrap();
            prop_assert_eq!(&back, &job);
        }
    }
}

#[test]
fn json_of_any_shape_passes() {
    let json: serde_json::Value = serde_json::from_str(
        r#"{"a": [1, -2, 2.5, null, true, "x", {"b": {}}], "18": 18446744073709551615}"#,
    )
    .unwrap();
    let value = to_value(&json).unwrap();
    let bytes = value.write(Dialect::Python3).unwrap();
    assert_eq!(from_value::<serde_json::Value>(&Value::read(&bytes).unwrap()).unwrap(), json);
}

#[test]
fn what_does_not_fit_is_told() {
    let wrong = |value: Value| from_value::<(u8, String)>(&value).unwrap_err().to_string();
    assert!(wrong(Value::from(1)).contains("expected a sequence, found int"));
    assert!(wrong(Value::tuple([Value::from(1)])).contains("invalid length 1"));
    let three = [Value::from(1), Value::from("x"), Value::none()];
    assert!(wrong(Value::tuple(three)).contains("1 more"));
    assert!(wrong(Value::tuple([Value::from(300), Value::from("x")])).contains("300"));
    assert!(from_value::<String>(&Value::from(vec![0xffu8])).is_err());
}

#[test]
fn an_object_is_its_attributes() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Foo {
        a: i64,
    }
    // An instance of __main__.Foo by CPython 2.7, protocol 2
    let bytes = b"\x80\x02c__main__\nFoo\nq\x01)\x81q\x02}q\x03U\x01aq\x04K\x01sb.";
    assert_eq!(from_value::<Foo>(&Value::read(bytes).unwrap()), Ok(Foo { a: 1 }));
}

#[test]
fn bombs_are_refused() {
    // A list that contains itself, and one that contains the one before twice, forty levels up.
    #[derive(Debug, Deserialize)]
    struct Nest(#[allow(dead_code, reason = "it is never there to be looked at")] Vec<Nest>);
    let cyclic = Value::read(b"\x80\x02]q\x00h\x00a.").unwrap();
    assert!(matches!(from_value::<Nest>(&cyclic), Err(Error::Limit { .. })));
    let mut bytes = b"\x80\x04]\x94".to_vec();
    for level in 0..40u8 {
        bytes.extend_from_slice(&[b']', b'(', b'h', level, b'h', level, b'e', 0x94]);
    }
    bytes.push(b'.');
    let bomb = Value::read(&bytes).unwrap();
    assert!(matches!(from_value::<Nest>(&bomb), Err(Error::Limit { .. })));
}
