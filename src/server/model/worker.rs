//! A worker process of [`Prefork`](super::Prefork): what it is told, what it tells, and what it does.
//!
//! Its parent hands it connections through a pipe; it says of each that it has it, and after a while how many are over. What the parent has
//! sent and not heard of is the parent's still, which keeps a copy of the socket: another worker gets it if this one dies.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::address::Address;
use super::super::core::{Accepted, Core};
use super::super::counters::Counters;
use super::super::event::Event;
use super::super::handle::{LAST, start};
use super::super::handler::Portable;
use super::super::listener::Socket;
use super::super::settings::Settings;
use super::{Begin, Crew};
use crate::error::{Error, Result};
use crate::process::{Duplex, Fd, GetError};
use crate::task::packed::Packed;

#[derive(Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// A connection, with what goes along with each, if anything does.
    Take(Fd<OwnedFd>, Address, Option<Packed>),
    /// Nothing more comes: it ends when its connections have. Those that are there so long from now, and idle, are let go then, and the others cut
    /// soon after.
    Retire(Duration),
    /// The last message: the server shuts down. It lets go of idle connections at once, and cuts what is there so long from now.
    Drain(Duration),
}

#[derive(Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// It takes connections.
    Ready,
    /// It has the next of those that were sent.
    Taken,
    /// It has no descriptor for the next of those that were sent, which it does not have.
    Refused,
    /// It had nobody to serve a connection of those that it has taken, for the user to hear.
    Rejected(Address, Error),
    /// A process of its own is gone that was to stay, and how it ended.
    Lost(u32, Error),
    /// So many connections are over, all in all, which of those with tickets are, and what it has counted.
    Report(u64, Vec<u64>, Box<Counters>),
}

/// How often it tells what it has counted, if there is anything new.
pub(super) const REPORT: Duration = Duration::from_millis(100);

/// What a worker is given.
#[derive(Serialize, Deserialize)]
pub(super) struct Given<A, M> {
    pub(super) end: Duplex<FromWorker, ToWorker>,
    pub(super) settings: Settings,
    pub(super) model: M,
    pub(super) args: A,
}

/// The whole life of a worker. Gives what it has counted.
pub(super) fn work<H, M>(code: H::Code, given: Given<H::Args, M>) -> Result<Counters>
where
    H: Portable,
    M: Begin<H>,
{
    let Given { end, settings, model, args } = given;
    let handler = H::again(code, args);
    let end = Arc::new(end);
    let for_events = Arc::clone(&end);
    let core = Core::new(settings, Box::new(move |event| pass_on(event, &for_events)))?;
    let crew: Arc<dyn Crew> = Arc::from(model.crew(&core, handler)?);
    let for_watch = Arc::clone(&core);
    start("fourfold-watch", move || for_watch.ledger.watch())?;
    // The crew may be at a connection as long as that lasts; messages are read meanwhile.
    let (hand, taken) = mpsc::channel::<Accepted>();
    let for_hand = (Arc::clone(&core), Arc::clone(&crew));
    start("fourfold-hand", move || {
        let (core, crew) = for_hand;
        for accepted in taken {
            if let Err((peer, error)) = crew.take(accepted) {
                core.reject(peer, error);
            }
        }
    })?;
    let is_over = Arc::new(AtomicBool::new(false));
    let reporter = {
        let (core, crew, end) = (Arc::clone(&core), Arc::clone(&crew), Arc::clone(&end));
        let is_over = Arc::clone(&is_over);
        start("fourfold-report", move || report(&core, &*crew, &end, &is_over))?
    };
    let limit = if end.send(FromWorker::Ready).is_ok() {
        receive(&core, &end, &hand)
    } else {
        Duration::ZERO
    };
    core.stop();
    core.ledger.drain();
    crew.drain(limit);
    if !core.wait_empty(Instant::now().checked_add(limit)) {
        core.ledger.kill();
        crew.kill();
        core.wait_cut(Instant::now() + LAST);
    }
    crew.close(core.seated() == 0);
    core.tell_all();
    is_over.store(true, Ordering::SeqCst);
    core.nudge();
    reporter.thread().unpark();
    let _ = reporter.join();
    Ok(counters(&core, &*crew))
}

/// Has the parent tell its user.
pub(super) fn pass_on(event: Event, end: &Duplex<FromWorker, ToWorker>) {
    // As the server's own function does, where the user has given none.
    if matches!(event, Event::WorkerStarted { .. }) {
        return;
    }
    let Event::Rejected { peer, error } = event else { return say(&event) };
    if let Err(unsent) = end.send(FromWorker::Rejected(peer, error))
        && let FromWorker::Rejected(peer, error) = unsent.into_item()
    {
        say(&Event::Rejected { peer, error });
    }
}

fn say(event: &Event) {
    crate::system::tell(format_args!("fourfold server: {event}"));
}

/// How often a worker that retires looks whether it has connections.
const LOOK: Duration = Duration::from_millis(50);

/// Hands out what comes, until it is to let go of its connections. Gives how long those have that are in a turn then.
fn receive(
    core: &Arc<Core>,
    end: &Duplex<FromWorker, ToWorker>,
    hand: &mpsc::Sender<Accepted>,
) -> Duration {
    let mut retired: Option<Option<Instant>> = None;
    loop {
        let message = match retired {
            None => end.recv(),
            Some(until) => {
                if core.seated() == 0 || until.is_some_and(|until| Instant::now() >= until) {
                    return LAST;
                }
                end.recv_timeout(LOOK)
            }
        };
        match message {
            Ok(ToWorker::Take(Fd(socket), peer, _)) => {
                let seat = core.seat();
                let socket = Socket::from_fd(socket, &peer);
                // Before anything is done with it: what a client has heard from is nobody else's, and it cannot be over before
                // the parent knows that it has begun.
                if end.send(FromWorker::Taken).is_err() {
                    return Duration::ZERO;
                }
                let _ = hand.send(Accepted { socket, peer, seat });
            }
            Ok(ToWorker::Retire(limit)) => retired = Some(Instant::now().checked_add(limit)),
            Ok(ToWorker::Drain(limit)) => return limit,
            Err(GetError::Empty) => {}
            // What comes with a descriptor is a connection.
            Err(GetError::Failed(_)) => {
                if end.send(FromWorker::Refused).is_err() {
                    return Duration::ZERO;
                }
            }
            Err(_) => return Duration::ZERO,
        }
    }
}

fn counters(core: &Core, crew: &dyn Crew) -> Counters {
    let mut counters = core.tally.counters();
    counters.turns += core.ledger.turns();
    crew.count(&mut counters);
    counters
}

/// Tells the parent how many connections are over, and what was counted: as soon as one is over if that is awaited, else now and then.
fn report(core: &Core, crew: &dyn Crew, end: &Duplex<FromWorker, ToWorker>, over: &AtomicBool) {
    let is_awaited = core.settings.is_awaited;
    let (mut seen, mut told) = (0, Counters::default());
    while !over.load(Ordering::SeqCst) {
        if !is_awaited {
            std::thread::park_timeout(REPORT);
        }
        let left = core.wait_left(seen, if is_awaited { REPORT } else { Duration::ZERO });
        let counters = counters(core, crew);
        if (left != seen || counters != told)
            && end.send(FromWorker::Report(left, Vec::new(), Box::new(counters.clone()))).is_err()
        {
            return;
        }
        (seen, told) = (left, counters);
    }
}
