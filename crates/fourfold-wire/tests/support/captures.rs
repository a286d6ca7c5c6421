//! The messages and conversations captured between stock interpreters.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fourfold_wire::Dialect;

/// One captured pickle.
pub struct Message {
    pub name: String,
    /// The interpreter it is from, as in `2.7`.
    pub version: &'static str,
    pub dialect: Dialect,
    pub from_client: bool,
    pub bytes: Vec<u8>,
}

/// One captured frame.
pub struct Frame {
    pub from_client: bool,
    pub bytes: Vec<u8>,
}

const FAMILIES: [(&str, &str, Dialect); 3] = [
    ("py27", "2.7", Dialect::Python2),
    ("py36", "3.6", Dialect::Python3),
    ("py313", "3.13", Dialect::Python3),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name)
}

/// All 406 captured pickles.
pub fn messages() -> Vec<Message> {
    let mut messages = Vec::new();
    for (family, version, dialect) in FAMILIES {
        let folder = folder("messages").join(family);
        for entry in fs::read_dir(&folder).expect("the captures are there") {
            let path = entry.expect("a file").path();
            let name = format!("{family}/{}", path.file_name().expect("a name").to_string_lossy());
            let from_client = name.contains("C_to_S");
            let bytes = fs::read(&path).expect("a capture");
            messages.push(Message { name, version, dialect, from_client, bytes });
        }
    }
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(messages.len(), 406);
    messages
}

/// The captured conversations of each family: connections by name, each with its frames in order.
pub fn conversations() -> Vec<(&'static str, BTreeMap<String, Vec<Frame>>)> {
    FAMILIES
        .into_iter()
        .map(|(family, ..)| {
            let path = folder("transcripts").join(format!("{family}.jsonl"));
            let text = fs::read_to_string(path).expect("a transcript");
            let mut connections: BTreeMap<String, Vec<Frame>> = BTreeMap::new();
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
                let field = |name: &str| line[name].as_str().expect("a text").to_owned();
                connections.entry(field("conn")).or_default().push(Frame {
                    from_client: field("dir") == "C->S",
                    bytes: super::unhex(&field("hex")),
                });
            }
            (family, connections)
        })
        .collect()
}
