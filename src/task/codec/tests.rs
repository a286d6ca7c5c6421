//! What is read is what was written: the types that formats are known to lose something of.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::num::{NonZeroI8, NonZeroU64, Wrapping};
use std::ops::Bound;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

#[track_caller]
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static>(value: T) {
    let bytes = encode(&value, "value").unwrap();
    assert_eq!(on_the_stack(&value), bytes);
    let back: T = decode(&bytes, "value").unwrap();
    assert_eq!(back, value);
    // No cut of it is taken for the whole, and nothing in it makes the reader ask for memory that it has no bytes for.
    for end in (0..bytes.len()).take(200) {
        assert!(decode::<T>(&bytes[..end], "value").is_err(), "{end} of {} bytes", bytes.len());
    }
}

fn on_the_stack<T: Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut out = Short::new();
    encode_into(&mut out, value, "value").unwrap();
    out.bytes().to_vec()
}

#[test]
fn bytes_and_texts_of_all_lengths() {
    for length in (0..300).chain([1000, 70_000]) {
        same(vec![200u8; length]);
        same((7u8, vec![200u8; length / 2], length));
        same("x".repeat(length));
    }
}

#[test]
fn numbers() {
    for shift in 0..64 {
        for delta in [-1i64, 0, 1] {
            let number = (1u64 << shift).wrapping_add_signed(delta);
            same(number);
            same(number as i64);
            same((number as i64).wrapping_neg());
            same(number as u32);
            same(number as i32);
            same(number as u16);
            same(number as i16);
            same(number as u8);
            same(number as i8);
            same(u128::from(number) << 64);
            same(i128::from(number) << 63);
            same(-(i128::from(number) << 63));
        }
    }
    same((u128::MAX, i128::MIN, i128::MAX, u64::MAX, i64::MIN, usize::MAX, isize::MIN));
    same((0.1f32, -0.0f64, f64::INFINITY, f64::MIN_POSITIVE, f32::MAX));
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let back: f64 = decode(&encode(&nan, "value").unwrap(), "value").unwrap();
    assert_eq!(back.to_bits(), nan.to_bits());
}

#[test]
fn options_in_options_and_units() {
    same(None::<Option<Option<u8>>>);
    same(Some(None::<Option<u8>>));
    same(Some(Some(None::<u8>)));
    same(Some(Some(Some(7u8))));
    same(Some(()));
    same(None::<()>);
    same(());
    same(vec![Some(Value::Null), None]);
    same(vec![(), (), ()]);
    same([Some(None), None, Some(Some(Empty))]);
}

#[test]
fn types_of_std() {
    same((true, 'ß', '\0', String::new(), "x".repeat(63), "y".repeat(64), "z".repeat(1 << 17)));
    same((vec![0u8, 127, 128, 255], Vec::<u64>::new(), vec![vec![String::from("a")]; 17]));
    same(([0u8; 0], [1u8; 15], [2u16; 16], [3i8; 32]));
    same((VecDeque::from([1, 2]), LinkedList::from([3]), BTreeSet::from([4]), HashSet::from([5])));
    same(BTreeMap::from([((1u8, 'a'), vec![1.5]), ((2, 'b'), vec![])]));
    same(HashMap::from([(i64::MIN, Some(Box::new(1u8))), (0, None)]));
    same(BTreeMap::from([(None, 1), (Some(true), 2)]));
    same((Ok::<u8, String>(1), Err::<u8, String>("no".into())));
    same((Duration::MAX, SystemTime::UNIX_EPOCH + Duration::new(1, 999_999_999)));
    same((0..5u8, 1..=6i64, ..3u8, Bound::Excluded(3u8), Bound::<u8>::Unbounded));
    same((Wrapping(5u8), NonZeroI8::MIN, NonZeroU64::MAX, std::cmp::Reverse(9)));
    same((PathBuf::from("/a b/ü"), OsString::from("ä"), CString::new("c").unwrap()));
    let v4 = Ipv4Addr::LOCALHOST;
    let v6: Ipv6Addr = "fe80::1".parse().unwrap();
    same((v4, v6, IpAddr::V6(v6), SocketAddr::from((v4, 80)), SocketAddrV6::new(v6, 1, 0, 5)));
    same((std::cell::Cell::new(1u8), std::cell::RefCell::new(vec![2])));
    let heap = BinaryHeap::from([3, 1, 2]);
    let back: BinaryHeap<i32> = decode(&encode(&heap, "value").unwrap(), "value").unwrap();
    assert_eq!(back.into_sorted_vec(), heap.into_sorted_vec());
    same(((1, 2, 3, 4, 5, 6, 7, 8), (1u8,), ((), ((), ()))));
    same((std::marker::PhantomData::<u8>, Box::<str>::from("b"), Box::<[u8]>::from([1, 200])));
}

#[test]
fn values_of_json() {
    same(json!(null));
    same(json!({"a": [1, -1, 1.0, 1e300, true, null, "t", {}, []], "": {"b": {"c": [[[]]]}}}));
    same(json!([u64::MAX, i64::MIN, 0, 127, 128, -128, -129, 0.1]));
    same(Some(json!(null)));
    // 1.0 stays a float, and 1 an integer.
    let back: Value = decode(&encode(&json!([1.0, 1]), "value").unwrap(), "value").unwrap();
    assert!(back[0].is_f64() && back[1].is_u64());
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Empty;

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Inner {
    number: Option<u32>,
    nested: Option<Option<bool>>,
    address: IpAddr,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Plain {
    Unit,
    Newtype(Option<Inner>),
    Nothing(()),
    Tuple(u8, String),
    Struct {
        a: i8,
        b: Vec<Plain>,
    },
    #[serde(rename = "ünnamed", alias = "other")]
    Renamed(Box<Plain>),
    #[serde(skip)]
    #[allow(dead_code)]
    Skipped,
    Last,
}

fn inner() -> Inner {
    Inner { number: Some(3), nested: Some(None), address: Ipv6Addr::LOCALHOST.into() }
}

fn plains() -> Vec<Plain> {
    vec![
        Plain::Unit,
        Plain::Newtype(None),
        Plain::Newtype(Some(inner())),
        Plain::Nothing(()),
        Plain::Tuple(200, "t".into()),
        Plain::Struct { a: -1, b: vec![Plain::Unit, Plain::Struct { a: 1, b: vec![] }] },
        Plain::Renamed(Box::new(Plain::Renamed(Box::new(Plain::Last)))),
        Plain::Last,
    ]
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(untagged)]
enum Untagged {
    Nothing,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Address { address: SocketAddr },
    Deep(Vec<Untagged>),
    Plain(Plain),
    Keys(BTreeMap<u8, String>),
    Option { option: Option<Option<u8>> },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind")]
enum Internal {
    Unit,
    Newtype(Inner),
    Struct { plain: Plain, value: Value },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
#[serde(tag = "kind", content = "content")]
enum Adjacent {
    Unit,
    Newtype(Option<Inner>),
    Tuple(u8, Vec<u8>),
    Struct { plain: Plain },
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Flattened {
    before: u8,
    #[serde(flatten)]
    inner: Inner,
    #[serde(flatten)]
    maybe: Option<Maybe>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct FlattenedEnums {
    #[serde(flatten)]
    internal: Internal,
    #[serde(flatten)]
    untagged: Untagged,
    #[serde(flatten)]
    plain: Plain,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Maybe {
    maybe: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Default)]
#[serde(default)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u8>,
    #[serde(skip)]
    never: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    second: Vec<u8>,
    third: bool,
}

#[test]
fn enums_of_every_representation() {
    same(plains());
    same(Untagged::Nothing);
    same(vec![
        Untagged::Flag(true),
        Untagged::Integer(-5),
        Untagged::Integer(5),
        Untagged::Float(5.0),
        Untagged::Text("t".into()),
        Untagged::Address { address: "[::1]:80".parse().unwrap() },
        Untagged::Deep(vec![Untagged::Nothing, Untagged::Deep(vec![])]),
        Untagged::Option { option: Some(None) },
        Untagged::Keys(BTreeMap::from([(9, "nine".into())])),
    ]);
    // A variant without content looks like a text to who reads without knowing the type, as in every format.
    same(
        plains()
            .into_iter()
            .filter(|p| !matches!(p, Plain::Unit | Plain::Last))
            .map(Untagged::Plain)
            .collect::<Vec<_>>(),
    );
    same(vec![
        Internal::Unit,
        Internal::Newtype(inner()),
        Internal::Struct { plain: Plain::Unit, value: json!({"kind": null}) },
    ]);
    for plain in plains() {
        same(Internal::Struct { plain: plain.clone(), value: json!([1]) });
        same(Adjacent::Struct { plain });
    }
    same(vec![
        Adjacent::Unit,
        Adjacent::Newtype(None),
        Adjacent::Newtype(Some(inner())),
        Adjacent::Tuple(1, vec![200]),
    ]);
}

#[test]
fn flattened_and_skipped_fields() {
    let value = |maybe| Flattened {
        before: 255,
        inner: inner(),
        maybe,
        rest: BTreeMap::from([("x".into(), json!({"deep": [null]})), ("y".into(), json!(-7))]),
    };
    same(value(Some(Maybe { maybe: None })));
    same(value(Some(Maybe { maybe: Some("m".into()) })));
    same(FlattenedEnums {
        internal: Internal::Struct { plain: Plain::Tuple(1, "p".into()), value: json!(1.0) },
        untagged: Untagged::Address { address: "127.0.0.1:1".parse().unwrap() },
        plain: Plain::Struct { a: -128, b: plains() },
    });
    same(Skipping::default());
    same(Skipping { first: Some(1), second: vec![1, 2], third: true, never: 0 });
    same(vec![Skipping { first: None, second: vec![9; 100], third: false, never: 0 }; 20]);
}

/// A type that says wrong or no numbers of elements, as iterators that filter do.
struct Filtered(Vec<u32>, Option<usize>);

impl Serialize for Filtered {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(self.1)?;
        self.0.iter().try_for_each(|item| seq.serialize_element(item))?;
        seq.end()
    }
}

#[test]
fn a_wrong_number_of_elements_is_set_right() {
    for count in [0, 1, 15, 16, 300] {
        for said in [None, Some(0), Some(15), Some(16), Some(1000)] {
            let items: Vec<u32> = (0..count).collect();
            let value = (Filtered(items.clone(), said), 'x');
            let bytes = encode(&value, "value").unwrap();
            assert_eq!(on_the_stack(&value), bytes);
            let back: (Vec<u32>, char) = decode(&bytes, "value").unwrap();
            assert_eq!(back, (items, 'x'), "{count} elements, of which {said:?} were told");
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Raw(#[serde(with = "raw")] Vec<u8>);

mod raw {
    //! Bytes as bytes, as the crate serde_bytes writes them.
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Vec::deserialize(deserializer)
    }
}

#[test]
fn bytes_are_bytes_and_a_sequence_too() {
    same(Raw(vec![]));
    same(Raw((0..=255).collect()));
}

#[test]
fn values_nest_to_the_limit_and_no_deeper() {
    let nested = |depth| (0..depth).fold(json!(0), |value, _| json!([value]));
    same(nested(MAX_DEPTH));
    let error = encode(&nested(MAX_DEPTH + 1), "value").unwrap_err();
    assert!(error.to_string().contains("serde_json"), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "values are more than 256 deep in each other");
    let deep = vec![SEQ + 1; MAX_DEPTH + 1];
    assert!(decode::<Value>(&deep, "value").is_err());
}

#[test]
fn bytes_that_are_no_value_are_an_error() {
    for bytes in [
        &[0x1f][..],
        &[LONG_SEQ, 255, 255, 255, 255, 255, 255, 255, 255],
        &[LONG_TEXT, 255, 255, 255, 255, 255, 255, 255, 127],
        &[TEXT + 1, 0xff],
        &[CHAR, 0, 0xd8, 0, 0],
        &[UNIT, UNIT],
        &[VARIANT, SMALL, UNIT],
        &[NAME, UNIT],
        &[],
    ] {
        assert!(decode::<Value>(bytes, "value").is_err(), "{bytes:?}");
        assert!(decode::<Plain>(bytes, "value").is_err(), "{bytes:?}");
        assert!(decode::<Vec<u64>>(bytes, "value").is_err(), "{bytes:?}");
    }
}

#[test]
fn every_byte_changed_is_a_value_or_an_error() {
    let value =
        (plains(), json!({"a": [1, 2.5, "text", null]}), Some(Adjacent::Newtype(Some(inner()))));
    let good = encode(&value, "value").unwrap();
    for place in 0..good.len() {
        for flip in [0x01, 0x10, 0x20, 0x40, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[place] ^= flip;
            let _ = decode::<(Vec<Plain>, Value, Option<Adjacent>)>(&bytes, "value");
        }
    }
}

#[test]
fn a_tuple_of_the_wrong_length_is_an_error() {
    let three = encode(&(1, 2, 3), "value").unwrap();
    assert!(decode::<(u8, u8)>(&three, "value").is_err());
    assert!(decode::<(u8, u8, u8, u8)>(&three, "value").is_err());
    assert!(decode::<[u8; 3]>(&three, "value").is_ok());
}
