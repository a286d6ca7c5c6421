//! Submit and join of a no-op on an idle pool of two processes, beside a bare ping-pong and procspawn's pool.

use std::env;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use fourfold::process;

use crate::Failure;
use crate::contest::{Contest, Verdict, each};
use crate::place::{self, Placing};

/// The part of the other process of the ping-pong.
pub(crate) const ECHO: &str = "--echo";

const MESSAGE: usize = 64;
const ROUNDS: usize = 15;
const CALLS: u32 = 500;

pub(crate) fn run() -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::new();
    for placing in [Placing::Pinned, Placing::Free] {
        verdicts.extend(place::with(placing, || measure(placing))?);
    }
    Ok(verdicts)
}

fn measure(placing: Placing) -> Result<Vec<Verdict>, Failure> {
    let ours = placing.place(idle_pool)?;
    let theirs = placing.place(|| {
        let pool = procspawn::Pool::new(2)?;
        let naps: Vec<_> = (0..4)
            .map(|_| procspawn::spawn!(in pool, () || std::thread::sleep(std::time::Duration::from_millis(20))))
            .collect();
        naps.into_iter().try_for_each(|nap| nap.join())?;
        Ok(pool)
    })?;
    let mut partner = placing.place(Partner::start)?;

    let title = format!("Submit and join a no-op, idle pool of 2 processes, {}", placing.name());
    let mut contest = Contest::new(title);
    contest.entry("fourfold", || each(CALLS, || Ok(ours.submit(nothing, ()).join()?)));
    contest.entry("socketpair", || each(CALLS, || partner.ping()));
    contest
        .entry("procspawn", || each(CALLS, || Ok(procspawn::spawn!(in theirs, () || ()).join()?)));
    let results = contest.run(ROUNDS)?;
    theirs.shutdown();
    Ok(vec![
        results.at_most(2.0, "fourfold", "socketpair"),
        results.ahead(10.0, "fourfold", "procspawn"),
    ])
}

/// A pool of two processes, both of which have been started.
pub(crate) fn idle_pool() -> Result<process::Executor, Failure> {
    let pool = process::Executor::builder().workers(2).build()?;
    // Both workers have been started once both have worked.
    let nap = std::time::Duration::from_millis(20);
    let naps: Vec<_> = (0..4).map(|_| pool.submit(std::thread::sleep, nap)).collect();
    naps.into_iter().try_for_each(|nap| nap.join())?;
    Ok(pool)
}

pub(crate) fn nothing() {}

/// A process that sends back what it is sent.
/// Another process that sends back what it gets: what no call between processes can be faster than.
pub(crate) struct Partner {
    child: Child,
    socket: UnixStream,
}

impl Partner {
    pub(crate) fn start() -> Result<Partner, Failure> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(env::current_exe()?)
            .arg(ECHO)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        let mut partner = Partner { child, socket: ours };
        partner.ping()?;
        Ok(partner)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ping(&mut self) -> Result<(), Failure> {
        let mut message = [7; MESSAGE];
        self.socket.write_all(&message)?;
        Ok(self.socket.read_exact(&mut message)?)
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends back what comes over standard input, until it ends.
pub(crate) fn echo() {
    let mut message = [0; MESSAGE];
    // Standard input is the socket.
    let stdin = rustix::stdio::stdin();
    loop {
        match rustix::io::read(stdin, &mut message) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if rustix::io::write(stdin, &message[..count]).is_err() {
                    return;
                }
            }
        }
    }
}
