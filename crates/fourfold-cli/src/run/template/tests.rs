//! What templates become; where GNU parallel 20221122 was asked, it answered the same.

use super::*;

fn inputs(texts: &[&str]) -> Vec<Input> {
    texts.iter().map(|text| Input::from(text.as_bytes())).collect()
}

fn template(words: &[&str], sources: usize) -> Template {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    Template::parse(&words, sources).unwrap()
}

fn arguments(words: &[&str], texts: &[&str]) -> Vec<String> {
    let inputs = inputs(texts);
    let values = Values { inputs: &inputs, sequence: 7, slot: Some(2) };
    let arguments = template(words, texts.len()).arguments(values);
    arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
}

fn line(words: &[&str], texts: &[&str]) -> String {
    let inputs = inputs(texts);
    let values = Values { inputs: &inputs, sequence: 7, slot: None };
    String::from_utf8(template(words, texts.len()).line(values)).unwrap()
}

#[test]
fn the_parts_of_a_path() {
    let parts =
        |input| arguments(&["x", "{}", "{.}", "{/}", "{//}", "{/.}"], &[input])[1..].to_vec();
    assert_eq!(parts("a/b/c.tar.gz"), ["a/b/c.tar.gz", "a/b/c.tar", "c.tar.gz", "a/b", "c.tar"]);
    assert_eq!(parts("foo"), ["foo", "foo", "foo", ".", "foo"]);
    assert_eq!(parts("/x."), ["/x.", "/x", "x.", "/", "x"]);
    assert_eq!(parts("/.bashrc"), ["/.bashrc", "/", ".bashrc", "/", ""]);
    assert_eq!(parts("a.b/c"), ["a.b/c", "a.b/c", "c", "a.b", "c"]);
    assert_eq!(parts("dir/"), ["dir/", "dir/", "", ".", ""]);
    assert_eq!(parts(""), ["", "", "", ".", ""]);
}

#[test]
fn the_directory_of_odd_paths() {
    let directory = |input| arguments(&["x", "{//}"], &[input])[1].clone();
    let paths = ["a/b/", "/a/", "/", "//", "a//b"].map(directory);
    assert_eq!(paths, ["a", "/", "/", "/", "a"]);
}

#[test]
fn the_number_of_the_job_and_of_its_slot() {
    assert_eq!(arguments(&["x", "{#}-{%}", "{}"], &["a"]), ["x", "7-2", "a"]);
    assert_eq!(line(&["x", "{%}", "a{%}"], &["a"]), "x {%} 'a{%}'");
}

#[test]
fn inputs_are_appended_where_no_placeholder_stands() {
    assert_eq!(arguments(&["echo", "-n"], &["a", "b c"]), ["echo", "-n", "a", "b c"]);
    assert_eq!(arguments(&["echo", "{#}"], &["a"]), ["echo", "7"]);
    assert_eq!(arguments(&["gzip"], &["a b"]), ["gzip", "a b"]);
}

#[test]
fn several_inputs_by_number_and_together() {
    assert_eq!(arguments(&["x", "{2}-{1}"], &["a", "b"]), ["x", "b-a"]);
    assert_eq!(
        arguments(&["x", "{1.}", "{2/}", "{1//}", "{2/.}"], &["a/b.c", "d/e.f"]),
        ["x", "a/b", "e.f", "a", "e"]
    );
    assert_eq!(arguments(&["x", "-{}-", "y"], &["a", "b"]), ["x", "-a", "b-", "y"]);
    assert_eq!(arguments(&["x", "{.}"], &["a.b", "1.c"]), ["x", "a", "1"]);
}

#[test]
fn a_number_without_a_source_is_an_error() {
    let words = ["echo".into(), "{3}".into()];
    assert!(Template::parse(&words, 2).unwrap_err().contains("{3}"));
}

#[test]
fn what_looks_like_a_placeholder_and_is_none_stays() {
    assert_eq!(
        arguments(&["x", "{a}", "{0}", "{", "{{}}"], &["i"]),
        ["x", "{a}", "{0}", "{", "{i}"]
    );
    assert_eq!(arguments(&["awk", "{print $1}"], &["i"]), ["awk", "{print $1}", "i"]);
}

#[test]
fn a_single_string_goes_to_the_shell_only_if_it_needs_one() {
    assert_eq!(arguments(&["wc -l  {} x"], &["a b"]), ["wc", "-l", "a b", "x"]);
    assert_eq!(arguments(&["dd if={}"], &["a b"]), ["dd", "if=a b"]);
    let shell = |command| arguments(&[command], &["a b"]);
    assert_eq!(shell("echo {} | wc"), ["/bin/sh", "-c", "echo 'a b' | wc"]);
    assert_eq!(shell("exit {}"), ["/bin/sh", "-c", "exit 'a b'"]);
    assert_eq!(shell("A=1 env"), ["/bin/sh", "-c", "A=1 env 'a b'"]);
    assert_eq!(shell("if x"), ["/bin/sh", "-c", "if x 'a b'"]);
    assert_eq!(shell("ls *"), ["/bin/sh", "-c", "ls * 'a b'"]);
    assert_eq!(shell("A={}"), ["/bin/sh", "-c", "A='a b'"]);
}

#[test]
fn several_words_never_go_to_a_shell() {
    assert_eq!(arguments(&["echo", "a;", "$x"], &["*"]), ["echo", "a;", "$x", "*"]);
}

#[test]
fn without_a_command_each_input_is_one() {
    assert_eq!(arguments(&[], &["echo 1; echo 2"]), ["/bin/sh", "-c", "echo 1; echo 2"]);
    assert_eq!(arguments(&[], &["echo 1"]), ["echo", "1"]);
}

#[test]
fn a_line_can_be_given_to_a_shell() {
    assert_eq!(line(&["echo", "{}"], &["it's"]), r"echo 'it'\''s'");
    assert_eq!(line(&["echo {}; true"], &["a b"]), "echo 'a b'; true");
    assert_eq!(line(&[], &["echo 1"]), "echo 1");
}

#[test]
fn bytes_that_are_no_text_survive() {
    let inputs = [Input::from(&b"\xff\xfe"[..])];
    let values = Values { inputs: &inputs, sequence: 1, slot: Some(1) };
    let arguments = template(&["x", "{}"], 1).arguments(values);
    assert_eq!(arguments[1].as_bytes(), b"\xff\xfe");
}
