//! Inputs, placeholders and how commands are run. Where GNU parallel 20221122 takes the same command line, the
//! expectations are what it printed.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::harness::*;

#[test]
fn several_sources_give_every_combination_the_last_fastest() {
    assert_eq!(
        run(["-k", "echo", ":::", "a", "b", ":::", "c", "d"]).printed(0),
        "a c\na d\nb c\nb d\n"
    );
}

#[test]
fn linked_sources_go_together() {
    let all = ["-k", "echo", ":::", "a", "b", "c", ":::+", "d", "e"];
    assert_eq!(run(all).printed(0), "a d\nb e\n");
    let all = ["-k", "echo", "{2}-{1}", ":::", "a", "b", ":::", "1", "2", ":::+", "x", "y"];
    assert_eq!(run(all).printed(0), "1-a\n2-a\n1-b\n2-b\n");
}

#[test]
fn files_are_sources() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    std::fs::write(path("f1"), "1\n2\n").unwrap();
    std::fs::write(path("f2"), "a\nb").unwrap();
    let (f1, f2) = (&*path("f1"), &*path("f2"));
    assert_eq!(run(["-k", "echo", "::::", f1, f2]).printed(0), "1 a\n1 b\n2 a\n2 b\n");
    assert_eq!(run(["-k", "-a", f1, "-a", f2, "echo"]).printed(0), "1 a\n1 b\n2 a\n2 b\n");
    assert_eq!(run(["-k", "echo", ":::", "x", "::::", f1]).printed(0), "x 1\nx 2\n");
    assert_eq!(run(["-k", "-a", f1, "echo", "{1}", "{2}", ":::", "z"]).printed(0), "1 z\n2 z\n");
    assert_eq!(run(["-k", "echo", "::::", f1, "::::+", f2]).printed(0), "1 a\n2 b\n");
    let mixed = run_with_input(["-k", "echo", "::::", "-", f2], b"1\n2\n");
    assert_eq!(mixed.printed(0), "1 a\n1 b\n2 a\n2 b\n");
}

#[test]
fn lines_of_standard_input_are_inputs() {
    assert_eq!(run_with_input(["-k", "echo", "x{}y"], b"a\n\nb\n").printed(0), "xay\nxy\nxby\n");
    assert_eq!(run_with_input(["-k", "echo", "x{}y"], b"a\r\nb").printed(0), "xa\ry\nxby\n");
    assert_eq!(
        run_with_input(["-k", "-0", "echo", "x{}y"], b"a\nb\0c").printed(0),
        "xa\nby\nxcy\n"
    );
}

#[test]
fn nothing_to_do_is_no_failure() {
    assert_eq!(run(["echo"]).printed(0), "");
    assert_eq!(run_with_input(["-k", "echo", ":::", "a", "::::", "-"], b"").printed(0), "");
}

#[test]
fn placeholders_are_gnu_parallels() {
    let words = ["-k", "echo", "[{}]", "[{.}]", "[{/}]", "[{//}]", "[{/.}]", "{#}", ":::"];
    let inputs = ["a/b/c.tar.gz", "foo", "/x.", "/.bashrc", "a.b/c", "dir/", ""];
    let expected = "[a/b/c.tar.gz] [a/b/c.tar] [c.tar.gz] [a/b] [c.tar] 1\n\
        [foo] [foo] [foo] [.] [foo] 2\n\
        [/x.] [/x] [x.] [/] [x] 3\n\
        [/.bashrc] [/] [.bashrc] [/] [] 4\n\
        [a.b/c] [a.b/c] [c] [a.b] [c] 5\n\
        [dir/] [dir/] [] [.] [] 6\n\
        [] [] [] [.] [] 7\n";
    assert_eq!(run(words.into_iter().chain(inputs)).printed(0), expected);
    let numbered = run(["echo", "{1.} {2/} {1//} {2/.}", ":::", "a/b.c", ":::", "d/e.f"]);
    assert_eq!(numbered.printed(0), "a/b e.f a e\n");
    assert_eq!(
        run(["-k", "echo", "{}", "x", ":::", "a", "b", ":::", "1"]).printed(0),
        "a 1 x\nb 1 x\n"
    );
    assert_eq!(
        run(["-k", "echo", "{.}", ":::", "a.b", "b/c", ":::", "1.c"]).printed(0),
        "a 1\nb/c 1\n"
    );
}

#[test]
fn slots_are_numbered_from_one_and_used_again() {
    let run = run(["-j2", "-k", "echo", "{%}", ":::", "a", "b", "c", "d", "e", "f"]);
    assert!(run.printed(0).lines().all(|slot| slot == "1" || slot == "2"), "{}", run.text());
}

#[test]
fn a_placeholder_without_a_source_is_an_error() {
    let run = run(["echo", "{3}", ":::", "a", ":::", "b"]);
    assert_eq!(run.printed(255), "");
    assert!(run.stderr.contains("{3}"), "{}", run.stderr);
}

#[test]
fn inputs_reach_the_command_as_they_are() {
    let inputs = ["a b", "it's", "$x", "*", "new\nline", "`id`", "~", "-n", "\\", "\"", "a;b"];
    let expected: String = inputs.iter().map(|input| format!("<{input}>\n")).collect();
    let direct = ["-k", "printf", "<%s>\n", "{}", ":::"];
    assert_eq!(run(direct.into_iter().chain(inputs)).printed(0), expected);
    let by_shell = ["-k", "printf '<%s>\\n' {}; true", ":::"];
    assert_eq!(run(by_shell.into_iter().chain(inputs)).printed(0), expected);
}

#[test]
fn bytes_that_are_no_text_are_inputs_like_others() {
    let bytes = OsStr::from_bytes(b"\xff\xfe\x01");
    let direct = run([OsStr::new("printf"), OsStr::new("%s"), OsStr::new(":::"), bytes]);
    assert_eq!(direct.stdout, b"\xff\xfe\x01");
    let by_shell =
        run_with_input(["--tag", "-k", "cat {}* /dev/null; printf %s {}"], b"/\xc3\xb6/\xff\n");
    assert_eq!(by_shell.stdout, b"/\xc3\xb6/\xff\t/\xc3\xb6/\xff\n");
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join(OsStr::from_bytes(b"p\xff"));
    std::os::unix::fs::symlink("/bin/echo", &program).unwrap();
    assert_eq!(run([program.as_os_str(), OsStr::new(":::"), OsStr::new("a")]).printed(0), "a\n");
}

#[test]
fn several_words_are_executed_without_a_shell() {
    assert_eq!(
        run(["echo", "a", ";", "echo", "{}", "$HOME", ":::", "1"]).printed(0),
        "a ; echo 1 $HOME\n"
    );
    assert_eq!(
        run(["sh", "-c", "echo \"$1-$2\"", "-", "{}", ":::", "a b", ":::", "c"]).printed(0),
        "a b-c\n"
    );
}

#[test]
fn one_word_is_read_as_a_shell_would() {
    assert_eq!(run(["echo {} | tr a-z A-Z", ":::", "a b"]).printed(0), "A B\n");
    assert_eq!(run(["X=1 sh -c 'echo $X'; echo", ":::", "a"]).printed(0), "1\na\n");
    assert_eq!(run(["echo  -n   {}", ":::", "a b"]).printed(0), "a b");
    assert_eq!(run(["exit", ":::", "3"]).status, 1);
}

#[test]
fn without_a_command_the_inputs_are_commands() {
    assert_eq!(run_with_input(["-k"], b"echo 1\necho 2 | tr 2 3\n").printed(0), "1\n3\n");
    assert_eq!(run(["-k", ":::", "echo a", "echo 'b  c'"]).printed(0), "a\nb  c\n");
    let odd = run_with_input(["-k"], b"\necho 1\n");
    assert_eq!(odd.printed(0), "1\n");
}

#[test]
fn a_dry_run_prints_what_a_shell_would_take() {
    let words = ["--dry-run", "echo", "a;b", "{}", ":::", "a b", "it's", "plain"];
    let run = run(words);
    assert_eq!(run.printed(0), "echo 'a;b' 'a b'\necho 'a;b' 'it'\\''s'\necho 'a;b' plain\n");
    let shell = std::process::Command::new("sh").arg("-c").arg(run.text()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "a;b a b\na;b it's\na;b plain\n");
    assert_eq!(
        super::harness::run(["--dry-run", "echo \"{}\"", ":::", "a"]).printed(0),
        "echo \"a\"\n"
    );
}

#[test]
fn jobs_get_no_standard_input() {
    assert_eq!(run_with_input(["-j1", "-k", "cat; echo {}"], b"1\n2\n").printed(0), "1\n2\n");
}

#[test]
fn a_job_starts_as_soon_as_its_input_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let (stdin, mut writer) = pipe();
    let mut command = command(["-j2", "touch"]);
    let running = start(command.stdin(stdin).current_dir(directory.path()));
    // The rest of the last line is not there yet.
    writer.write_all(b"first\nsec").unwrap();
    until("the first job has run", || directory.path().join("first").exists());
    assert!(!directory.path().join("sec").exists());
    writer.write_all(b"ond").unwrap();
    drop(writer);
    drop(command);
    assert_eq!(running.end().status, 0);
    assert!(directory.path().join("second").exists());
}

#[test]
fn endless_input_is_read_as_it_is_needed() {
    let (stdin, mut writer) = pipe();
    let mut command = command(["-j2", "--halt", "soon,done=50", "true"]);
    let running = start(command.stdin(stdin));
    drop(command);
    let writing = std::thread::spawn(move || {
        let block = b"y\n".repeat(5000);
        while writer.write_all(&block).is_ok() {}
    });
    assert_eq!(running.end().status, 0);
    writing.join().unwrap();
}

#[test]
fn a_line_without_end_is_an_error() {
    let run = run_with_input(["echo"], &vec![b'x'; 2 << 20]);
    assert_eq!(run.printed(255), "");
    assert!(run.stderr.contains("standard input: an input longer than"), "{}", run.stderr);
}

/// What a million lines are to a run that starts no jobs; `a_long_run` has those that do.
#[test]
fn a_million_lines_take_no_more_memory_than_ten() {
    let (stdin, mut writer) = pipe();
    let mut command = command(["--dry-run", "echo"]);
    let null = std::fs::File::create("/dev/null").unwrap();
    command.stdin(stdin).stdout(fourfold::process::Stdio::Fd(std::sync::Arc::new(null.into())));
    let running = start(&command);
    drop(command);
    let writing = std::thread::spawn(move || write_numbers(&mut writer, 1_000_000));
    let run = running.end();
    writing.join().unwrap();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!((1..=32 << 20).contains(&run.peak_memory), "{} bytes", run.peak_memory);
}

/// With real jobs: ten thousand of them, and ten million in a soak.
#[test]
fn a_long_run_takes_no_more_memory_than_a_short_one() {
    let is_soak = std::env::var_os("FOURFOLD_SOAK").is_some();
    let jobs: u64 = if is_soak { 10_000_000 } else { 10_000 };
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (stdin, mut writer) = pipe();
    let mut command = command(["-k", "--joblog"]);
    command.arg(&log).arg("true").stdin(stdin);
    if is_soak {
        command.timeout(std::time::Duration::from_secs(4 * 3600));
    }
    let running = start(&command);
    drop(command);
    let writing = std::thread::spawn(move || write_numbers(&mut writer, jobs));
    let run = running.end();
    writing.join().unwrap();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.peak_memory <= 32 << 20, "{} bytes", run.peak_memory);
    let lines =
        std::io::BufRead::lines(std::io::BufReader::new(std::fs::File::open(&log).unwrap()));
    assert_eq!(lines.count() as u64, jobs + 1);
}

fn write_numbers(writer: &mut impl Write, count: u64) {
    let mut buffered = std::io::BufWriter::new(writer);
    for number in 0..count {
        writeln!(buffered, "{number}").unwrap();
    }
    buffered.flush().unwrap();
}
