//! The methods of what participants may have to wait for, and of everything else by way of its own file.

use std::time::Duration;

use fourfold_wire::pickle::NodeId;
use fourfold_wire::talk::{Arguments, Exception};

use super::args::{Wait, count, lock_wait, queue_wait, text, timeout};
use super::errors::{attribute_error, value_error};
use super::thing::{ACQUIRE_TOLD, Called, Due, Out, Thing, flag};
use super::told::{
    Told, barrier_reply, condition_reply, event_reply, lock_reply, queue_reply, rlock_reply,
    semaphore_reply,
};
use super::{arrays, dicts, lists};
use crate::cluster::manager::item::Item;
use crate::words::{
    Barrier, BarrierRequest, Condition, ConditionRequest, Event, EventRequest, LockReply,
    LockRequest, Participant, Queue, QueueRequest, Replies, Semaphore, SemaphoreRequest, Word,
};

impl Thing {
    /// Carries out a call. What it does for others who wait is among those that are due.
    pub(super) fn call(
        &mut self,
        who: Participant,
        method: &str,
        args: Arguments,
        due: &mut Vec<Due>,
    ) -> Result<Called, Exception> {
        if !self.exposed().contains(&method) {
            return Ok(Called::Unknown);
        }
        let mut told = Told { due };
        match self {
            Thing::Queue(word, _) => queue(word, who, method, args, &mut told),
            Thing::Lock(word) => lock(word, who, method, &args, &mut told, lock_reply),
            Thing::RLock(word) => lock(word, who, method, &args, &mut told, rlock_reply),
            Thing::Semaphore(word) => semaphore(word, who, method, &args, &mut told),
            Thing::Condition(word) => condition(word, who, method, &args, &mut told),
            Thing::Event(word) => event(word, who, method, &args, &mut told),
            Thing::Barrier(word, limit) => barrier(word, *limit, who, method, &args, &mut told),
            Thing::List(items) => lists::list(items, method, args),
            Thing::Dict(items) => dicts::dict(items, method, args),
            Thing::Namespace(names) => dicts::namespace(names, method, &args),
            Thing::Value { value, .. } => dicts::shared_value(value, method, args),
            Thing::Array(numbers) => arrays::array(numbers, method, &args),
            Thing::Iterator(rest) => lists::iterator(rest, method),
        }
    }

    /// The participant has waited long enough.
    pub(super) fn time_out(&mut self, who: Participant, due: &mut Vec<Due>) {
        self.happen(due, Happening::TimeOut, who);
    }

    /// The participant is gone.
    pub(super) fn gone(&mut self, who: Participant, due: &mut Vec<Due>) {
        self.happen(due, Happening::Gone, who);
    }

    fn happen(&mut self, due: &mut Vec<Due>, what: Happening, who: Participant) {
        let mut told = Told { due };
        match self {
            Thing::Queue(word, _) => told.all(what.to(&mut **word, who), queue_reply),
            Thing::Lock(word) => told.all(what.to(word, who), lock_reply),
            Thing::RLock(word) => told.all(what.to(word, who), rlock_reply),
            Thing::Semaphore(word) => told.all(what.to(word, who), semaphore_reply),
            Thing::Condition(word) => told.all(what.to(word, who), condition_reply),
            Thing::Event(word) => told.all(what.to(word, who), event_reply),
            Thing::Barrier(word, _) => told.all(what.to(word, who), barrier_reply),
            _ => {}
        }
    }

    /// An item that a participant was to get could not be handed over.
    pub(super) fn take_back(
        &mut self,
        who: Participant,
        item: Item,
        at: Option<Item>,
        arrival: u64,
        due: &mut Vec<Due>,
    ) {
        if let Thing::Queue(queue, _) = self {
            let mut replies = Vec::new();
            queue.take_back(who, item, at, arrival, &mut replies);
            Told { due }.all(replies, queue_reply);
        }
    }
}

#[derive(Clone, Copy)]
enum Happening {
    TimeOut,
    Gone,
}

impl Happening {
    fn to<W: Word>(self, word: &mut W, who: Participant) -> Replies<W::Reply> {
        let mut replies = Vec::new();
        match self {
            Happening::TimeOut => word.time_out(who, &mut replies),
            Happening::Gone => word.gone(who, &mut replies),
        }
        replies
    }
}

fn ask<W: Word>(word: &mut W, who: Participant, request: W::Request) -> Replies<W::Reply> {
    let mut replies = Vec::new();
    word.request(who, request, &mut replies);
    replies
}

fn asked(limit: Option<Duration>) -> Result<Called, Exception> {
    Ok(Called::Asked(limit))
}

fn required(id: Option<NodeId>) -> NodeId {
    id.expect("bind() has seen that it is there")
}

fn queue(
    word: &mut Queue<Item>,
    who: Participant,
    method: &str,
    args: Arguments,
    told: &mut Told<'_>,
) -> Result<Called, Exception> {
    let (request, wait) = match method {
        "put" => {
            let [item, block, timeout] = args.bind(method, ["item", "block", "timeout"], 1)?;
            let wait = queue_wait(&args, block, timeout)?;
            let item = Item::new(args.into_value(required(item)));
            (QueueRequest::Put { item, at: None, block: wait.blocks() }, wait)
        }
        "put_nowait" => {
            let [item] = args.bind(method, ["item"], 1)?;
            let item = Item::new(args.into_value(required(item)));
            (QueueRequest::Put { item, at: None, block: false }, Wait::No)
        }
        "put_at" => {
            let names = ["priority", "item", "block", "timeout"];
            let [priority, item, block, timeout] = args.bind(method, names, 2)?;
            let wait = queue_wait(&args, block, timeout)?;
            let at = Some(Item::new(args.node(required(priority)).to_value()));
            let item = Item::new(args.into_value(required(item)));
            (QueueRequest::Put { item, at, block: wait.blocks() }, wait)
        }
        "get" => {
            let [block, timeout] = args.bind(method, ["block", "timeout"], 0)?;
            let wait = queue_wait(&args, block, timeout)?;
            (QueueRequest::Get { block: wait.blocks() }, wait)
        }
        "get_nowait" => {
            args.bind(method, [], 0).map(|[]| (QueueRequest::Get { block: false }, Wait::No))?
        }
        "qsize" => args.bind(method, [], 0).map(|[]| (QueueRequest::Len, Wait::No))?,
        "empty" => args.bind(method, [], 0).map(|[]| (QueueRequest::IsEmpty, Wait::No))?,
        "full" => args.bind(method, [], 0).map(|[]| (QueueRequest::IsFull, Wait::No))?,
        "task_done" => args.bind(method, [], 0).map(|[]| (QueueRequest::TaskDone, Wait::No))?,
        "join" => args.bind(method, [], 0).map(|[]| (QueueRequest::Join, Wait::Forever))?,
        "shutdown" => {
            let [immediate] = args.bind(method, ["immediate"], 0)?;
            (QueueRequest::ShutDown { immediate: flag(&args, immediate) }, Wait::No)
        }
        _ => return Ok(Called::Unknown),
    };
    told.all(ask(word, who, request), queue_reply);
    asked(wait.limit())
}

/// The request of a lock, and how long it may wait.
fn lock_request(method: &str, args: &Arguments) -> Result<Option<(LockRequest, Wait)>, Exception> {
    Ok(Some(match method {
        "acquire" | ACQUIRE_TOLD => {
            let [block, timeout] = args.bind(method, ["blocking", "timeout"], 0)?;
            let wait = lock_wait(args, block, timeout)?;
            (LockRequest::Acquire { block: wait.blocks() }, wait)
        }
        "release" => args.bind(method, [], 0).map(|[]| (LockRequest::Release, Wait::No))?,
        "locked" => args.bind(method, [], 0).map(|[]| (LockRequest::IsLocked, Wait::No))?,
        _ => return Ok(None),
    }))
}

/// A lock of either kind.
fn lock<W: Word<Request = LockRequest, Reply = LockReply>>(
    word: &mut W,
    who: Participant,
    method: &str,
    args: &Arguments,
    told: &mut Told<'_>,
    tell: fn(LockReply) -> Out,
) -> Result<Called, Exception> {
    let Some((request, wait)) = lock_request(method, args)? else { return Ok(Called::Unknown) };
    told.all(ask(word, who, request), tell);
    asked(wait.limit())
}

fn semaphore(
    word: &mut Semaphore,
    who: Participant,
    method: &str,
    args: &Arguments,
    told: &mut Told<'_>,
) -> Result<Called, Exception> {
    let (request, wait) = match method {
        "acquire" => {
            let [block, timeout] = args.bind(method, ["blocking", "timeout"], 0)?;
            let wait = lock_wait(args, block, timeout)?;
            (SemaphoreRequest::Acquire { block: wait.blocks() }, wait)
        }
        "release" => {
            let [n] = args.bind(method, ["n"], 0)?;
            let n = n.map_or(Ok(1), |id| count(args.node(id)))?;
            if n == 0 {
                return Err(value_error("n must be one or more"));
            }
            (SemaphoreRequest::Release(n), Wait::No)
        }
        "get_value" => args.bind(method, [], 0).map(|[]| (SemaphoreRequest::Value, Wait::No))?,
        _ => return Ok(Called::Unknown),
    };
    told.all(ask(word, who, request), semaphore_reply);
    asked(wait.limit())
}

fn event(
    word: &mut Event,
    who: Participant,
    method: &str,
    args: &Arguments,
    told: &mut Told<'_>,
) -> Result<Called, Exception> {
    let request = match method {
        "wait" => {
            let [limit] = args.bind(method, ["timeout"], 0)?;
            let wait = timeout(args, limit)?;
            let request = if wait.blocks() { EventRequest::Wait } else { EventRequest::IsSet };
            told.all(ask(word, who, request), event_reply);
            return asked(wait.limit());
        }
        "is_set" => args.bind(method, [], 0).map(|[]| EventRequest::IsSet)?,
        "set" => args.bind(method, [], 0).map(|[]| EventRequest::Set)?,
        "clear" => args.bind(method, [], 0).map(|[]| EventRequest::Clear)?,
        _ => return Ok(Called::Unknown),
    };
    told.all(ask(word, who, request), event_reply);
    asked(None)
}

fn condition(
    word: &mut Condition,
    who: Participant,
    method: &str,
    args: &Arguments,
    told: &mut Told<'_>,
) -> Result<Called, Exception> {
    let (request, wait) = match method {
        "wait" => {
            let [limit] = args.bind(method, ["timeout"], 0)?;
            // With no time at all, the lock is given up and taken again all the same.
            match timeout(args, limit)? {
                Wait::No => (ConditionRequest::Wait, Wait::For(Duration::ZERO)),
                wait => (ConditionRequest::Wait, wait),
            }
        }
        "notify" => {
            let [n] = args.bind(method, ["n"], 0)?;
            let n = n.map_or(Ok(1), |id| count(args.node(id)))?;
            (ConditionRequest::Notify(n), Wait::No)
        }
        "notify_all" => {
            args.bind(method, [], 0).map(|[]| (ConditionRequest::NotifyAll, Wait::No))?
        }
        _ => match lock_request(method, args)? {
            Some((request, wait)) => (ConditionRequest::Lock(request), wait),
            None => return Ok(Called::Unknown),
        },
    };
    told.all(ask(word, who, request), condition_reply);
    asked(wait.limit())
}

fn barrier(
    word: &mut Barrier,
    usual: Option<Duration>,
    who: Participant,
    method: &str,
    args: &Arguments,
    told: &mut Told<'_>,
) -> Result<Called, Exception> {
    let (request, wait) = match method {
        "wait" => {
            let [limit] = args.bind(method, ["timeout"], 0)?;
            match (timeout(args, limit)?, usual) {
                (Wait::No, _) => (BarrierRequest::Wait, Wait::For(Duration::ZERO)),
                (Wait::Forever, Some(usual)) => (BarrierRequest::Wait, Wait::For(usual)),
                (wait, _) => (BarrierRequest::Wait, wait),
            }
        }
        "reset" => args.bind(method, [], 0).map(|[]| (BarrierRequest::Reset, Wait::No))?,
        "abort" => args.bind(method, [], 0).map(|[]| (BarrierRequest::Abort, Wait::No))?,
        "__getattribute__" => {
            let [name] = args.bind(method, ["name"], 1)?;
            let request = match text(args.node(required(name)))? {
                "parties" => BarrierRequest::Parties,
                "n_waiting" => BarrierRequest::Waiting,
                "broken" => BarrierRequest::IsBroken,
                name => {
                    let what = format!("'Barrier' object has no attribute '{name}'");
                    return Err(attribute_error(what));
                }
            };
            (request, Wait::No)
        }
        _ => return Ok(Called::Unknown),
    };
    told.all(ask(word, who, request), barrier_reply);
    asked(wait.limit())
}
