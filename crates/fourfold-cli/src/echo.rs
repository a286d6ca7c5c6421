//! `fourfold echo`: a server that answers each line with itself, under any model of concurrency.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use fourfold::server::{
    self, Address, Builder, Counters, Ended, Flow, Input, Model, Protocol, Server, Signals,
};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::exit;
use crate::key::fail;
use crate::metrics;
use crate::units;

/// Serve an echo: each line that comes is answered with itself.
///
/// The first lines of output say where it listens, and `fourfold connect` talks to it. It runs until it gets SIGINT (Ctrl-C) or SIGTERM;
/// then it accepts nobody, answers what it has read, and says on standard error what it has served. A second such signal
/// cuts the connections that are left. SIGHUP replaces the worker processes, one after another.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// Where to listen: PORT on this machine, HOST:PORT, or unix:PATH. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR", required = true, num_args = 1.., value_parser = address::listening)]
    listen: Vec<Address>,

    /// Who serves a connection: serial, events[:N], coroutines[:N], threads, pool:N, processes, or prefork:N[:MODEL] for N
    /// worker processes with a model of their own.
    #[arg(long, value_name = "MODEL", default_value = "threads")]
    model: Model,

    /// Say this line to each client before it says anything.
    #[arg(long, value_name = "TEXT")]
    greet: Option<String>,

    /// Answer in upper case.
    #[arg(long)]
    upper: bool,

    /// Put this behind each line of an answer.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    append: String,

    /// Let so many connections be there at a time; others wait to be accepted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,

    /// Close a connection whose line is longer than this.
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = units::size)]
    max_line: u64,

    /// Close a connection whose client is silent for so long, as in 500ms, 1m30s, 2h; between lines.
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    idle_timeout: Option<Duration>,

    /// The same, in the middle of a line.
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    read_timeout: Option<Duration>,

    /// Close a connection whose client takes nothing of an answer for so long.
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    write_timeout: Option<Duration>,

    /// At the end, give the connections so long before they are cut.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::duration)]
    drain: Duration,

    /// Replace a worker process (of prefork) after so many connections.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    renew_after: Option<u64>,

    /// Serve the counters to Prometheus there, by HTTP. Whoever can reach the address can read them.
    #[arg(long, value_name = "ADDR", value_parser = address::listening)]
    metrics: Option<Address>,
}

/// How lines are answered. Worker processes get a copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Answers {
    greet: Option<String>,
    upper: bool,
    append: String,
}

/// The conversation with one client.
struct Echo(Answers);

impl Protocol for Echo {
    fn connected(&mut self, answer: &mut Vec<u8>) -> io::Result<Flow> {
        if let Some(text) = &self.0.greet {
            writeln!(answer, "{text}")?;
        }
        Ok(Flow::Go)
    }

    fn received(&mut self, input: &mut Input<'_>, answer: &mut Vec<u8>) -> io::Result<Flow> {
        let line = match input.line() {
            Some(line) => line,
            // The last one may have no end.
            None if input.is_end() => input.all(),
            None => return Ok(Flow::Go),
        };
        match std::str::from_utf8(line) {
            Ok(text) if self.0.upper => answer.extend(text.to_uppercase().bytes()),
            // What is no text has ASCII in it at most.
            Err(_) if self.0.upper => answer.extend(line.to_ascii_uppercase()),
            _ => answer.extend(line),
        }
        answer.extend(self.0.append.bytes());
        answer.push(b'\n');
        Ok(Flow::Go)
    }
}

impl EchoArgs {
    fn builder(&self) -> fourfold::Result<Builder> {
        let mut builder = Server::builder();
        for address in &self.listen {
            builder = builder.listen(address.clone())?;
        }
        builder = builder.max_message(usize::try_from(self.max_line).unwrap_or(usize::MAX));
        if let Some(most) = self.max_connections {
            builder = builder.max_connections(most as usize);
        }
        if let Some(connections) = self.renew_after {
            builder = builder.renew_after(connections);
        }
        type Limit = fn(Builder, Duration) -> Builder;
        let limits: [(Option<Duration>, Limit); 3] = [
            (self.idle_timeout, Builder::idle_timeout),
            (self.read_timeout, Builder::read_timeout),
            (self.write_timeout, Builder::write_timeout),
        ];
        for (limit, set) in limits {
            if let Some(limit) = limit {
                builder = set(builder, limit);
            }
        }
        Ok(builder.measure_latency(self.metrics.is_some()))
    }

    fn answers(&self) -> Answers {
        let EchoArgs { greet, upper, append, .. } = self;
        Answers { greet: greet.clone(), upper: *upper, append: append.clone() }
    }
}

pub(crate) fn run(typed: &EchoArgs) -> ExitCode {
    match serve(typed) {
        Ok(Ended { signal: Some(signal), .. }) => ExitCode::from(exit::of_signal(signal)),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn serve(typed: &EchoArgs) -> fourfold::Result<Ended> {
    // Before anybody is told that it listens, and may end it.
    let signals = Signals::take()?;
    let echo =
        server::protocol_with(typed.answers(), |_peer, answers: &Answers| Echo(answers.clone()));
    let server = Arc::new(typed.builder()?.start(typed.model.clone(), echo)?);
    let metrics = typed.metrics.clone().map(|address| metrics::serve(address, &server));
    let metrics = metrics.transpose()?;
    // Whoever started it may have stopped to read.
    let _ = say(&server, &typed.model, metrics.as_ref());
    let ended = signals.run(&server, typed.drain)?;
    drop(metrics);
    let _ = writeln!(io::stderr(), "fourfold: {}", served(&server.counters(), ended));
    Ok(ended)
}

/// Where it listens.
fn say(server: &Server, model: &Model, metrics: Option<&Server>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for address in server.addresses() {
        writeln!(stdout, "listening on {address} ({model})")?;
    }
    for address in metrics.into_iter().flat_map(Server::addresses) {
        writeln!(stdout, "metrics on {address}")?;
    }
    stdout.flush()
}

/// What was served, in a line; of what went wrong only what did.
fn served(counters: &Counters, ended: Ended) -> String {
    let mut text =
        format!("connections: {}, turns answered: {}", counters.accepted, counters.turns);
    let others = [
        ("turned away", counters.rejected),
        ("failed", counters.failed),
        ("panicked", counters.panicked),
        ("over their time", counters.timed_out),
        ("cut at the end", ended.cut as u64),
        ("workers lost", counters.workers_lost),
    ];
    for (what, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        text.push_str(&format!(", {what}: {count}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answers: &Answers, input: &[u8]) -> String {
        let (mut input, mut answer) = (Input::of(input), Vec::new());
        let mut echo = Echo(answers.clone());
        assert_eq!(echo.connected(&mut answer).unwrap(), Flow::Go);
        loop {
            let left = input.bytes().len();
            assert_eq!(echo.received(&mut input, &mut answer).unwrap(), Flow::Go);
            if input.bytes().len() == left {
                return String::from_utf8_lossy(&answer).into_owned();
            }
        }
    }

    #[test]
    fn lines_are_answered_as_the_options_say() {
        let mut answers = Answers { greet: None, upper: false, append: String::new() };
        assert_eq!(answered(&answers, b"one\r\n\ntwo\nthr"), "one\n\ntwo\n");
        answers.append = " response".into();
        answers.greet = Some("hello".into());
        assert_eq!(answered(&answers, b"one\n"), "hello\none response\n");
        answers.upper = true;
        let expected = "hello\nÄ STRASSE response\n\u{fffd}X response\n";
        assert_eq!(
            answered(
                &answers,
                "ä straße\n"
                    .as_bytes()
                    .iter()
                    .chain(b"\xffx\n")
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            expected
        );
    }
}
