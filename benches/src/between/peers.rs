//! What others have between processes: the bare system in C, ipc-channel, CPython.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};

use super::transfer::{Item as _, Struct};
use crate::Failure;
use crate::place::Seats;
use crate::tools;

/// A program that measures what a line asks for, and answers with a line: the seconds of one.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(mut command: Command) -> Result<Program, Failure> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("a pipe was asked for")?;
        let output = BufReader::new(child.stdout.take().ok_or("a pipe was asked for")?);
        Ok(Program { child, input, output })
    }

    fn ask(&mut self, line: &str) -> Result<f64, Failure> {
        writeln!(self.input, "{line}")?;
        self.input.flush()?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err(format!("no answer to `{line}`").into());
        }
        Ok(answer.trim().parse()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The system itself, and the mutex of its C library.
pub(super) struct C(Program);

impl C {
    pub(super) fn start() -> Result<C, Failure> {
        Program::start(Command::new(tools::between()?)).map(C)
    }

    /// A word to and fro, by two that look so often before they sleep.
    pub(super) fn futex(&mut self, count: u32, looks: u32, seats: Seats) -> Result<f64, Failure> {
        self.0.ask(&format!("futex {count} {looks} {} {}", core(seats, 0), core(seats, 1)))
    }

    /// 64 bytes to and fro.
    pub(super) fn socket(&mut self, count: u32, seats: Seats) -> Result<f64, Failure> {
        self.0.ask(&format!("socket {count} {} {}", core(seats, 0), core(seats, 1)))
    }

    /// Turns of a robust mutex, so many by each of two.
    pub(super) fn mutex(&mut self, count: u32, seats: Seats) -> Result<f64, Failure> {
        self.0.ask(&format!("mutex {count} {} {}", core(seats, 0), core(seats, 1)))
    }

    /// Turns of a robust mutex by one.
    pub(super) fn alone(&mut self, count: u32, seats: Seats) -> Result<f64, Failure> {
        self.0.ask(&format!("alone {count} {}", core(seats, 0)))
    }
}

fn core(seats: Seats, index: usize) -> i64 {
    seats.core(index).map_or(-1, |core| core as i64)
}

/// CPython's multiprocessing.Queue.
pub(super) struct Python(Program);

impl Python {
    pub(super) fn start() -> Result<Python, Failure> {
        let mut command = Command::new(tools::system("python3", "python3")?);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/between.py");
        command.args(["-s", "-E"]).arg(script);
        Program::start(command).map(Python)
    }

    pub(super) fn transfer(
        &mut self,
        count: usize,
        pairs: usize,
        seats: Seats,
    ) -> Result<f64, Failure> {
        let cores = (0..2 * pairs).filter_map(|index| seats.core(index));
        let cores: String = cores.map(|core| format!(" {core}")).collect();
        self.0.ask(&format!("{count} {pairs}{cores}"))
    }
}

/// The part of the other process of ipc-channel's transfers.
pub(crate) const IPC: &str = "--ipc";

/// Where it gets its orders and its items from, and where it says that it is done.
type Ends = (IpcSender<(Seats, u64)>, IpcSender<Struct>, IpcReceiver<u64>);

/// Another process, which receives by ipc-channel.
pub(super) struct Ipc {
    child: Child,
    ends: Ends,
}

impl Ipc {
    pub(super) fn start() -> Result<Ipc, Failure> {
        let (server, name) = IpcOneShotServer::<Ends>::new()?;
        let child = Command::new(env::current_exe()?).args([IPC, &name]).spawn()?;
        let (_, ends) = server.accept()?;
        Ok(Ipc { child, ends })
    }

    pub(super) fn send(&mut self, seats: Seats, count: usize) -> Result<f64, Failure> {
        let (orders, items, done) = &self.ends;
        orders.send((seats, count as u64))?;
        // It is about to begin.
        done.recv()?;
        let began = Instant::now();
        for n in 0..count as u64 {
            items.send(Struct::new(n))?;
        }
        let sum = done.recv()?;
        match sum == (0..count as u64).sum() {
            true => Ok(began.elapsed().as_secs_f64() / count as f64),
            false => Err("items were lost".into()),
        }
    }
}

impl Drop for Ipc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Receives what it is told to, until nobody tells it any more.
pub(crate) fn ipc_partner(name: &str) -> Result<(), Failure> {
    let (to_orders, orders) = ipc::channel::<(Seats, u64)>()?;
    let (to_items, items) = ipc::channel::<Struct>()?;
    let (done, from_done) = ipc::channel::<u64>()?;
    IpcSender::<Ends>::connect(name.to_owned())?.send((to_orders, to_items, from_done))?;
    while let Ok((seats, count)) = orders.recv() {
        seats.sit(1)?;
        done.send(0)?;
        let mut sum = 0;
        for _ in 0..count {
            sum += items.recv()?.number();
        }
        done.send(sum)?;
    }
    Ok(())
}
