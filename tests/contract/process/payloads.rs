//! Values of every kind, there and back: row E9. What the codec makes of each type is tested beside it.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use fourfold::process::{self, Executor};
use fourfold::task::Payload;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{LIMIT, within};

/// The value as it is seen from the other side, and the value itself.
fn look<T: Payload + Debug>(value: T) -> (String, T) {
    (format!("{value:?}"), value)
}

/// Sends it to a child of its own and to a worker.
#[track_caller]
fn same<T: Payload + Debug + Clone + PartialEq>(pool: &Executor, value: T) {
    let child = process::spawn(look::<T>, value.clone()).unwrap();
    let task = pool.submit(look::<T>, value.clone());
    for (seen, back) in [child.join().unwrap(), task.join().unwrap()] {
        assert_eq!(seen, format!("{value:?}"));
        assert_eq!(back, value);
    }
}

fn pool() -> Executor {
    Executor::builder().workers(1).build().unwrap()
}

#[test]
fn types_of_std() {
    within(LIMIT, || {
        let pool = &pool();
        same(pool, (u8::MAX, i8::MIN, u16::MAX, i64::MIN, u128::MAX, i128::MIN, usize::MAX));
        same(pool, (true, 'ß', "text".to_owned(), (), (1.5f32, -0.0f64, f64::INFINITY)));
        same(pool, (None::<Option<u8>>, Some(None::<u8>), Some(Some(1u8)), Some(())));
        same(pool, (Ok::<u8, String>(1), Err::<u8, String>("no".into())));
        same(pool, ([1u8; 16], vec![vec!["a".to_owned()]], Box::new(3u8), Box::<str>::from("b")));
        same(pool, (VecDeque::from([1, 2]), LinkedList::from([3]), BTreeSet::from(['x'])));
        same(pool, (HashSet::from([5]), HashMap::from([(6, "six".to_owned())])));
        same(pool, BTreeMap::from([((1u8, None), 'a'), ((1, Some(false)), 'b')]));
        same(pool, (Duration::MAX, SystemTime::UNIX_EPOCH + Duration::new(1, 999_999_999)));
        same(pool, (0..5u8, 1..=6i64, NonZeroU64::new(7), std::num::Wrapping(8u8)));
        same(pool, (IpAddr::from(Ipv6Addr::LOCALHOST), "[::1]:80".parse::<SocketAddr>().unwrap()));
        same(pool, (PathBuf::from("/tmp/ß"), OsString::from("os"), CString::new("c").unwrap()));
        let heap = pool.submit(|heap: BinaryHeap<u8>| heap, BinaryHeap::from([2, 9, 4]));
        assert_eq!(heap.join().unwrap().into_sorted_vec(), [2, 4, 9]);
    });
}

#[test]
fn json_values() {
    within(LIMIT, || {
        let pool = &pool();
        same(pool, Value::Null);
        let numbers = json!([0, -1, 1.5, u64::MAX, i64::MIN, 1e300]);
        same(pool, json!({"a": [null, true, "text", {}], "b": {"c": [[]]}, "numbers": numbers}));
        same(pool, serde_json::Map::from_iter([("key".to_owned(), json!([1, "two"]))]));
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Unit,
    Number(i64),
    Text(String),
    Pair(u8, u8),
    Fields { a: Option<u8>, b: Vec<Untagged> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Inside {
    Empty,
    Point { x: i32, y: i32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "content")]
enum Beside {
    Empty,
    Number(u64),
    Pair(u8, String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Outside {
    Empty,
    One(Box<Outside>),
    Fields { deep: Option<Option<bool>> },
}

#[test]
fn enums_with_and_without_a_tag() {
    within(LIMIT, || {
        let pool = &pool();
        let inner = vec![Untagged::Unit, Untagged::Pair(3, 4)];
        let fields = Untagged::Fields { a: None, b: inner };
        same(pool, vec![Untagged::Number(-5), Untagged::Text("text".into()), fields]);
        same(pool, vec![Inside::Empty, Inside::Point { x: -1, y: i32::MAX }]);
        same(pool, vec![Beside::Empty, Beside::Number(u64::MAX), Beside::Pair(1, "b".into())]);
        let deep = Outside::Fields { deep: Some(None) };
        same(pool, vec![Outside::Empty, Outside::One(Box::new(deep))]);
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    point: Inside,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    #[serde(flatten)]
    skipping: Skipping,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
    b: u8,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    c: Vec<u8>,
    #[serde(rename = "renamed", default)]
    d: u8,
}

#[test]
fn flattened_and_skipped_fields() {
    within(LIMIT, || {
        let pool = &pool();
        let rest = BTreeMap::from([("more".to_owned(), json!([1, null]))]);
        same(pool, Rest { skipping: Skipping::default(), rest });
        same(pool, Flat { name: "n".into(), point: Inside::Point { x: 1, y: 2 } });
        same(pool, Skipping::default());
        same(pool, vec![Skipping { a: Some(1), b: 2, c: vec![3], d: 4 }; 3]);

        #[derive(Debug, Default, Serialize, Deserialize)]
        struct Forgetful {
            kept: u8,
            #[serde(skip)]
            forgotten: u8,
        }
        let task = pool.submit(
            |it: Forgetful| (it.forgotten, Forgetful { kept: it.kept + 1, forgotten: 9 }),
            Forgetful { kept: 1, forgotten: 5 },
        );
        let (there, back) = task.join().unwrap();
        assert_eq!((there, back.kept, back.forgotten), (0, 2, 0));
    });
}

#[test]
fn a_hundred_megabytes_there_and_back() {
    /// Changes it, so that it is known to have been there.
    fn mark(mut text: String) -> String {
        text.push('!');
        text
    }
    within(LIMIT, || {
        // Of parts whose length is prime, so that no two pages are the same.
        let part: String = (0..)
            .flat_map(|n: u32| n.to_string().into_bytes())
            .take(99_991)
            .map(char::from)
            .collect();
        let text = part.repeat(1001);
        assert!(text.len() > 100_000_000);
        let expected = mark(text.clone());
        let pool = pool();
        assert!(pool.submit(mark, text.clone()).join().unwrap() == expected);
        assert!(process::spawn(mark, text).unwrap().join().unwrap() == expected);
    });
}
