//! Arguments and values of every kind: what comes back from another process is what went there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use fourfold::prelude::*;
use fourfold::task::Payload;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Point { x: f64, y: f64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

fn same<T: Payload + Clone + PartialEq>(what: &str, pool: &process::Executor, value: T) {
    let back = pool.submit(|value: T| value, value.clone()).join();
    println!("{what:<24} {}", if back.is_ok_and(|back| back == value) { "equal" } else { "lost" });
}

#[fourfold::main]
fn main() -> fourfold::Result<()> {
    let pool = process::Executor::builder().workers(1).build()?;
    same("numbers", &pool, (u128::MAX, i64::MIN, f64::INFINITY, 'ß'));
    same("options in options", &pool, [None, Some(None), Some(Some(1))]);
    same("maps with any key", &pool, BTreeMap::from([((1, 'a'), vec!["x".to_string()])]));
    same("times", &pool, (Duration::MAX, SystemTime::now()));
    same("JSON", &pool, json!({"list": [null, 1, -1.5, "text", {"deep": true}]}));
    let untagged =
        [Untagged::Number(1), Untagged::Text("1".into()), Untagged::Point { x: 0.5, y: 2.0 }];
    same("an untagged enum", &pool, untagged);
    let rest = BTreeMap::from([("more".to_string(), json!([1, 2]))]);
    same("flattened and skipped", &pool, Flat { name: "flat".into(), note: None, rest });
    same("100 MB", &pool, "0123456789".repeat(10_000_000));
    Ok(())
}
