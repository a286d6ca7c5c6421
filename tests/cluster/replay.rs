//! The captured conversations of stock clients, against our server: it answers as their stock server did.

use std::collections::HashMap;
use std::path::Path;

use fourfold::cluster::manager::{QueueOptions, Server, Value};
use fourfold_wire::pickle::Reader;
use fourfold_wire::talk::{Reply, Request};

use crate::key;
use crate::raw::Raw;

/// A captured frame.
struct Frame {
    connection: String,
    from_client: bool,
    bytes: Vec<u8>,
}

fn captured(family: &str) -> Vec<Frame> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("crates/fourfold-wire/tests/captures/transcripts/{family}.jsonl"));
    let text = std::fs::read_to_string(path).expect("a transcript");
    let digits = |hex: &str, at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            let field = |name: &str| line[name].as_str().expect("a text").to_owned();
            let hex = field("hex");
            Frame {
                connection: field("conn"),
                from_client: field("dir") == "C->S",
                bytes: (0..hex.len()).step_by(2).map(|at| digits(&hex, at)).collect(),
            }
        })
        .collect()
}

/// What the captured server served.
fn server() -> Server {
    Server::builder(key())
        .queue("get_task_queue")
        .queue_with("get_result_queue", QueueOptions::default().capacity(2))
        .dict("get_dict")
        .list("get_list")
        .namespace("get_ns")
        .value("get_val", 0)
        .lock("get_lock")
        .event("get_event")
        .bind("127.0.0.1:0")
        .expect("a server")
}

/// The captured names of objects, and ours, which are as long.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn note(&mut self, theirs: &str, ours: &str) {
        assert_eq!(theirs.len(), ours.len(), "{theirs} and {ours}");
        self.0.insert(theirs.to_owned(), ours.to_owned());
    }

    /// The bytes with our names in the places of the captured ones.
    fn translate(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for (theirs, ours) in &self.0 {
            let mut at = 0;
            while let Some(found) =
                bytes[at..].windows(theirs.len()).position(|part| part == theirs.as_bytes())
            {
                at += found;
                bytes[at..at + ours.len()].copy_from_slice(ours.as_bytes());
            }
        }
        bytes
    }
}

/// How a value is shown; the call that makes a list of a dict's view is as good as the list.
fn shown(value: &Value) -> String {
    let root = value.root();
    let is_list = root.class().is_some_and(|class| class.python3() == ("builtins", "list"));
    match root.made_with().and_then(|mut args| args.next()) {
        Some(list) if is_list => list.to_string(),
        _ => value.to_string(),
    }
}

fn texts(value: &Value, index: usize) -> Vec<String> {
    let items = value.root().item(index).and_then(|item| item.items()).expect("names");
    items.map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// Our answer is that of the captured server, as far as a client can tell.
fn compare(request: &Request, ours: Reply, theirs: Reply, names: &mut Names, of: &str) {
    let told = format!("{of}: {:?}.{}", request.target, request.function);
    match (ours, theirs) {
        (Reply::Return(ours), Reply::Return(theirs)) if request.function == "create" => {
            let id = |value: &Value| {
                value.root().item(0).and_then(|id| id.as_str()).expect("a name").to_owned()
            };
            names.note(&id(&theirs), &id(&ours));
            let exposed = texts(&ours, 1);
            assert!(texts(&theirs, 1).iter().all(|name| exposed.contains(name)), "{told}");
        }
        (Reply::Return(ours), Reply::Return(theirs)) if request.function == "debug_info" => {
            let count = |value: &Value| value.to_string().matches("refcount=").count();
            assert_eq!(count(&ours), count(&theirs), "{told}");
        }
        (Reply::Return(ours), Reply::Return(theirs)) => {
            assert_eq!(shown(&ours), shown(&theirs), "{told}");
        }
        (Reply::Error(ours), Reply::Error(theirs)) => {
            // Python 3 has the error of locks under its old name too.
            let is_alias = ours.is("_thread", "error") && theirs.is("builtins", "RuntimeError");
            assert!(is_alias || ours.name() == theirs.name(), "{told}: {ours} for {theirs}");
            assert_eq!(ours.message(), theirs.message(), "{told}");
        }
        (Reply::Proxy { token: ours, .. }, Reply::Proxy { token: theirs, .. }) => {
            assert_eq!(ours.typeid, theirs.typeid, "{told}");
            names.note(&theirs.id, &ours.id);
        }
        (ours, theirs) => panic!("{told}: {ours:?} in place of {theirs:?}"),
    }
}

#[test]
fn our_server_answers_captured_clients_as_theirs_did() {
    for family in ["py27", "py36", "py313"] {
        let (frames, server) = (captured(family), server());
        let mut names = Names::default();
        let mut open: HashMap<&str, Raw> = HashMap::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut compared = 0;
        for (at, frame) in frames.iter().enumerate() {
            let count = seen.entry(&frame.connection).or_default();
            *count += 1;
            // The handshake has random numbers; each connection makes its own.
            if *count <= 6 || !frame.from_client {
                continue;
            }
            let answer = frames[at + 1..].iter().find(|next| next.connection == frame.connection);
            let Some(answer) = answer.filter(|next| !next.from_client) else { continue };
            let theirs = Reply::read(&Reader::new(), &answer.bytes).expect("a reply");
            // What the captured server could not even read, its classes being elsewhere.
            if matches!(theirs, Reply::Traceback(_)) {
                continue;
            }
            let request = Request::read(&Reader::new(), &frame.bytes).expect("a request");
            let raw = open.entry(&frame.connection).or_insert_with(|| Raw::trusted(&server));
            raw.send_frame(&names.translate(&frame.bytes));
            let ours = raw.reply().expect("an answer");
            compare(&request, ours, theirs, &mut names, family);
            compared += 1;
        }
        assert!(compared > 100, "{family}: {compared}");
    }
}
