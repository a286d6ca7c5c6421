//! The arguments of `fourfold run`, as resolved: what is to be done, with nothing left to decide.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use super::args::{RunArgs, Summary};
use super::halt::Halt;
use super::input::{Source, SourceKind};
use super::template::{Input, Template};

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) template: Template,
    pub(crate) sources: Vec<Source>,
    /// The byte that ends an input.
    pub(crate) separator: u8,
    pub(crate) at_once: usize,
    pub(crate) output: OutputPlan,
    pub(crate) bar: bool,
    pub(crate) limits: Limits,
    pub(crate) tries: u32,
    pub(crate) backoff: Duration,
    pub(crate) halt: Halt,
    pub(crate) dry_run: bool,
    pub(crate) joblog: Option<PathBuf>,
    pub(crate) resume: Resume,
    pub(crate) json: Option<JsonTarget>,
    pub(crate) summary: Summary,
}

/// What becomes of the jobs' outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputPlan {
    /// Kept until the job has ended.
    pub(crate) grouped: bool,
    pub(crate) in_order: bool,
    pub(crate) tagged: bool,
    /// Standard output is taken by the records: outputs go to standard error.
    pub(crate) all_to_stderr: bool,
}

/// What ends a job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) time: Option<Duration>,
    pub(crate) memory: Option<u64>,
}

/// What an earlier job log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    Anew,
    SkipEnded,
    SkipSucceeded,
}

/// Where the records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonTarget {
    Stdout,
    File(PathBuf),
}

impl Plan {
    /// Decides what was left open.
    ///
    /// # Errors
    ///
    /// If the arguments do not fit together.
    pub(crate) fn new(typed: RunArgs) -> Result<Plan, String> {
        let (command, sources) = split(typed.rest, typed.arg_file)?;
        let rows = sources.len();
        let json = typed.json.map(|path| match path.as_os_str() == "-" {
            true => JsonTarget::Stdout,
            false => JsonTarget::File(path),
        });
        if typed.ungroup && json == Some(JsonTarget::Stdout) {
            return Err("--ungroup and --json both want standard output: use --json=FILE".into());
        }
        Ok(Plan {
            template: Template::parse(&command, rows)?,
            sources,
            separator: if typed.null { 0 } else { b'\n' },
            at_once: typed.jobs.resolve(processors(), possible_at_once()),
            output: OutputPlan {
                grouped: !typed.ungroup,
                in_order: typed.keep_order,
                tagged: typed.tag,
                all_to_stderr: json == Some(JsonTarget::Stdout),
            },
            bar: typed.bar,
            limits: Limits { time: typed.timeout, memory: typed.mem },
            tries: typed.retries,
            backoff: typed.backoff,
            halt: typed.halt,
            dry_run: typed.dry_run,
            joblog: typed.joblog,
            resume: match (typed.resume, typed.resume_failed) {
                (_, true) => Resume::SkipSucceeded,
                (true, false) => Resume::SkipEnded,
                (false, false) => Resume::Anew,
            },
            json,
            summary: typed.summary,
        })
    }
}

/// How many processors this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// How many jobs the descriptors allow: a job takes one for itself and up to two for its outputs, and one is spare.
fn possible_at_once() -> usize {
    const MOST: u64 = 4096;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    (limit.unwrap_or(MOST * 4).saturating_sub(64) / 4).clamp(1, MOST) as usize
}

/// Parts the command from its input sources.
fn split(rest: Vec<OsString>, files: Vec<PathBuf>) -> Result<(Vec<OsString>, Vec<Source>), String> {
    let mut sources: Vec<Source> = files
        .into_iter()
        .map(|path| Source { kind: file(path.as_os_str()), linked: false })
        .collect();
    let mut command = Vec::new();
    let mut words = rest.into_iter().peekable();
    while let Some(word) = words.next_if(|word| !is_marker(word)) {
        command.push(word);
    }
    while let Some(marker) = words.next() {
        let mut given = Vec::new();
        while let Some(word) = words.next_if(|word| !is_marker(word)) {
            given.push(word);
        }
        let mut linked = marker.as_bytes().ends_with(b"+");
        if linked && sources.is_empty() {
            return Err(format!("{} has no source before it to go with", marker.display()));
        }
        if marker.as_bytes().starts_with(b"::::") {
            if given.is_empty() {
                return Err(format!("{} needs a file", marker.display()));
            }
            for path in given {
                sources.push(Source { kind: file(&path), linked });
                linked = false;
            }
        } else {
            let inputs = given.into_iter().map(|input| Input::from(input.into_vec())).collect();
            sources.push(Source { kind: SourceKind::Given(inputs), linked });
        }
    }
    if sources.is_empty() {
        sources.push(Source { kind: SourceKind::Stdin, linked: false });
    }
    if sources.iter().filter(|source| source.kind == SourceKind::Stdin).count() > 1 {
        return Err("standard input can be one source only".into());
    }
    Ok((command, sources))
}

fn is_marker(word: &OsString) -> bool {
    [":::", ":::+", "::::", "::::+"].iter().any(|marker| word == marker)
}

fn file(path: &OsStr) -> SourceKind {
    match path == "-" {
        true => SourceKind::Stdin,
        false => SourceKind::File(path.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(text: &str) -> Result<(Vec<OsString>, Vec<Source>), String> {
        split(text.split_whitespace().map(OsString::from).collect(), Vec::new())
    }

    fn given(texts: &[&str]) -> SourceKind {
        SourceKind::Given(texts.iter().map(|text| Input::from(text.as_bytes())).collect())
    }

    #[test]
    fn the_command_ends_where_the_sources_begin() {
        let (command, sources) = split_words("echo -n ::: a b :::+ c :::: f -").unwrap();
        assert_eq!(command, ["echo", "-n"]);
        assert_eq!(
            sources,
            [
                Source { kind: given(&["a", "b"]), linked: false },
                Source { kind: given(&["c"]), linked: true },
                Source { kind: SourceKind::File("f".into()), linked: false },
                Source { kind: SourceKind::Stdin, linked: false },
            ]
        );
    }

    #[test]
    fn standard_input_is_the_source_if_no_other_is_named() {
        let (_, sources) = split_words("echo").unwrap();
        assert_eq!(sources, [Source { kind: SourceKind::Stdin, linked: false }]);
    }

    #[test]
    fn what_does_not_fit_together() {
        for wrong in ["echo :::+ a", "echo ::::", "echo :::: - -"] {
            assert!(split_words(wrong).is_err(), "{wrong}");
        }
    }
}
