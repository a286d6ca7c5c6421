//! Worker processes that are kept: how they are started, handed connections, replaced and ended, whatever they do with connections.
//!
//! The parent accepts, and hands each connection to a worker in turn: to one that takes connections and has room. A connection is
//! *pending* from when it was sent until the worker has said that it has it; in that time the parent keeps a copy of its socket, and
//! gives it to another if the worker dies, or has no descriptor for it. Connections for which there is no worker just now wait in the parent,
//! *homeless*; while there are a few of those, no more are accepted. So few are pending that a worker's pipe has room for what else it is told; where
//! more goes along with each, that may have to wait for room.
//!
//! A *keeper*, one thread in the parent for each worker, starts it, hears what it tells, and starts it again if it dies: at once
//! if it had lived for a second, else after a while that doubles. A worker that is to be replaced goes on until the one that
//! replaces it is ready; then it is given nothing more, and ends when its connections have.
//!
//! A worker that forks a process for each connection ([`Processes`](super::Processes)) is *behind* those: it is not renewed, but for one that has rights which
//! this process has given up; at the end it is asked to end its forks, and killed only if it does not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::super::accept::Refused;
use super::super::core::{Accepted, Core};
use super::super::counters::Counters;
use super::super::event::Event;
use super::super::handle::{LAST, join, start};
use super::super::settings::Settings;
use super::team::{Rights, State, Unsent, Worker};
use super::worker::{FromWorker, ToWorker};
use super::{Crew, guarded};
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Child, Duplex, GetError, Late};
use crate::task::packed::Packed;
use crate::task::ticket::Tickets;

/// How long it waits before it starts a worker again that has not lived for a second: doubled each time, up to the last.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];
const GROWN_UP: Duration = Duration::from_secs(1);
/// How often a keeper looks at its worker's age and memory.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks for room while connections are homeless, and how long a worker that has no descriptor is given none.
const SHORT: Duration = Duration::from_millis(100);
/// So many connections may be homeless before no more are accepted.
const HOMELESS: usize = 16;

/// What goes along with a connection, and the tickets in it.
pub(super) type Along = (Option<Packed>, Late);

type Start =
    dyn Fn(Duplex<FromWorker, ToWorker>, Settings) -> Result<Child<Result<Counters>>> + Send + Sync;

/// What there is to workers.
pub(super) struct Kind {
    /// What they are called.
    pub(super) name: &'static str,
    /// Starts one, with its end of the pipe. It has code of the user's in it.
    pub(super) start: Box<Start>,
    /// What goes along with each connection, and is kept until that is over. It has code of the user's in it.
    pub(super) along: Box<dyn Fn() -> Result<Along> + Send + Sync>,
    /// How many connections one can have.
    pub(super) room: usize,
    /// They are not the workers that the user knows, but have a process for each connection: those are.
    pub(super) is_behind: bool,
}

impl Kind {
    pub(super) fn of(
        name: &'static str,
        start: impl Fn(Duplex<FromWorker, ToWorker>, Settings) -> Result<Child<Result<Counters>>>
        + Send
        + Sync
        + 'static,
    ) -> Kind {
        let along = Box::new(|| Ok((None, Late::new(Tickets::default()))));
        Kind { name, start: Box::new(start), along, room: usize::MAX, is_behind: false }
    }
}

/// A crew of so many workers, each of which is ready.
pub(super) fn crew(core: &Arc<Core>, workers: usize, kind: Kind) -> Result<Box<dyn Crew>> {
    let pool = Arc::new(Pool {
        core: Arc::clone(core),
        kind,
        state: Mutex::default(),
        news: Condvar::new(),
    });
    pool.state().save(core.bell());
    let crew = Workers(Arc::clone(&pool));
    let (tell, told) = mpsc::channel();
    for _ in 0..workers {
        pool.keep(None, Some(tell.clone()))?;
    }
    drop(tell);
    // Until each of them is ready: what keeps one from that, it keeps from its beginning.
    let mut ready = 0;
    for first in told {
        first?;
        ready += 1;
    }
    if ready < workers {
        return Err(Error::new(ErrorKind::NotStarted).with_message("a worker did not start"));
    }
    Ok(Box::new(crew))
}

struct Pool {
    core: Arc<Core>,
    kind: Kind,
    state: Mutex<State>,
    /// Of workers that come and go, and of the end.
    news: Condvar,
}

/// Told by a keeper of its first worker.
type First = mpsc::Sender<Result<()>>;

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a worker's life ended.
enum End {
    /// It was told to.
    Drained,
    /// It was not, after so long.
    Lost(Duration),
}

impl Pool {
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
        let most = std::mem::replace(&mut settings.max_connections, usize::MAX);
        settings.is_awaited |= most != usize::MAX;
        let rights = process::rights();
        let child = guarded(|| (self.kind.start)(theirs, settings))?;
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
            rights,
            is_ready: false,
            is_retired: false,
            is_drained: false,
            is_hurried: false,
            is_due: false,
            pending: VecDeque::new(),
            seats: Vec::new(),
            late: HashMap::new(),
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
        // Then what it has told is read, and nothing more is waited for: a process that it has left behind may have its end open.
        let mut is_gone = false;
        loop {
            let is_homeless = !self.state().homeless.is_empty();
            let limit = match (is_gone, is_homeless) {
                (true, _) => Duration::ZERO,
                (_, true) => SHORT,
                _ => LOOK,
            };
            match end.recv_timeout(limit) {
                Ok(FromWorker::Ready) => {
                    let pid = self.ready(id, replaces.take());
                    if !self.kind.is_behind {
                        self.core.tell(Event::WorkerStarted { pid });
                    }
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
                    } else {
                        drop(state);
                    }
                    self.hand_out();
                }
                Ok(FromWorker::Refused) => {
                    let mut state = self.state();
                    let accepted = state.worker(id).and_then(|worker| {
                        worker.short = Instant::now().checked_add(SHORT);
                        worker.pending.pop_front()
                    });
                    if state.is_stopping {
                        drop(state);
                        // Nobody is there for it.
                        drop(accepted);
                    } else {
                        state.homeless.extend(accepted);
                        drop(state);
                        self.hand_out();
                    }
                }
                Ok(FromWorker::Rejected(peer, error)) => {
                    self.core.tell(Event::Rejected { peer, error });
                }
                Ok(FromWorker::Lost(pid, error)) => {
                    self.core.tell(Event::WorkerLost { pid: Some(pid), error });
                }
                Ok(FromWorker::Report(left, over, counters)) => {
                    self.report(id, left, &over, *counters);
                }
                Err(GetError::Empty) if is_gone => break,
                Err(GetError::Empty) => {
                    self.renew_outdated();
                    self.hand_out();
                    let mut state = self.state();
                    is_gone = state.worker(id).is_none_or(|worker| worker.child.is_finished());
                }
                Err(error) => {
                    // It has closed its end; or what it said cannot be read, and nobody knows any more what it has.
                    let mut state = self.state();
                    if let (GetError::Failed(_), Some(worker)) = (error, state.worker(id)) {
                        worker.child.kill();
                    }
                    break;
                }
            }
            let memory = (looked.elapsed() >= LOOK).then(|| {
                looked = Instant::now();
                self.memory(id)
            });
            if self.is_due(id, memory.unwrap_or(0)) {
                self.renew(id);
            }
        }
        drop(end);
        self.bury(id, first)
    }

    /// A worker takes connections: in place of another, if it replaces one. Gives its process.
    fn ready(self: &Arc<Self>, id: u64, replaces: Option<u64>) -> u32 {
        let mut state = self.state();
        let mut pid = 0;
        if let Some(worker) = state.worker(id) {
            worker.is_ready = true;
            pid = worker.child.pid();
        }
        // What is connected with one that forks goes on with the rights that it has.
        let limit = match self.kind.is_behind {
            true => Duration::MAX,
            false => self.core.settings.drain,
        };
        if let Some(old) = replaces.and_then(|old| state.worker(old)) {
            old.retire(limit);
        }
        drop(state);
        self.hand_out();
        self.news.notify_all();
        pid
    }

    /// Hands out what is homeless, as far as there are workers for it.
    fn hand_out(self: &Arc<Self>) {
        let room = self.kind.room;
        loop {
            if self.state().homeless.is_empty() {
                return;
            }
            // They may be given up at any time, also while the user's code runs.
            let now = self.renew_outdated();
            let mut state = self.state();
            if !state.has_room(room, now) {
                return;
            }
            let Some(accepted) = state.homeless.pop_front() else { return };
            // The user's code is called without the lock.
            drop(state);
            let along = match guarded(|| (self.kind.along)()) {
                Ok(along) => along,
                Err(error) => {
                    self.reject(accepted, error);
                    continue;
                }
            };
            let mut state = self.state();
            match state.give(accepted, along, room, self.rights()) {
                Ok(()) => state.save(self.core.bell()),
                // The workers and what is homeless were let go of meanwhile.
                Err((accepted, _)) if state.is_stopping => {
                    drop(state);
                    drop(accepted);
                    return;
                }
                Err((accepted, Unsent::Short(Some(error)))) => {
                    state.failed = 0;
                    drop(state);
                    self.reject(accepted, error);
                }
                Err((accepted, unsent)) => {
                    state.homeless.push_front(accepted);
                    let again = match unsent {
                        Unsent::Gone => true,
                        // There are some again.
                        Unsent::Short(_) => !std::mem::take(&mut state.spare).is_empty(),
                        Unsent::Nobody => false,
                    };
                    if !again {
                        return;
                    }
                }
            }
        }
    }

    fn reject(&self, accepted: Accepted, error: Error) {
        let Accepted { socket, peer, seat } = accepted;
        drop(socket);
        self.core.reject(peer, error);
        drop(seat);
    }

    /// What this process is allowed, where that matters.
    fn rights(&self) -> Option<Rights> {
        self.kind.is_behind.then(process::rights)
    }

    /// Replaces one that forks with rights that this process has no longer. Gives those that it has.
    fn renew_outdated(self: &Arc<Self>) -> Option<Rights> {
        let rights = self.rights()?;
        let mut state = self.state();
        let is_outdated = |worker: &&mut Worker| {
            worker.is_ready && !worker.is_retired && !worker.is_due && worker.rights != rights
        };
        if let Some(worker) = state.workers.iter_mut().find(is_outdated) {
            worker.is_due = true;
            let id = worker.id;
            drop(state);
            self.renew(id);
        }
        Some(rights)
    }

    /// Starts one in the place of another, which is due. False if it is looked at again, as there is no thread for it now.
    fn renew(self: &Arc<Self>, id: u64) -> bool {
        let is_kept = self.keep(Some(id), None).is_ok();
        if !is_kept && let Some(worker) = self.state().worker(id) {
            worker.is_due = false;
        }
        is_kept
    }

    /// The memory of a worker, if it has a limit.
    fn memory(&self, id: u64) -> u64 {
        if self.core.settings.renew_memory.is_none() || self.kind.is_behind {
            return 0;
        }
        let pid = self.state().worker(id).map(|worker| worker.child.pid());
        pid.map_or(0, resident)
    }

    fn report(self: &Arc<Self>, id: u64, left: u64, over: &[u64], counters: Counters) {
        let mut state = self.state();
        let Some(worker) = state.worker(id) else { return };
        let gone = left.saturating_sub(worker.left).min(worker.seats.len() as u64);
        worker.left += gone;
        worker.counters = counters;
        let late: Vec<_> = over.iter().filter_map(|given| worker.late.remove(given)).collect();
        let kept = worker.seats.len() - gone as usize;
        let gone = worker.seats.split_off(kept);
        drop(state);
        drop(late);
        // The acceptor may go on.
        drop(gone);
        self.hand_out();
        if self.kind.room != usize::MAX {
            self.core.ring();
        }
    }

    /// Whether a worker is to be replaced, told once.
    fn is_due(&self, id: u64, memory: u64) -> bool {
        let settings = &self.core.settings;
        let mut state = self.state();
        if state.is_stopping || self.kind.is_behind {
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
    fn bury(self: &Arc<Self>, id: u64, first: &mut Option<First>) -> End {
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
            Err(error) => Some(error.with_task(self.kind.name)),
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

struct Workers(Arc<Pool>);

impl Crew for Workers {
    fn take(&self, accepted: Accepted) -> Result<(), Refused> {
        let mut state = self.0.state();
        if state.is_stopping {
            drop(state);
            // As the acceptor does with one that it has just accepted.
            drop(accepted);
            return Ok(());
        }
        state.homeless.push_back(accepted);
        drop(state);
        self.0.hand_out();
        Ok(())
    }

    fn has_room(&self) -> bool {
        let state = self.0.state();
        match self.0.kind.room {
            usize::MAX => state.homeless.len() < HOMELESS,
            room => state.homeless.is_empty() && state.has_room(room, None),
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
        for worker in &mut state.workers {
            // It ends its forks, waits for them, and counts them.
            if self.0.kind.is_behind && !std::mem::replace(&mut worker.is_hurried, true) {
                worker.tell(ToWorker::Drain(Duration::ZERO));
            } else {
                worker.child.kill();
            }
        }
    }

    fn renew(&self) {
        if self.0.kind.is_behind {
            return;
        }
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
                if !self.0.renew(id) {
                    return;
                }
                state = self.0.state();
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
        counters.workers += match self.0.kind.is_behind {
            true => state.workers.iter().map(|worker| worker.seats.len()).sum::<usize>(),
            false => state.workers.iter().filter(|worker| worker.is_ready).count(),
        } as u64;
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
        state.is_killed = true;
        for worker in &state.workers {
            worker.child.kill();
        }
        drop(state);
        keepers.into_iter().for_each(join);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close(true);
    }
}
