//! `fourfold queue`: put, get, count and wait for the items of a queue, from a shell.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use fourfold::cluster::manager::{
    CallError, Client, GetError, PutError, Queue, Value, from_value, to_value,
};

use crate::exit;
use crate::key::{KeyFile, fail};

/// Use a queue that `fourfold serve` or a Python program serves.
///
/// The exit status is 1 if there was no item or no room in time, and 255 if something else went wrong.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

/// Which queue, and where.
#[derive(Debug, Args)]
struct Which {
    /// Where the server listens: PORT on this machine, HOST:PORT, a path with a / in it, or @NAME.
    #[arg(long, value_name = "ADDR")]
    at: String,

    #[command(flatten)]
    key: KeyFile,

    /// The name of the queue.
    name: String,
}

#[derive(Debug, Subcommand)]
enum QueueCommand {
    /// Put items into the queue: those given, or else each line of standard input.
    Put {
        #[command(flatten)]
        which: Which,
        /// Items are JSON, and not text. A whole number of more than 64 bits becomes a float.
        #[arg(long)]
        json: bool,
        /// Wait for room for so many seconds at most.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
        timeout: Option<Duration>,
        items: Vec<String>,
    },
    /// Take items out of the queue, and print each on a line: text as it is, anything else as JSON, and what JSON
    /// cannot say as Python shows it.
    Get {
        #[command(flatten)]
        which: Which,
        /// How many.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
        count: u64,
        /// Print text as JSON too.
        #[arg(long)]
        json: bool,
        /// Wait for each for so many seconds at most.
        #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
        timeout: Option<Duration>,
        /// Do not say task_done for what is printed: join goes on waiting for it, and a queue that hands back has it again
        /// when this command ends.
        #[arg(long)]
        no_done: bool,
    },
    /// Print how many items are in the queue.
    Len {
        #[command(flatten)]
        which: Which,
    },
    /// Wait until all items that were put are said to be done.
    Join {
        #[command(flatten)]
        which: Which,
    },
}

fn seconds(typed: &str) -> Result<Duration, String> {
    let seconds: f64 = typed.parse().map_err(|_| "a number of seconds is wanted")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Why it did not work out.
enum Failed {
    /// There was no item, or no room.
    InTime(&'static str),
    /// The reader of standard output went away.
    Unread,
    Otherwise(Box<dyn std::error::Error>),
}

impl<E: std::error::Error + 'static> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed::Otherwise(error.into())
    }
}

pub(crate) fn run(typed: QueueArgs) -> ExitCode {
    let result = match typed.command {
        QueueCommand::Put { which, json, timeout, items } => put(&which, json, timeout, items),
        QueueCommand::Get { which, count, json, timeout, no_done } => {
            get(&which, count, json, timeout, !no_done)
        }
        QueueCommand::Len { which } => len(&which),
        QueueCommand::Join { which } => connect(&which).and_then(|queue| Ok(queue.join()?)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::InTime(what)) => {
            eprintln!("fourfold: {what}");
            ExitCode::from(1)
        }
        Err(Failed::Unread) => ExitCode::from(exit::CLOSED_PIPE),
        Err(Failed::Otherwise(error)) => fail(&error),
    }
}

/// What clients make for themselves by these names, which would end with this command.
const OWN: [&str; 4] = ["Queue", "JoinableQueue", "LifoQueue", "PriorityQueue"];

fn connect(which: &Which) -> Result<Queue<serde_json::Value>, Failed> {
    let Which { at, name, .. } = which;
    if OWN.contains(&name.as_str()) {
        let why = "is how a client makes a queue of its own, which would end with this command: name one that is served";
        return Err(io::Error::other(format!("{name} {why}")).into());
    }
    let client = Client::connect(at, which.key.read()?)?;
    let queue = client.queue(name).map_err(|error| not_there(which, error))?;
    let is_queue = ["put", "get", "qsize"].iter().all(|&method| {
        let mut exposed = queue.proxy().exposed();
        exposed.any(|name| name == method)
    });
    match is_queue {
        true => Ok(queue),
        false => Err(io::Error::other(format!("what {at} serves as {name} is no queue")).into()),
    }
}

/// What is said of a name that the server does not have: which there are, if it tells.
fn not_there(which: &Which, error: CallError) -> Failed {
    let Which { at, name, .. } = which;
    let missing = match &error {
        CallError::Refused(text) => text.lines().rev().find_map(|line| {
            let what = line.trim().strip_prefix("KeyError: ")?;
            Some(what.rsplit_once("there are: ").map(|(_, names)| names))
        }),
        _ => None,
    };
    let what = match missing {
        None => return error.into(),
        Some(Some(names)) => format!("name one of those that there are: {names}"),
        Some(None) => "name one that its program registers, or serve it there".to_owned(),
    };
    io::Error::other(format!("no queue {name:?} is served at {at}; {what}")).into()
}

fn put(
    which: &Which,
    json: bool,
    timeout: Option<Duration>,
    items: Vec<String>,
) -> Result<(), Failed> {
    let queue = connect(which)?;
    let put = |text: String| -> Result<(), Failed> {
        let item = if json { parsed(&text)? } else { serde_json::Value::String(text) };
        let result = match timeout {
            Some(limit) => queue.put_timeout(item, limit),
            None => queue.put(item),
        };
        match result {
            Ok(()) => Ok(()),
            Err(PutError::Full(_)) => Err(Failed::InTime("the queue is full")),
            Err(error) => Err(error.into()),
        }
    };
    match items.is_empty() {
        false => items.into_iter().try_for_each(put),
        true => io::stdin().lock().lines().zip(1u64..).try_for_each(|(line, number)| {
            let at = |error: io::Error| {
                let put = number - 1;
                io::Error::new(
                    error.kind(),
                    format!("line {number}: {error}; items put before it: {put}"),
                )
            };
            put(line.map_err(at)?)
        }),
    }
}

fn parsed(text: &str) -> Result<serde_json::Value, Failed> {
    serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(60).collect();
        io::Error::other(format!("the item {start:?} is no JSON: {error}")).into()
    })
}

fn get(
    which: &Which,
    count: u64,
    json: bool,
    timeout: Option<Duration>,
    done: bool,
) -> Result<(), Failed> {
    let queue = connect(which)?;
    // What a Python program serves under this name need not have it.
    let done = done && queue.proxy().exposed().any(|name| name == "task_done");
    // As it is: what JSON cannot say would be lost otherwise.
    let take = || match timeout {
        Some(limit) => {
            let args = [Value::from(true), to_value(&limit.as_secs_f64())?];
            queue.proxy().call_timeout("get", &args, &[], limit)
        }
        None => queue.proxy().call("get", &[], &[]),
    };
    for _ in 0..count {
        let item = take().map_err(|error: CallError| match error.exception() {
            Some(exception) if exception.is("queue", "Empty") => {
                Failed::InTime("the queue is empty")
            }
            Some(exception) if exception.is("queue", "ShutDown") => GetError::ShutDown.into(),
            _ => error.into(),
        })?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", shown(&item, json)).and_then(|()| stdout.flush()).map_err(
            |error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failed::Unread,
                _ => error.into(),
            },
        )?;
        if done {
            queue.task_done()?;
        }
    }
    Ok(())
}

/// Text as it is, anything else as JSON, and what JSON cannot say as Python shows it.
fn shown(item: &Value, json: bool) -> String {
    match (item.root().as_str(), from_value::<serde_json::Value>(item)) {
        (Some(text), _) if !json => text.to_owned(),
        (_, Ok(value)) => value.to_string(),
        (_, Err(_)) => item.to_string(),
    }
}

fn len(which: &Which) -> Result<(), Failed> {
    let len = connect(which)?.len()?;
    writeln!(io::stdout(), "{len}").map_err(|_| Failed::Unread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_shown_as_text_json_or_python() {
        let list = Value::list([Value::from(1), Value::from("a")]);
        assert_eq!(shown(&list, false), r#"[1,"a"]"#);
        assert_eq!(shown(&Value::from("it's"), false), "it's");
        assert_eq!(shown(&Value::from("it's"), true), r#""it's""#);
        assert_eq!(shown(&Value::from(vec![0u8, b'a']), false), r"b'\x00a'");
    }
}
