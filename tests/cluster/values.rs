//! Values that take long or much memory if they are taken apart without care. The server goes on, in bounded memory.

use std::time::{Duration, Instant};

use fourfold::cluster::manager::{Client, Proxy, Value};
use fourfold_wire::pickle::{Builder, Node, NodeId};

use crate::{client, server};

/// A row of as many references to one value.
fn shared(value: Value, times: usize, row: fn(Vec<NodeId>) -> Node) -> Value {
    let mut builder = Builder::new();
    let one = builder.value(value);
    let root = builder.push(row(vec![one; times]));
    builder.finish(root)
}

fn created(client: &Client, kind: &str, args: &[Value]) -> Proxy {
    client.proxy(kind, args).expect("it is made")
}

fn numbers(count: i64) -> Value {
    Value::list((0..count).map(Value::from))
}

fn len(proxy: &Proxy) -> Option<i64> {
    proxy.call("__len__", &[], &[]).expect("an answer").root().as_i64()
}

/// Time that goes with the square of the number would be minutes.
#[test]
fn long_rows_are_taken_apart_in_linear_time() {
    const COUNT: i64 = 200_000;
    let server = server();
    let client = client(&server);
    let start = Instant::now();
    let list = created(&client, "list", &[numbers(COUNT)]);
    list.call("extend", &[numbers(COUNT)], &[]).expect("room");
    assert_eq!(len(&list), Some(2 * COUNT));
    let pairs = (0..COUNT).map(|n| Value::tuple([Value::from(n), Value::from(-n)]));
    let dict = created(&client, "dict", &[]);
    dict.call("update", &[Value::list(pairs)], &[]).expect("room");
    let entries = Value::dict((0..COUNT).map(|n| (Value::from(-n), Value::from(n))));
    dict.call("update", &[entries], &[]).expect("room");
    assert_eq!(len(&dict), Some(2 * COUNT - 1));
    let array = created(&client, "Array", &["q".into(), numbers(COUNT)]);
    assert_eq!(len(&array), Some(COUNT));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

fn is_memory_error(answer: Result<Value, fourfold::cluster::manager::CallError>) -> bool {
    answer.is_err_and(|error| error.to_string().contains("MemoryError"))
}

#[test]
fn what_would_expand_beyond_all_memory_is_refused_or_stays_shared() {
    let server = server();
    let client = client(&server);
    let megabyte = || Value::from("x".repeat(1 << 20));
    let start = Instant::now();

    // Twenty gigabytes, if each were a copy.
    let list = created(&client, "list", &[Value::list([megabyte()])]);
    let long = list.call("__mul__", &[20_000.into()], &[]).expect("an answer");
    assert_eq!(long.root().items().map(|items| items.len()), Some(20_000));
    let list = created(&client, "list", &[]);
    list.call("extend", &[shared(numbers(2000), 100_000, Node::List)], &[]).expect("room");
    assert_eq!(len(&list), Some(100_000));

    // Each is a value of its own, and holds a copy of what they share.
    let mut builder = Builder::new();
    let big = builder.value(megabyte());
    let rows: Vec<NodeId> = (0..20_000).map(|_| builder.push(Node::List(vec![big]))).collect();
    let root = builder.push(Node::List(rows));
    let rows = builder.finish(root);
    assert!(is_memory_error(list.call("extend", std::slice::from_ref(&rows), &[])));
    assert_eq!(len(&list), Some(100_000));
    let dict = created(&client, "dict", &[]);
    let key = shared(megabyte(), 10_000, Node::Tuple);
    assert!(is_memory_error(dict.call("__setitem__", &[key, 1.into()], &[])));
    // Each key by itself is not too large, and all of them would take hours.
    let mut builder = Builder::new();
    let text = builder.value(Value::from("x".repeat(64 << 10)));
    let none = builder.push(Node::None);
    let pairs: Vec<NodeId> = (0..2000)
        .map(|n| {
            let mut key = vec![text; 900];
            key.push(builder.push(Node::Int(n)));
            let key = builder.push(Node::Tuple(key));
            builder.push(Node::Tuple(vec![key, none]))
        })
        .collect();
    let root = builder.push(Node::List(pairs));
    assert!(is_memory_error(dict.call("update", &[builder.finish(root)], &[])));
    assert_eq!(len(&dict), Some(0));
    assert!(is_memory_error(list.call("__mul__", &[Value::from(i64::MAX)], &[])));
    let far = Value::read(b"\x80\x04cbuiltins\nrange\n\x8a\x07\xff\xff\xff\xff\xff\xff\x7f\x85R.");
    assert!(is_memory_error(list.call("extend", &[far.expect("a range")], &[])));

    // Two texts that are equal and not the same are compared once.
    let list = created(&client, "list", &[Value::list([shared(megabyte(), 20_000, Node::List)])]);
    let same = shared(megabyte(), 20_000, Node::List);
    let count = list.call("count", &[same], &[]).expect("an answer");
    assert_eq!(count.root().as_i64(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn what_lies_too_deep_to_compare_is_an_error_and_not_another_value() {
    let server = server();
    let client = client(&server);
    let deep = || (0..1000).fold(Value::from(1), |inner, _| Value::list([inner]));
    let list = created(&client, "list", &[Value::list([deep()])]);
    for method in ["count", "index", "remove", "__contains__"] {
        let error = list.call(method, &[deep()], &[]).expect_err("it cannot be told");
        assert!(error.to_string().contains("compared"), "{error}");
    }
}

/// Each comparison by itself is short.
#[test]
fn what_one_call_compares_is_bounded_as_a_whole() {
    let server = server();
    let client = client(&server);
    let row = || Value::list((0..2000).map(|n| Value::from(format!("{n}"))));
    let list = created(&client, "list", &[shared(row(), 200_000, Node::List)]);
    let start = Instant::now();
    for method in ["count", "sort"] {
        let args = if method == "count" { vec![row()] } else { Vec::new() };
        let error = list.call(method, &args, &[]).expect_err("it is cut off");
        assert!(error.to_string().contains("compared"), "{method}: {error}");
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // What is first is found all the same, and the list is as it was.
    let first = list.call("index", &[row()], &[]).expect("an answer");
    assert_eq!(first.root().as_i64(), Some(0));
    let many = created(&client, "list", &[Value::list((0..200_000).rev().map(Value::from))]);
    many.call("sort", &[], &[]).expect("numbers are few steps each");
    assert_eq!(many.call("__getitem__", &[0.into()], &[]).expect("one").root().as_i64(), Some(0));
}

#[test]
fn what_is_false_to_python_does_not_block() {
    let server = server();
    let client = client(&server);
    let lock = created(&client, "Lock", &[]);
    lock.call("acquire", &[], &[]).expect("it is free");
    let read = |pickle: &[u8]| Value::read(pickle).expect("a pickle");
    let zero = read(b"cdecimal\nDecimal\n(V0.00\ntR.");
    let empty = [Value::from(""), read(b"\x80\x04C\0."), read(b"}."), read(b"N."), zero];
    for block in empty.into_iter().chain([Value::from(0), Value::from(false)]) {
        let shown = format!("{block:?}");
        let limit = Duration::from_secs(30);
        let taken = lock.call_timeout("acquire", &[block], &[], limit);
        let taken = taken.unwrap_or_else(|error| panic!("it waits for {shown}: {error}"));
        assert_eq!(taken.root().as_bool(), Some(false), "{shown}");
    }
}
