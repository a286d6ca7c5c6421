//! Worker processes that are kept, each with a model of its own.
//!
//! The parent accepts, and hands each connection to a worker in turn: to one that takes connections and has room. A connection is
//! *pending* from when it was sent until the worker has said that it has it; in that time the parent keeps a copy of its socket, and
//! gives it to another if the worker dies, or has no descriptor for it. Connections for which there is no worker just now wait in the parent,
//! *homeless*; while there are a few of those, no more are accepted. So few are pending that a worker's pipe has room for what else it is told.
//!
//! A *keeper*, one thread in the parent for each worker, starts it, hears what it tells, and starts it again if it dies: at once
//! if it had lived for a second, else after a while that doubles. A worker that is to be replaced goes on until the one that
//! replaces it is ready; then it is given nothing more, and ends when its connections have.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::accept::Refused;
use super::super::core::{Accepted, Core, Seat};
use super::super::counters::Counters;
use super::super::event::Event;
use super::super::handle::{LAST, join, start};
use super::super::handler::Portable;
use super::worker::{FromWorker, Given, ToWorker, work};
use super::{Begin, Crew, guarded};
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Child, Duplex, Fd, GetError, PutError};
use crate::task::Payload;

/// So many worker processes, each of which serves the connections that it is given by a model of its own:
/// `Prefork(4, Coroutines(1))`. A worker that dies takes its connections with it, no others, and is replaced at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefork<M>(pub usize, pub M);

/// How long it waits before it starts a worker again that has not lived for a second: doubled each time, up to the last.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
const GROWN_UP: Duration = Duration::from_secs(1);
/// How often a keeper looks at its worker's age and memory.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks for room while connections are homeless, and how long a worker that has no descriptor is given none.
const SHORT: Duration = Duration::from_millis(100);
/// So many connections may be pending at a worker, and homeless: fewer than a pipe has room for.
const PENDING: usize = 64;
const HOMELESS: usize = 16;
/// A copy of a socket, and what its message takes on its way.
const SPARE: usize = 3;

#[allow(private_interfaces)]
impl<H, M> Begin<H> for Prefork<M>
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync,
{
    fn crew(&self, core: &Arc<Core>, handler: H) -> Result<Box<dyn Crew>> {
        let Prefork(workers, model) = self;
        if *workers == 0 {
            return Err(Error::invalid(
                "a server of processes needs a worker: Prefork(1, ...) at least",
            ));
        }
        let pool = Arc::new(Pool {
            core: Arc::clone(core),
            handler,
            model: model.clone(),
            room: Begin::<H>::most_at_once(model).unwrap_or(usize::MAX),
            state: Mutex::default(),
            news: Condvar::new(),
        });
        pool.state().save(&core.bell);
        let crew = Workers(Arc::clone(&pool));
        let (tell, told) = mpsc::channel();
        for _ in 0..*workers {
            pool.keep(None, Some(tell.clone()))?;
        }
        drop(tell);
        // Until each of them is ready: what keeps one from that, it keeps from its beginning.
        let mut ready = 0;
        for first in told {
            first?;
            ready += 1;
        }
        if ready < *workers {
            return Err(Error::new(ErrorKind::NotStarted).with_message("a worker did not start"));
        }
        Ok(Box::new(crew))
    }
}

struct Pool<H, M> {
    core: Arc<Core>,
    handler: H,
    model: M,
    /// How many connections a worker can have.
    room: usize,
    state: Mutex<State>,
    /// Of workers that come and go, and of the end.
    news: Condvar,
}

#[derive(Default)]
struct State {
    workers: Vec<Worker>,
    next_id: u64,
    /// Where the round has come to.
    turn: usize,
    homeless: VecDeque<Accepted>,
    /// Descriptors that stand for nothing, but for those that it takes to hand out one connection when no others are left.
    spare: Vec<OwnedFd>,
    /// Of workers that have ended.
    counted: Counters,
    lost: u64,
    keepers: Vec<JoinHandle<()>>,
    is_stopping: bool,
    is_killed: bool,
}

/// A worker, as long as it lives.
struct Worker {
    id: u64,
    end: Arc<Duplex<ToWorker, FromWorker>>,
    child: Child<Result<Counters>>,
    /// It takes connections.
    is_ready: bool,
    /// It was told to end when its connections have, and is given no more.
    is_retired: bool,
    /// It was told to let go of them.
    is_drained: bool,
    /// It is to be replaced, and the one that replaces it is on its way.
    is_due: bool,
    pending: VecDeque<Accepted>,
    seats: Vec<Seat>,
    /// It has no descriptors, until then.
    short: Option<Instant>,
    left: u64,
    given: u64,
    began: Instant,
    counters: Counters,
}

/// Told by a keeper of its first worker.
type First = mpsc::Sender<Result<()>>;

impl<H, M> Pool<H, M> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn worker(&mut self, id: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    /// Hands out what has no home, as far as there are workers for it.
    fn hand_out(&mut self, room: usize) {
        while let Some(accepted) = self.homeless.pop_front() {
            let given = self.give(accepted, room).or_else(|accepted| {
                // The kernel may have no descriptor for the copy: there are some again.
                self.spare.clear();
                self.give(accepted, room)
            });
            if let Err(accepted) = given {
                self.homeless.push_front(accepted);
                return;
            }
        }
    }

    /// Sets descriptors aside.
    fn save(&mut self, bell: &OwnedFd) {
        while self.spare.len() < SPARE {
            let Ok(spare) = bell.try_clone() else { return };
            self.spare.push(spare);
        }
    }

    /// Whether there is a worker that can be given another.
    fn has_room(&self, room: usize) -> bool {
        self.workers.iter().any(|worker| worker.can_take(room))
    }

    /// Gives a connection to the next worker that can take it.
    fn give(&mut self, accepted: Accepted, room: usize) -> Result<(), Accepted> {
        let count = self.workers.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let worker = &mut self.workers[at];
            if !worker.can_take(room) {
                continue;
            }
            let Ok(copy) = accepted.socket.try_clone_fd() else { return Err(accepted) };
            let message = ToWorker::Take(Fd(copy), accepted.peer.clone());
            match worker.end.try_send(message) {
                Ok(()) => {
                    worker.given += 1;
                    worker.pending.push_back(accepted);
                    self.turn = at + 1;
                    return Ok(());
                }
                // One that is gone is passed over.
                Err(PutError::Full(_) | PutError::ShutDown(_)) => {}
                // For want of memory or descriptors: nothing else can be wrong with it.
                Err(PutError::Failed(..)) => return Err(accepted),
            }
        }
        Err(accepted)
    }
}

impl Worker {
    /// Whether it can be given another connection.
    fn can_take(&self, room: usize) -> bool {
        let is_short = self.short.is_some_and(|until| Instant::now() < until);
        self.is_ready
            && !self.is_retired
            && !is_short
            && self.pending.len() < PENDING
            && self.pending.len() + self.seats.len() < room
    }

    fn retire(&mut self, limit: Duration) {
        if !std::mem::replace(&mut self.is_retired, true) {
            self.tell(ToWorker::Retire(limit));
        }
    }

    fn drain(&mut self, limit: Duration) {
        self.is_retired = true;
        if !std::mem::replace(&mut self.is_drained, true) {
            self.tell(ToWorker::Drain(limit));
        }
    }

    fn tell(&self, message: ToWorker) {
        if self.end.try_send(message).is_err() {
            // It does not read, or is gone.
            self.child.kill();
        }
    }
}

/// How a worker's life ended.
enum End {
    /// It was told to.
    Drained,
    /// It was not, after so long.
    Lost(Duration),
}

impl<H, M> Pool<H, M>
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync,
{
    /// Starts a keeper, whose first worker replaces another.
    fn keep(self: &Arc<Self>, replaces: Option<u64>, first: Option<First>) -> Result<()> {
        let pool = Arc::clone(self);
        let keeper = start("fourfold-keeper", move || pool.keeper(replaces, first))?;
        let mut state = self.state();
        state.keepers.retain(|keeper| !keeper.is_finished());
        state.keepers.push(keeper);
        Ok(())
    }

    fn keeper(self: Arc<Self>, mut replaces: Option<u64>, mut first: Option<First>) {
        let mut pause = Duration::ZERO;
        loop {
            if self.state().is_stopping {
                return;
            }
            let end = match self.launch() {
                Ok(id) => self.hear(id, &mut replaces, &mut first),
                Err(error) => {
                    if let Some(first) = first.take() {
                        let _ = first.send(Err(error));
                        return;
                    }
                    self.state().lost += 1;
                    self.core.tell(Event::WorkerLost { pid: None, error });
                    End::Lost(Duration::ZERO)
                }
            };
            pause = match end {
                End::Drained => return,
                End::Lost(lived) if lived >= GROWN_UP => Duration::ZERO,
                End::Lost(_) => (pause * 2).clamp(BACK_OFF[0], BACK_OFF[1]),
            };
            let state = self.state();
            drop(self.news.wait_timeout_while(state, pause, |state| !state.is_stopping));
        }
    }

    fn launch(&self) -> Result<u64> {
        let (end, theirs) = process::duplex()?;
        let mut settings = self.core.settings.clone();
        // They are counted here.
        settings.max_connections = usize::MAX;
        let builder = process::Builder::new().name("fourfold-worker");
        let child = guarded(|| {
            let (code, args) = self.handler.parts();
            let is_awaited =
                self.core.settings.max_connections != usize::MAX || self.room != usize::MAX;
            let model = self.model.clone();
            let given = Given { end: theirs, settings, is_awaited, model, args };
            builder.spawn(move |given| work::<H, M>(code, given), given)
        })?;
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        if state.is_killed {
            child.kill();
        }
        state.workers.push(Worker {
            id,
            end: Arc::new(end),
            child,
            is_ready: false,
            is_retired: false,
            is_drained: false,
            is_due: false,
            pending: VecDeque::new(),
            seats: Vec::new(),
            short: None,
            left: 0,
            given: 0,
            began: Instant::now(),
            counters: Counters::default(),
        });
        if state.is_stopping
            && let Some(worker) = state.worker(id)
        {
            worker.drain(Duration::ZERO);
        }
        Ok(id)
    }

    /// Hears what a worker tells, to its end.
    fn hear(
        self: &Arc<Self>,
        id: u64,
        replaces: &mut Option<u64>,
        first: &mut Option<First>,
    ) -> End {
        let Some(end) = self.state().worker(id).map(|worker| Arc::clone(&worker.end)) else {
            return End::Drained;
        };
        let mut looked = Instant::now();
        loop {
            let is_homeless = !self.state().homeless.is_empty();
            match end.recv_timeout(if is_homeless { SHORT } else { LOOK }) {
                Ok(FromWorker::Ready) => {
                    let pid = self.ready(id, replaces.take());
                    self.core.tell(Event::WorkerStarted { pid });
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                }
                Ok(FromWorker::Taken) => {
                    let mut state = self.state();
                    let accepted = state.worker(id).and_then(|worker| {
                        let accepted = worker.pending.pop_front()?;
                        Some((worker, accepted))
                    });
                    // The socket is the worker's now.
                    if let Some((worker, Accepted { socket, seat, .. })) = accepted {
                        worker.seats.push(seat);
                        drop(state);
                        drop(socket);
                    }
                    self.hand_out();
                }
                Ok(FromWorker::Refused) => {
                    let mut state = self.state();
                    let accepted = state.worker(id).and_then(|worker| {
                        worker.short = Instant::now().checked_add(SHORT);
                        worker.pending.pop_front()
                    });
                    state.homeless.extend(accepted);
                    drop(state);
                    self.hand_out();
                }
                Ok(FromWorker::Rejected(peer, error)) => {
                    self.core.tell(Event::Rejected { peer, error });
                }
                Ok(FromWorker::Report(left, counters)) => self.report(id, left, *counters),
                Err(GetError::Empty) => self.hand_out(),
                Err(_) => break,
            }
            let memory = (looked.elapsed() >= LOOK).then(|| {
                looked = Instant::now();
                self.memory(id)
            });
            if self.is_due(id, memory.unwrap_or(0)) && self.keep(Some(id), None).is_err() {
                // There is no thread for it now: it is looked at again.
                if let Some(worker) = self.state().worker(id) {
                    worker.is_due = false;
                }
            }
        }
        drop(end);
        self.bury(id, first)
    }

    /// A worker takes connections: in place of another, if it replaces one. Gives its process.
    fn ready(&self, id: u64, replaces: Option<u64>) -> u32 {
        let mut state = self.state();
        let mut pid = 0;
        if let Some(worker) = state.worker(id) {
            worker.is_ready = true;
            pid = worker.child.pid();
        }
        let limit = self.core.settings.drain;
        if let Some(old) = replaces.and_then(|old| state.worker(old)) {
            old.retire(limit);
        }
        drop(state);
        self.hand_out();
        self.news.notify_all();
        pid
    }

    /// Hands out what is homeless.
    fn hand_out(&self) {
        let mut state = self.state();
        if !state.homeless.is_empty() {
            state.hand_out(self.room);
            state.save(&self.core.bell);
        }
    }

    /// The memory of a worker, if it has a limit.
    fn memory(&self, id: u64) -> u64 {
        if self.core.settings.renew_memory.is_none() {
            return 0;
        }
        let pid = self.state().worker(id).map(|worker| worker.child.pid());
        pid.map_or(0, resident)
    }

    fn report(&self, id: u64, left: u64, counters: Counters) {
        let mut state = self.state();
        let Some(worker) = state.worker(id) else { return };
        let gone = left.saturating_sub(worker.left).min(worker.seats.len() as u64);
        worker.left += gone;
        worker.counters = counters;
        let kept = worker.seats.len() - gone as usize;
        let gone = worker.seats.split_off(kept);
        drop(state);
        // The acceptor may go on.
        drop(gone);
        self.hand_out();
        if self.room != usize::MAX {
            self.core.ring();
        }
    }

    /// Whether a worker is to be replaced, told once.
    fn is_due(&self, id: u64, memory: u64) -> bool {
        let settings = &self.core.settings;
        let mut state = self.state();
        if state.is_stopping {
            return false;
        }
        let Some(worker) = state.worker(id) else { return false };
        if worker.is_due || worker.is_retired || !worker.is_ready {
            return false;
        }
        worker.is_due = settings.renew_after.is_some_and(|most| worker.given >= most)
            || settings.renew_age.is_some_and(|age| worker.began.elapsed() >= age)
            || settings.renew_memory.is_some_and(|most| memory > most);
        worker.is_due
    }

    /// A worker has closed its end, as it ends or with its process. What it had not taken goes to another. It is in the list until its process is
    /// gone, so that it can be killed.
    fn bury(&self, id: u64, first: &mut Option<First>) -> End {
        let mut state = self.state();
        let is_stopping = state.is_stopping;
        let Some(worker) = state.worker(id) else { return End::Drained };
        let was_retired = std::mem::replace(&mut worker.is_retired, true);
        let mut pending = std::mem::take(&mut worker.pending);
        if !is_stopping {
            pending.append(&mut state.homeless);
            state.homeless = std::mem::take(&mut pending);
        }
        drop(state);
        // Of a shutdown: nobody is there for them.
        drop(pending);
        self.hand_out();
        let (worker, outcome) = self.join(id);
        let Worker { child, is_due, seats, began, counters, .. } = worker;
        let mut state = self.state();
        match &outcome {
            Ok(counters) => state.counted.add(counters),
            Err(_) => state.counted.add(&counters),
        }
        let is_stopping = state.is_stopping;
        if is_stopping && outcome.is_err() {
            state.counted.cut += seats.len() as u64;
        }
        // One that was killed at the end of the time was not lost, but cut.
        let error = match outcome {
            Ok(_) if was_retired || is_stopping => None,
            Ok(_) => Some(Error::new(ErrorKind::ShutDown)),
            Err(_) if state.is_killed => None,
            Err(error) => Some(error.with_task("fourfold-worker")),
        };
        state.lost += u64::from(error.is_some());
        self.news.notify_all();
        drop(state);
        drop(seats);
        let Some(error) = error else { return End::Drained };
        if let Some(first) = first.take() {
            let _ = first.send(Err(error));
            return End::Drained;
        }
        self.core.tell(Event::WorkerLost { pid: Some(child.pid()), error });
        // Another keeper has a worker for its place already.
        if is_due || was_retired || is_stopping { End::Drained } else { End::Lost(began.elapsed()) }
    }

    /// Waits for a worker's process to end, and takes it out of the list.
    fn join(&self, id: u64) -> (Worker, Result<Counters>) {
        let mut state = self.state();
        loop {
            let at = state.workers.iter().position(|worker| worker.id == id);
            let at = at.expect("taken out here alone");
            if let Some(outcome) = state.workers[at].child.try_join() {
                let worker = state.workers.remove(at);
                return (worker, outcome.and_then(|result| result));
            }
            let woken = self.news.wait_timeout(state, Duration::from_millis(5));
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Bytes of memory that a process has resident; 0 if it is gone.
fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok().and_then(|text| {
        let pages = text.split_ascii_whitespace().nth(1)?;
        pages.parse::<u64>().ok()
    });
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

struct Workers<H, M>(Arc<Pool<H, M>>)
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync;

impl<H, M> Crew for Workers<H, M>
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync,
{
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        let mut state = self.0.state();
        if state.is_stopping {
            drop(state);
            let Accepted { socket, peer, seat } = accepted;
            drop((socket, seat));
            return Err((peer, Error::new(ErrorKind::ShutDown)));
        }
        state.homeless.push_back(accepted);
        drop(state);
        self.0.hand_out();
        Ok(())
    }

    fn has_room(&self) -> bool {
        let state = self.0.state();
        match self.0.room {
            usize::MAX => state.homeless.len() < HOMELESS,
            room => state.homeless.is_empty() && state.has_room(room),
        }
    }

    fn drain(&self, limit: Duration) {
        let mut state = self.0.state();
        state.is_stopping = true;
        for worker in &mut state.workers {
            worker.drain(limit);
        }
        let homeless = std::mem::take(&mut state.homeless);
        drop(state);
        drop(homeless);
        self.0.news.notify_all();
    }

    fn kill(&self) {
        let mut state = self.0.state();
        state.is_killed = true;
        for worker in &state.workers {
            worker.child.kill();
        }
    }

    fn renew(&self) {
        let mut state = self.0.state();
        let ids: Vec<u64> = state.workers.iter().map(|worker| worker.id).collect();
        for id in ids {
            let Some(worker) =
                state.worker(id).filter(|worker| worker.is_ready && !worker.is_retired)
            else {
                continue;
            };
            if !std::mem::replace(&mut worker.is_due, true) {
                drop(state);
                let is_kept = self.0.keep(Some(id), None).is_ok();
                state = self.0.state();
                if !is_kept {
                    if let Some(worker) = state.worker(id) {
                        worker.is_due = false;
                    }
                    return;
                }
            }
            let waiting = |state: &mut State| {
                !state.is_stopping && state.worker(id).is_some_and(|worker| !worker.is_retired)
            };
            let woken = self.0.news.wait_while(state, waiting);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count(&self, counters: &mut Counters) {
        let state = self.0.state();
        counters.add(&state.counted);
        for worker in &state.workers {
            counters.add(&worker.counters);
        }
        counters.workers += state.workers.iter().filter(|worker| worker.is_ready).count() as u64;
        counters.workers_lost += state.lost;
    }

    fn close(&self, _are_idle: bool) {
        self.drain(Duration::ZERO);
        // They have no connections any more. One that hangs is ended.
        let end = Instant::now() + LAST;
        let mut state = self.0.state();
        while !state.workers.is_empty() {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            let woken = self.0.news.wait_timeout(state, rest);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let keepers = std::mem::take(&mut state.keepers);
        drop(state);
        self.kill();
        keepers.into_iter().for_each(join);
    }
}

impl<H, M> Drop for Workers<H, M>
where
    H: Portable,
    M: Begin<H> + Payload + Clone + Sync,
{
    fn drop(&mut self) {
        self.close(true);
    }
}
