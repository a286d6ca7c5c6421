//! `fourfold key`, `fourfold serve` and `fourfold queue`, end to end.

mod three_terminals;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A folder with a key, and a server if one was started.
struct World {
    folder: tempfile::TempDir,
    server: Option<(Child, String)>,
}

fn fourfold(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourfold"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl World {
    fn new() -> World {
        let world = World { folder: tempfile::tempdir().expect("a folder"), server: None };
        let output = fourfold(&["key", "new", &world.key()]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> String {
        self.path("key").to_str().expect("text").to_owned()
    }

    /// With a server, at its first line's address.
    fn serving(args: &[&str]) -> World {
        let mut world = World::new();
        let mut command = fourfold(&["serve", "--python", "0", "--key-file", &world.key()]);
        let mut child = command.args(args).spawn().expect("it runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        world.server = Some((child, line.trim().to_owned()));
        world
    }

    fn at(&self) -> &str {
        &self.server.as_ref().expect("a server").1
    }

    fn queue(&self, verb: &str, args: &[&str], input: &str) -> Output {
        let mut command = fourfold(&["queue", verb, "--at", self.at(), "--key-file", &self.key()]);
        let mut child = command.args(args).stdin(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        // What is not read is not wanted.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    /// Its output, if it ended with this status.
    fn told(&self, status: i32, verb: &str, args: &[&str]) -> String {
        let output = self.queue(verb, args, "");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        String::from_utf8(if status == 0 { output.stdout } else { output.stderr }).expect("text")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.server {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_key_is_for_its_owner_alone_and_never_written_over() {
    let world = World::new();
    let metadata = std::fs::metadata(world.key()).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(world.key()).expect("text");
    assert!(text.len() == 65 && text.trim().bytes().all(|byte| byte.is_ascii_hexdigit()));
    let again = fourfold(&["key", "new", &world.key()]).output().expect("it runs");
    assert_eq!(again.status.code(), Some(255));
    std::fs::set_permissions(world.key(), PermissionsExt::from_mode(0o640)).expect("our file");
    let serve = fourfold(&["serve", "--python", "0", "--key-file", &world.key()]).output();
    let serve = serve.expect("it runs");
    assert_eq!(serve.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&serve.stderr).contains("chmod 600"), "{serve:?}");
}

#[test]
fn items_go_in_and_come_out() {
    let world =
        World::serving(&["--queue", "tasks", "--queue", "small=1", "--lifo-queue", "stack"]);
    world.told(0, "put", &["tasks", "one", "two words"]);
    assert_eq!(world.told(0, "len", &["tasks"]), "2\n");
    let output = world.queue("put", &["tasks"], "from a line\nand another\n");
    assert!(output.status.success(), "{output:?}");
    world.told(0, "put", &["tasks", "--json", r#"{"a": [1, null]}"#, "\"text\""]);
    let expected = "one\ntwo words\nfrom a line\nand another\n{\"a\":[1,null]}\ntext\n";
    assert_eq!(world.told(0, "get", &["tasks", "-n", "6"]), expected);
    world.told(0, "join", &["tasks"]);
    assert!(world.told(1, "get", &["tasks", "--timeout", "0.05"]).contains("empty"));
    world.told(0, "put", &["small", "x"]);
    assert!(world.told(1, "put", &["small", "y", "--timeout", "0"]).contains("full"));
    world.told(0, "put", &["stack", "a", "b"]);
    assert_eq!(world.told(0, "get", &["stack", "--json"]), "\"b\"\n");
}

#[test]
fn a_name_that_is_no_queue_is_told_with_those_that_are() {
    let world = World::serving(&["--queue", "tasks", "--queue", "small=1", "--lock", "door"]);
    let at = world.at();
    let expected = format!(
        "fourfold: no queue \"nothing\" is served at {at}; name one of those that there are: door, small, tasks\n"
    );
    for verb in ["len", "get", "put", "join"] {
        assert_eq!(world.told(255, verb, &["nothing"]), expected);
    }
    let expected = format!("fourfold: what {at} serves as door is no queue\n");
    assert_eq!(world.told(255, "get", &["door"]), expected);
    for own in ["Queue", "LifoQueue", "PriorityQueue", "JoinableQueue"] {
        assert!(world.told(255, "put", &[own, "x"]).contains("of its own"));
    }
    let wrong = world.told(255, "put", &["tasks", "--json", "1", "{"]);
    assert!(wrong.starts_with("fourfold: the item \"{\" is no JSON: "), "{wrong}");
    assert_eq!(world.told(0, "len", &["tasks"]), "1\n");
}

#[test]
fn nobody_at_an_address_is_told_without_ado() {
    let world = World::new();
    let path = world.path("nobody.sock");
    let at = path.to_str().expect("text");
    let output = fourfold(&["queue", "len", "--at", at, "--key-file", &world.key(), "tasks"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.starts_with(&format!("fourfold: nobody serves at {at}; start the server")),
        "{told}"
    );
}

#[test]
fn a_get_waits_for_a_put() {
    let world = World::serving(&["--queue", "tasks"]);
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| world.told(0, "get", &["tasks", "--timeout", "60"]));
        world.told(0, "put", &["tasks", "late"]);
        assert_eq!(getter.join().expect("no panic"), "late\n");
    });
}

#[test]
fn another_key_is_refused() {
    let (world, other) = (World::serving(&["--queue", "tasks"]), World::new());
    let output =
        fourfold(&["queue", "len", "--at", world.at(), "--key-file", &other.key(), "tasks"])
            .output()
            .expect("it runs");
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("key"), "{output:?}");
}

#[test]
fn a_signal_ends_it_and_a_socket_s_path_is_removed() {
    let mut world = World::new();
    let path = world.path("queue.sock");
    let address = path.to_str().expect("text").to_owned();
    let mut command = fourfold(&["serve", "--python", &address, "--key-file", &world.key()]);
    let mut child = command.arg("--queue").arg("tasks").spawn().expect("it runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    assert_eq!(line.trim(), address);
    world.server = Some((child, address));
    world.told(0, "put", &["tasks", "x"]);
    let (child, _) = world.server.as_mut().expect("a server");
    kill_process(Pid::from_child(child), Signal::TERM).expect("our child");
    assert_eq!(child.wait().expect("our child").code(), Some(143));
    assert!(!path.exists());
}

#[test]
fn beyond_this_machine_it_takes_a_word() {
    let world = World::new();
    let serve = fourfold(&["serve", "--python", "0.0.0.0:0", "--key-file", &world.key()]);
    let output = { serve }.output().expect("it runs");
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("plaintext"), "{output:?}");
}

#[test]
fn what_is_taken_is_done_unless_it_is_to_go_back() {
    for when in ["until-next", "until-done"] {
        let hand_back = format!("tasks={when}");
        let world = World::serving(&["--queue", "tasks", "--hand-back", &hand_back]);
        world.told(0, "put", &["tasks", "a", "b"]);
        assert_eq!(world.told(0, "get", &["tasks", "--no-done"]), "a\n");
        assert_eq!(world.told(0, "get", &["tasks"]), "a\n");
        assert_eq!(world.told(0, "get", &["tasks"]), "b\n");
        assert_eq!(world.told(0, "len", &["tasks"]), "0\n");
        world.told(0, "join", &["tasks"]);
    }
}

#[test]
fn what_cannot_be_meant_is_an_error_that_says_so() {
    let world = World::new();
    let key = world.key();
    let refused = |args: &[&str], says: &str| {
        let mut serve = fourfold(&["serve", "--python", "0", "--key-file", &key]);
        let output = serve.args(args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(255), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{output:?}");
    };
    refused(&["--queue", "a", "--queue", "a=3"], "a is the name of two");
    refused(&["--queue", "a", "--lock", "a"], "a is the name of two");
    refused(&["--queue", "a", "--hand-back", "b"], "no queue has this name");
    refused(&["--queue", "a", "--hand-back", "a=never"], "until-next or until-done");

    let world = World::serving(&["--queue", "tasks"]);
    assert!(world.told(255, "put", &["Queue", "x"]).contains("name one that is served"));
    assert!(world.told(255, "get", &["tasks", "--timeout", "-1"]).contains("negative"));
    let mut put = fourfold(&["queue", "put", "--at", world.at(), "--key-file", &world.key()]);
    let mut child = put.arg("tasks").stdin(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(b"good\n\xff\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(says.contains("line 2") && says.contains("items put before it: 1"), "{says}");
    assert_eq!(world.told(0, "len", &["tasks"]), "1\n");
}
