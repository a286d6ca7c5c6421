//! A command with placeholders, and what it becomes with a job's inputs filled in.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::rc::Rc;

use super::shell;

/// One input of one job: bytes, as the kernel takes them.
pub(crate) type Input = Rc<[u8]>;

/// Which part of an input a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `{}`
    Whole,
    /// `{.}`: without its extension.
    Stem,
    /// `{/}`: without its directory.
    Name,
    /// `{//}`: its directory.
    Directory,
    /// `{/.}`: without directory and extension.
    NameStem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<u8>),
    /// The inputs of all sources, or of the one whose number, from 1, is given.
    Input(Option<usize>, Part),
    /// `{#}`: the number of the job, from 1.
    Sequence,
    /// `{%}`: the number of the job's slot, from 1 to the number of jobs at once.
    Slot,
}

/// One word of a command, or a whole script.
pub(crate) type Word = Vec<Piece>;

/// A command, ready to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// A program and its arguments, executed as they are.
    Direct(Vec<Word>),
    /// A script for the shell; inputs are quoted for it.
    Script(Word),
    /// Each input is a command of its own.
    InputIsCommand,
}

/// What a job's placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) inputs: &'a [Input],
    pub(crate) sequence: u64,
    /// Left as `{%}` if `None`: a record of a job does not depend on the slot that it happened to get.
    pub(crate) slot: Option<usize>,
}

impl Template {
    /// Reads a command as given on the command line. `sources` is how many inputs each job gets.
    ///
    /// # Errors
    ///
    /// If a placeholder names a source that is not there.
    pub(crate) fn parse(words: &[OsString], sources: usize) -> Result<Template, String> {
        let mut parsed: Vec<Word> = words.iter().map(|word| pieces(word.as_bytes())).collect();
        for piece in parsed.iter().flatten() {
            if let Piece::Input(Some(number), _) = piece
                && *number > sources
            {
                return Err(format!(
                    "the command names input source {{{number}}}, and the last one is {{{sources}}}"
                ));
            }
        }
        let fills_in = parsed.iter().flatten().any(|piece| !matches!(piece, Piece::Text(_)));
        let appended = Piece::Input(None, Part::Whole);
        Ok(match parsed.len() {
            0 => Template::InputIsCommand,
            1 => {
                let mut script = parsed.remove(0);
                if !fills_in {
                    script.extend([Piece::Text(b" ".to_vec()), appended]);
                }
                match without_shell(&script) {
                    Some(words) => Template::Direct(words),
                    None => Template::Script(script),
                }
            }
            _ => {
                if !fills_in {
                    parsed.push(vec![appended]);
                }
                Template::Direct(parsed)
            }
        })
    }

    /// The program and its arguments.
    pub(crate) fn arguments(&self, values: Values<'_>) -> Vec<OsString> {
        let script = match self {
            Template::Direct(words) => {
                return direct(words, values).into_iter().map(OsString::from_vec).collect();
            }
            Template::Script(script) => self::script(script, values),
            Template::InputIsCommand => {
                let line = joined(values.inputs);
                if let Some(words) = without_shell(&vec![Piece::Text(line.clone())]) {
                    let words = direct(&words, values);
                    return words.into_iter().map(OsString::from_vec).collect();
                }
                line
            }
        };
        [shell::SHELL.into(), "-c".into(), OsString::from_vec(script)].into()
    }

    /// The command as one line that a shell would take: for people, for the job log, and for comparing with it.
    pub(crate) fn line(&self, values: Values<'_>) -> Vec<u8> {
        match self {
            Template::Direct(words) => {
                let mut line = Vec::new();
                let slot_word = [Piece::Slot];
                for word in words {
                    // `{%}` on its own is a placeholder here, not text to be quoted.
                    if values.slot.is_none() && word[..] == slot_word {
                        separate(&mut line);
                        line.extend_from_slice(b"{%}");
                        continue;
                    }
                    for argument in direct(std::slice::from_ref(word), values) {
                        separate(&mut line);
                        shell::quote(&argument, &mut line);
                    }
                }
                line
            }
            Template::Script(script) => self::script(script, values),
            Template::InputIsCommand => joined(values.inputs),
        }
    }

    /// Whether every job runs the same program, whatever its inputs: if it cannot be run once, it never can.
    pub(crate) fn has_one_program(&self) -> bool {
        match self {
            Template::Direct(words) => {
                words[0].iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Slot))
            }
            Template::Script(_) => true,
            Template::InputIsCommand => false,
        }
    }
}

fn separate(line: &mut Vec<u8>) {
    if !line.is_empty() {
        line.push(b' ');
    }
}

fn joined(inputs: &[Input]) -> Vec<u8> {
    let mut line = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        line.extend_from_slice(input);
    }
    line
}

/// Fills in words that are executed as they are. A placeholder for several inputs makes several words, as in a shell.
fn direct(words: &[Word], values: Values<'_>) -> Vec<Vec<u8>> {
    let mut arguments = Vec::with_capacity(words.len() + values.inputs.len());
    for word in words {
        let mut argument = Vec::new();
        for piece in word {
            fill(piece, values, &mut argument, |part, argument, is_first| {
                if !is_first {
                    arguments.push(std::mem::take(argument));
                }
                argument.extend_from_slice(part);
            });
        }
        arguments.push(argument);
    }
    arguments
}

/// Fills in a script, each input quoted.
fn script(script: &Word, values: Values<'_>) -> Vec<u8> {
    let mut filled = Vec::new();
    for piece in script {
        fill(piece, values, &mut filled, |part, filled, is_first| {
            if !is_first {
                filled.push(b' ');
            }
            shell::quote(part, filled);
        });
    }
    filled
}

/// Fills in one piece. `put` gets each input's part, and whether it is the piece's first.
fn fill(
    piece: &Piece,
    values: Values<'_>,
    out: &mut Vec<u8>,
    mut put: impl FnMut(&[u8], &mut Vec<u8>, bool),
) {
    match piece {
        Piece::Text(text) => out.extend_from_slice(text),
        Piece::Sequence => out.extend_from_slice(values.sequence.to_string().as_bytes()),
        Piece::Slot => match values.slot {
            Some(slot) => out.extend_from_slice(slot.to_string().as_bytes()),
            None => out.extend_from_slice(b"{%}"),
        },
        Piece::Input(Some(number), part) => put(part.of(&values.inputs[number - 1]), out, true),
        Piece::Input(None, part) => {
            for (index, input) in values.inputs.iter().enumerate() {
                put(part.of(input), out, index == 0);
            }
        }
    }
}

impl Part {
    fn of(self, input: &[u8]) -> &[u8] {
        match self {
            Part::Whole => input,
            Part::Stem => stem(input),
            Part::Name => name(input),
            Part::NameStem => stem(name(input)),
            Part::Directory => directory(input),
        }
    }
}

/// The directory as `dirname` tells it.
fn directory(path: &[u8]) -> &[u8] {
    let trimmed = without_slashes(path);
    match trimmed.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => match without_slashes(&trimmed[..slash]) {
            b"" => b"/",
            directory => directory,
        },
        None if trimmed.is_empty() && !path.is_empty() => b"/",
        None => b".",
    }
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    &path[..end]
}

fn name(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

fn stem(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'.' || byte == b'/') {
        Some(dot) if path[dot] == b'.' => &path[..dot],
        _ => path,
    }
}

/// The placeholders in a text, and what stands between them.
fn pieces(mut text: &[u8]) -> Word {
    let mut pieces = Vec::new();
    let mut plain = Vec::new();
    while let Some((&byte, rest)) = text.split_first() {
        let placeholder = (byte == b'{').then(|| placeholder(rest)).flatten();
        match placeholder {
            Some((piece, rest)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                text = rest;
            }
            None => {
                plain.push(byte);
                text = rest;
            }
        }
    }
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// A placeholder, from after its opening brace, and what follows it.
fn placeholder(text: &[u8]) -> Option<(Piece, &[u8])> {
    let end = text.iter().position(|&byte| byte == b'}')?;
    let (inside, rest) = (&text[..end], &text[end + 1..]);
    match inside {
        b"#" => return Some((Piece::Sequence, rest)),
        b"%" => return Some((Piece::Slot, rest)),
        _ => {}
    }
    let digits = inside.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = match digits {
        0 => None,
        _ => Some(std::str::from_utf8(&inside[..digits]).ok()?.parse().ok().filter(|&n| n > 0)?),
    };
    let part = match &inside[digits..] {
        b"" => Part::Whole,
        b"." => Part::Stem,
        b"/" => Part::Name,
        b"//" => Part::Directory,
        b"/." => Part::NameStem,
        _ => return None,
    };
    Some((Piece::Input(number, part), rest))
}

/// Splits a script into the words that a shell would make of it, if it is nothing but words.
fn without_shell(script: &Word) -> Option<Vec<Word>> {
    let mut words: Vec<Word> = Vec::new();
    let mut in_word = false;
    for piece in script {
        let Piece::Text(text) = piece else {
            if !in_word {
                words.push(Vec::new());
                in_word = true;
            }
            words.last_mut()?.push(piece.clone());
            continue;
        };
        for &byte in text {
            match byte {
                b' ' | b'\t' => in_word = false,
                byte if shell::is_plain(byte) => {
                    if !in_word {
                        words.push(Vec::new());
                        in_word = true;
                    }
                    let word = words.last_mut()?;
                    match word.last_mut() {
                        Some(Piece::Text(text)) => text.push(byte),
                        _ => word.push(Piece::Text(vec![byte])),
                    }
                }
                _ => return None,
            }
        }
    }
    match &words.first()?[..] {
        [Piece::Text(first)] if shell::first_word_needs_shell(first) => None,
        // An assignment, whatever its value.
        pieces if pieces.iter().any(|p| matches!(p, Piece::Text(t) if t.contains(&b'='))) => None,
        _ => Some(words),
    }
}

#[cfg(test)]
mod tests;
