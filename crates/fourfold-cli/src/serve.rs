//! `fourfold serve`: queues and locks for programs of Python and of this library.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use clap::{Args, ValueEnum};
use fourfold::cluster::manager::{Globals, HandBack, QueueOptions, Server, ServerBuilder};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::exit;
use crate::key::{KeyFile, fail};

/// Serve queues and locks in the protocol of Python's multiprocessing.managers.
///
/// Stock Python programs from 2.7 on use them with a plain BaseManager, whose address and authkey are those given here.
/// The first line of output says where it listens. It runs until it gets a signal, or a client shuts it down.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: PORT on this machine, HOST:PORT, a path with a / in it, or @NAME. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    python: String,

    #[command(flatten)]
    key: KeyFile,

    /// Serve a queue under a name, first in first out; with =N, of at most N items. May be given again.
    #[arg(long, value_name = "NAME[=N]", value_parser = named)]
    queue: Vec<Named>,

    /// The same, last in first out.
    #[arg(long, value_name = "NAME[=N]", value_parser = named)]
    lifo_queue: Vec<Named>,

    /// The same, the smallest item first.
    #[arg(long, value_name = "NAME[=N]", value_parser = named)]
    priority_queue: Vec<Named>,

    /// Serve a lock under a name. It is free when the connection of its holder ends.
    #[arg(long, value_name = "NAME")]
    lock: Vec<String>,

    /// Give an item of this queue to another consumer when the connection of the one that took it ends: unless it has asked
    /// for the next one (until-next, which NAME alone means), or has called task_done (until-done). May be given again.
    #[arg(long, value_name = "NAME[=WHEN]", value_parser = handed_back)]
    hand_back: Vec<(String, When)>,

    /// Let clients use what is named here, and not create queues, lists or locks of their own.
    #[arg(long)]
    no_create: bool,

    /// Let only values through that name well-known classes or these: MODULE:NAME. May be given again.
    #[arg(long, value_name = "MODULE:NAME", value_parser = global)]
    allow: Vec<(String, String)>,

    /// Refuse clients that authenticate by HMAC-MD5, as all of CPython before 3.12 does.
    #[arg(long)]
    no_md5: bool,

    /// Listen where other machines can reach it. The protocol has no encryption: whoever can read the network reads
    /// every item, and whoever can change it can take over a connection. Better: a tunnel.
    #[arg(long)]
    plaintext: bool,
}

/// A name, and how many items it holds.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    name: String,
    capacity: usize,
}

fn named(typed: &str) -> Result<Named, String> {
    let (name, capacity) = match typed.split_once('=') {
        Some((name, number)) => (name, number.parse().map_err(|_| "N is a number")?),
        None => (typed, 0),
    };
    match name {
        "" => Err("a name is missing".to_owned()),
        name => Ok(Named { name: name.to_owned(), capacity }),
    }
}

fn global(typed: &str) -> Result<(String, String), String> {
    let (module, name) = typed.split_once(':').ok_or("MODULE:NAME is wanted")?;
    Ok((module.to_owned(), name.to_owned()))
}

/// Until when the end of its consumer brings an item back.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum When {
    UntilDone,
    UntilNext,
}

fn handed_back(typed: &str) -> Result<(String, When), String> {
    let (name, when) = typed.split_once('=').unwrap_or((typed, "until-next"));
    match When::from_str(when, false) {
        Ok(when) if !name.is_empty() => Ok((name.to_owned(), when)),
        Ok(_) => Err("a name is missing".to_owned()),
        Err(_) => Err("WHEN is until-next or until-done".to_owned()),
    }
}

impl ServeArgs {
    fn builder(&self) -> Result<ServerBuilder, Wrong> {
        let options = QueueOptions::default();
        let mut builder = Server::builder(self.key.read()?)
            .creation(!self.no_create)
            .allow_md5(!self.no_md5)
            .plaintext(self.plaintext);
        let kinds = [
            (&self.queue, options),
            (&self.lifo_queue, options.lifo()),
            (&self.priority_queue, options.priority()),
        ];
        for (queues, options) in kinds {
            for Named { name, capacity } in queues {
                let options = options.capacity(*capacity).hand_back(self.hand_back_of(name));
                builder = builder.queue_with(name, options);
            }
        }
        let served = || kinds.iter().flat_map(|(queues, _)| queues.iter());
        for (name, _) in &self.hand_back {
            if !served().any(|queue| queue.name == *name) {
                return Err(Wrong::from(format!("--hand-back {name}: no queue has this name")));
            }
        }
        for name in &self.lock {
            builder = builder.lock(name);
        }
        if !self.allow.is_empty() {
            let globals = self
                .allow
                .iter()
                .fold(Globals::standard(), |globals, (module, name)| globals.and(module, name));
            builder = builder.globals(globals);
        }
        Ok(builder)
    }

    fn hand_back_of(&self, queue: &str) -> HandBack {
        match self.hand_back.iter().rfind(|(name, _)| name == queue) {
            None => HandBack::Never,
            Some((_, When::UntilDone)) => HandBack::UntilDone,
            Some((_, When::UntilNext)) => HandBack::UntilNext,
        }
    }
}

/// Why it cannot begin.
type Wrong = Box<dyn std::error::Error>;

pub(crate) fn run(typed: &ServeArgs) -> ExitCode {
    let server = typed.builder().and_then(|builder| Ok(builder.bind(&typed.python)?));
    match server.and_then(|server| Ok(serve(server)?)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(signal) => ExitCode::from(exit::of_signal(signal)),
        Err(error) => fail(&error),
    }
}

/// Serves until a signal comes, and says which; or until a client shuts it down, and says 0.
fn serve(server: Server) -> io::Result<i32> {
    let came = Arc::new(AtomicI32::new(0));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    let stopper = server.stopper();
    let watcher = std::thread::spawn({
        let came = came.clone();
        move || {
            if let Some(signal) = signals.forever().next() {
                came.store(signal, Ordering::Relaxed);
                stopper.stop();
            }
        }
    });
    let mut stdout = io::stdout();
    // Whoever started it may have stopped to read.
    let _ = writeln!(stdout, "{}", server.address()).and_then(|()| stdout.flush());
    let ended = server.wait();
    handle.close();
    let _ = watcher.join();
    ended?;
    Ok(came.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_named_with_its_capacity() {
        assert_eq!(named("tasks"), Ok(Named { name: "tasks".into(), capacity: 0 }));
        assert_eq!(named("tasks=9"), Ok(Named { name: "tasks".into(), capacity: 9 }));
        assert!(named("tasks=many").is_err() && named("=9").is_err());
        assert!(global("decimal").is_err());
    }

    #[test]
    fn a_queue_hands_back_until_something() {
        assert_eq!(handed_back("tasks"), Ok(("tasks".into(), When::UntilNext)));
        assert_eq!(handed_back("tasks=until-done"), Ok(("tasks".into(), When::UntilDone)));
        assert!(handed_back("tasks=sometimes").is_err() && handed_back("=until-next").is_err());
    }
}
