//! A process for each connection.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::address::Address;
use super::super::attend;
use super::super::core::{Accepted, Core, Seat};
use super::super::counters::Counters;
use super::super::event::Event;
use super::super::handler::Portable;
use super::super::listener::Socket;
use super::super::settings::Settings;
use super::aide::Aide;
use super::{Begin, Crew, guarded};
use crate::error::{Error, Outcome, Result};
use crate::process::{self, Child, Fd, Receiver, Sender, StartMethod};
use crate::system::Withheld;

/// A process of its own for each connection, forked from one that is kept ready: what the handler does to its process, it
/// does to that connection alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes;

struct Family<H> {
    handler: H,
    /// Nothing is ever sent: that it has ended tells the children of the shutdown. A fork of this process has no copy of it, which they
    /// would wait for.
    ends: Mutex<Option<(Withheld, Sender<()>)>>,
    news: Receiver<()>,
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// `None` while the child is being started.
    children: HashMap<u64, Option<Child<Result<Counters>>>>,
    counted: Counters,
    lost: u64,
    is_killed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(private_interfaces)]
impl<H: Portable> Begin<H> for Processes {
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        // The supervisor hears of the children's ends, and calls nobody.
        core.begin_telling()?;
        let (ends, news) = process::pipe()?;
        let shared = Shared { core: Arc::clone(core), state: Mutex::default() };
        let ends = Mutex::new(Some((Withheld::new(ends.descriptor())?, ends)));
        Ok(Box::new(Family { handler, ends, news, shared: Arc::new(shared) }))
    }
}

/// What a child is given.
#[derive(Serialize, Deserialize)]
struct Given<A> {
    socket: Fd<OwnedFd>,
    peer: Address,
    settings: Settings,
    news: Receiver<()>,
    args: A,
}

/// In the child: one connection.
fn serve<H: Portable>(code: H::Code, given: Given<H::Args>) -> Result<Counters> {
    let Given { socket: Fd(socket), peer, settings, news, args } = given;
    let handler = H::again(code, args);
    let core = Core::of_one(settings, Aide::new(news))?;
    let seat = core.seat();
    let socket = Socket::from_fd(socket, &peer);
    attend::in_thread(&core, &handler, Accepted { socket, peer, seat });
    Ok(core.tally.counters())
}

impl<H: Portable> Crew for Family<H> {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        let Accepted { socket, peer, seat } = accepted;
        self.launch(socket, peer.clone(), seat).map_err(|error| (peer, error))
    }

    fn drain(&self, _limit: Duration) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn kill(&self) {
        let mut state = self.shared.state();
        state.is_killed = true;
        for child in state.children.values().flatten() {
            child.kill();
        }
    }

    fn count(&self, counters: &mut Counters) {
        let state = self.shared.state();
        counters.add(&state.counted);
        counters.workers = state.children.len() as u64;
        counters.workers_lost += state.lost;
    }

    fn close(&self, _are_idle: bool) {
        self.drain(Duration::ZERO);
        self.kill();
    }
}

impl<H: Portable> Family<H> {
    fn launch(&self, socket: Socket, peer: Address, seat: Seat) -> Result<()> {
        let news = self.news.try_clone()?;
        let mut settings = self.shared.core.settings.clone();
        settings.max_connections = 1;
        let socket = match socket {
            Socket::Tcp(socket) => OwnedFd::from(socket),
            Socket::Unix(socket) => OwnedFd::from(socket),
        };
        let builder =
            process::Builder::new().name("fourfold-conn").start_method(StartMethod::Forkserver);
        let id = {
            let mut state = self.shared.state();
            state.next += 1;
            let id = state.next;
            state.children.insert(id, None);
            id
        };
        let child = guarded(|| {
            let (code, args) = self.handler.parts();
            let given = Given { socket: Fd(socket), peer: peer.clone(), settings, news, args };
            builder.spawn(move |given| serve::<H>(code, given), given)
        });
        let child = child.inspect_err(|_| {
            self.shared.state().children.remove(&id);
        })?;
        let pid = child.pid();
        let shared = Arc::clone(&self.shared);
        child.on_end(move |outcome| {
            if let Some(event) = shared.done(id, pid, &peer, outcome) {
                shared.core.tell(event);
            }
            // Its seat is kept until it has ended, however: then the server may be over, and tells nothing more.
            drop(seat);
        });
        let mut state = self.shared.state();
        if state.is_killed {
            child.kill();
        }
        // It may have ended already, and be gone from the list.
        if let Some(place) = state.children.get_mut(&id) {
            *place = Some(child);
        }
        Ok(())
    }
}

impl Shared {
    /// Gives what is to be told of its end.
    fn done(
        &self,
        id: u64,
        pid: u32,
        peer: &Address,
        outcome: &Outcome<Result<Counters>>,
    ) -> Option<Event> {
        let mut state = self.state();
        let child = state.children.remove(&id);
        let event = match outcome {
            Ok(Ok(counters)) => {
                state.counted.add(counters);
                None
            }
            // Its handler has not begun.
            Ok(Err(error)) => {
                state.counted.rejected += 1;
                let error = Error::new(error.kind()).with_message(error.to_string());
                Some(Event::Rejected { peer: peer.clone(), error })
            }
            Err(_) if state.is_killed => {
                state.counted.cut += 1;
                None
            }
            Err(error) => {
                state.lost += 1;
                Some(Event::WorkerLost { pid: Some(pid), error: again(error, pid) })
            }
        };
        drop(state);
        drop(child);
        event
    }
}

/// How a child ended, as the server's own error: somebody else keeps the one with all of it.
fn again(error: &Error, pid: u32) -> Error {
    Error::new(error.kind()).with_task("fourfold-conn").with_pid(pid)
}
