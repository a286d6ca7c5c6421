//! The inputs of the jobs: every combination of the sources, the first of which is read as it is needed.

mod records;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use self::records::{Feed, Records};
use super::say;
use super::template::Input;

/// Where inputs come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    /// Taken together with the source before, one by one, instead of combined with it.
    pub(crate) linked: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SourceKind {
    Given(Vec<Input>),
    File(PathBuf),
    Stdin,
}

/// Called, from any thread, when an input that was awaited is there.
pub(crate) type Ring = Arc<dyn Fn() + Send + Sync>;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// One input of each source.
    Job(Vec<Input>),
    /// Nothing yet; the bell rings when there is.
    Pending,
    End,
}

/// The combinations, one after the other.
pub(crate) struct Inputs {
    head: Head,
    /// The head's part of the present combination.
    row: Option<Vec<Input>>,
    /// The other groups of linked sources, read whole.
    tail: Vec<Vec<Vec<Input>>>,
    /// Which row of each of them is next.
    odometer: Vec<usize>,
    total: Option<u64>,
}

enum Head {
    Rows(std::vec::IntoIter<Vec<Input>>),
    Stream(Feed, String),
}

impl Inputs {
    /// Opens all sources, reads all but the first, and counts the jobs if asked to and if that can be known.
    ///
    /// # Errors
    ///
    /// If one cannot be opened or read, naming it.
    pub(crate) fn open(
        sources: Vec<Source>,
        separator: u8,
        count: bool,
        ring: Ring,
    ) -> Result<Inputs, String> {
        let mut groups: Vec<Vec<SourceKind>> = Vec::new();
        for source in sources {
            match groups.last_mut() {
                Some(group) if source.linked => group.push(source.kind),
                _ => groups.push(vec![source.kind]),
            }
        }
        let mut groups = groups.into_iter();
        let first = groups.next().unwrap_or_default();
        let tail: Vec<_> =
            groups.map(|group| rows(group, separator)).collect::<Result<_, String>>()?;
        let (head, heads) = match <[SourceKind; 1]>::try_from(first) {
            Ok([SourceKind::File(path)]) => {
                let name = path.display().to_string();
                stream(open(&path)?, name, separator, count, ring)?
            }
            Ok([SourceKind::Stdin]) => {
                let file = stdin().map_err(|error| format!("standard input: {error}"))?;
                if file.is_terminal() {
                    say("reading inputs from the terminal, one a line; Ctrl-D ends them");
                }
                stream(file, "standard input".into(), separator, count, ring)?
            }
            group => {
                let group = group.map_or_else(|group| group, Vec::from);
                let rows = rows(group, separator)?;
                let count = rows.len() as u64;
                (Head::Rows(rows.into_iter()), Some(count))
            }
        };
        let total = heads.map(|heads| {
            tail.iter().fold(heads, |total, rows| total.saturating_mul(rows.len() as u64))
        });
        let odometer = vec![0; tail.len()];
        Ok(Inputs { head, row: None, tail, odometer, total })
    }

    /// How many there are, if that is known.
    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next combination, without waiting for it.
    ///
    /// # Errors
    ///
    /// If the first source cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Next, String> {
        self.advance(Head::next)
    }

    /// The next combination, however long it takes. `None` at the end.
    pub(crate) fn next_blocking(&mut self) -> Result<Option<Vec<Input>>, String> {
        loop {
            match self.advance(Head::next_blocking)? {
                Next::Job(inputs) => return Ok(Some(inputs)),
                Next::Pending => {}
                Next::End => return Ok(None),
            }
        }
    }

    fn advance(&mut self, next: fn(&mut Head) -> Result<Next, String>) -> Result<Next, String> {
        if self.tail.iter().any(Vec::is_empty) {
            return Ok(Next::End);
        }
        let Some(row) = &self.row else {
            return match next(&mut self.head)? {
                Next::Job(row) if self.tail.is_empty() => Ok(Next::Job(row)),
                Next::Job(row) => {
                    self.row = Some(row);
                    self.odometer.fill(0);
                    Ok(Next::Job(self.combination()))
                }
                other => Ok(other),
            };
        };
        debug_assert!(!row.is_empty());
        for (wheel, rows) in self.odometer.iter_mut().zip(&self.tail).rev() {
            *wheel += 1;
            if *wheel < rows.len() {
                return Ok(Next::Job(self.combination()));
            }
            *wheel = 0;
        }
        self.row = None;
        self.advance(next)
    }

    fn combination(&self) -> Vec<Input> {
        let mut inputs = self.row.clone().unwrap_or_default();
        for (wheel, rows) in self.odometer.iter().zip(&self.tail) {
            inputs.extend(rows[*wheel].iter().cloned());
        }
        inputs
    }
}

impl Head {
    fn next(&mut self) -> Result<Next, String> {
        match self {
            Head::Rows(rows) => Ok(rows.next().map_or(Next::End, Next::Job)),
            Head::Stream(feed, name) => feed.next().map_err(|error| format!("{name}: {error}")),
        }
    }

    fn next_blocking(&mut self) -> Result<Next, String> {
        if let Head::Stream(feed, _) = self {
            feed.wait();
        }
        self.next()
    }
}

fn open(path: &PathBuf) -> Result<File, String> {
    let open = || {
        let file = File::open(path)?;
        match file.metadata()?.is_dir() {
            true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            false => Ok(file),
        }
    };
    open().map_err(|error| format!("input file {}: {error}", path.display()))
}

fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

fn stream(
    file: File,
    name: String,
    separator: u8,
    count: bool,
    ring: Ring,
) -> Result<(Head, Option<u64>), String> {
    let fail = |error| format!("{name}: {error}");
    let is_regular = file.metadata().map_err(fail)?.is_file();
    let count = match is_regular && count {
        true => Some(records::count(&file, separator).map_err(fail)?),
        false => None,
    };
    let feed = match is_regular {
        true => Feed::direct(file, separator),
        false => Feed::on_a_thread(file, separator, ring).map_err(fail)?,
    };
    Ok((Head::Stream(feed, name), count))
}

/// Reads linked sources whole: a row for each input of the shortest.
fn rows(group: Vec<SourceKind>, separator: u8) -> Result<Vec<Vec<Input>>, String> {
    let mut columns = group.into_iter().map(|kind| match kind {
        SourceKind::Given(inputs) => Ok(inputs),
        SourceKind::File(path) => whole(open(&path)?, separator)
            .map_err(|error| format!("input file {}: {error}", path.display())),
        SourceKind::Stdin => stdin()
            .and_then(|file| whole(file, separator))
            .map_err(|error| format!("standard input: {error}")),
    });
    let mut rows: Vec<Vec<Input>> =
        columns.next().unwrap_or(Ok(Vec::new()))?.into_iter().map(|input| vec![input]).collect();
    for column in columns {
        let column = column?;
        rows.truncate(column.len());
        for (row, input) in rows.iter_mut().zip(column) {
            row.push(input);
        }
    }
    Ok(rows)
}

fn whole(file: File, separator: u8) -> io::Result<Vec<Input>> {
    let mut records = Records::new(file, separator);
    let mut inputs = Vec::new();
    while let Some(record) = records.next()? {
        inputs.push(Input::from(record));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn given(texts: &[&str]) -> SourceKind {
        SourceKind::Given(texts.iter().map(|text| Input::from(text.as_bytes())).collect())
    }

    fn file(text: &str) -> SourceKind {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        SourceKind::File(file.keep().unwrap().1)
    }

    fn all(sources: Vec<(SourceKind, bool)>) -> Vec<String> {
        let paths: Vec<PathBuf> = sources
            .iter()
            .filter_map(|(kind, _)| match kind {
                SourceKind::File(path) => Some(path.clone()),
                _ => None,
            })
            .collect();
        let sources = sources.into_iter().map(|(kind, linked)| Source { kind, linked }).collect();
        let mut inputs = Inputs::open(sources, b'\n', true, Arc::new(|| {})).unwrap();
        let mut jobs = Vec::new();
        while let Some(job) = inputs.next_blocking().unwrap() {
            let words: Vec<_> = job.iter().map(|input| String::from_utf8_lossy(input)).collect();
            jobs.push(words.join(" "));
        }
        assert_eq!(inputs.total(), Some(jobs.len() as u64));
        for path in paths {
            std::fs::remove_file(path).unwrap();
        }
        jobs
    }

    #[test]
    fn several_sources_give_every_combination_the_last_fastest() {
        let jobs = all(vec![(given(&["a", "b"]), false), (given(&["c", "d"]), false)]);
        assert_eq!(jobs, ["a c", "a d", "b c", "b d"]);
        let jobs =
            all(vec![(file("1\n2\n"), false), (file("x\ny"), false), (given(&["z"]), false)]);
        assert_eq!(jobs, ["1 x z", "1 y z", "2 x z", "2 y z"]);
    }

    #[test]
    fn linked_sources_go_together_as_far_as_the_shortest() {
        let jobs = all(vec![(given(&["a", "b", "c"]), false), (given(&["d", "e"]), true)]);
        assert_eq!(jobs, ["a d", "b e"]);
        let jobs = all(vec![
            (given(&["a", "b"]), false),
            (given(&["1", "2"]), false),
            (file("x\ny\n"), true),
        ]);
        assert_eq!(jobs, ["a 1 x", "a 2 y", "b 1 x", "b 2 y"]);
    }

    #[test]
    fn empty_lines_are_inputs_and_the_last_newline_is_not() {
        assert_eq!(all(vec![(file("a\n\nb\n"), false)]), ["a", "", "b"]);
        assert_eq!(all(vec![(file(""), false)]), Vec::<String>::new());
        assert_eq!(all(vec![(given(&["a"]), false), (file(""), false)]), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let open = |path: &str| {
            let sources = vec![Source { kind: SourceKind::File(path.into()), linked: false }];
            Inputs::open(sources, b'\n', false, Arc::new(|| {})).err().unwrap()
        };
        assert!(open("/nowhere/file").starts_with("input file /nowhere/file: "));
        assert!(open("/").starts_with("input file /: "));
    }
}
