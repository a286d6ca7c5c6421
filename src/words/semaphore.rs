//! A number of permits, which come back when those who hold them are gone.

use std::collections::BTreeMap;

use super::line::Line;
use super::{Participant, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SemaphoreRequest {
    Acquire {
        block: bool,
    },
    /// Of so many permits at once.
    Release(usize),
    /// How many permits are there to be taken.
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SemaphoreReply {
    Acquired,
    Busy,
    Released,
    /// A bounded semaphore would have more permits than it began with.
    TooMany,
    Value(usize),
}

/// Anybody may release, also who holds no permit: that is how a semaphore counts events. So what somebody held who is gone
/// comes back only as far as there are fewer permits than there were at first: an event that was taken stays taken.
#[derive(Debug)]
pub(crate) struct Semaphore {
    initial: usize,
    free: usize,
    bound: Option<usize>,
    held: BTreeMap<Participant, usize>,
    line: Line<()>,
}

impl Semaphore {
    pub(crate) fn new(permits: usize) -> Semaphore {
        Semaphore {
            initial: permits,
            free: permits,
            bound: None,
            held: BTreeMap::new(),
            line: Line::default(),
        }
    }

    pub(crate) fn bounded(permits: usize) -> Semaphore {
        Semaphore { bound: Some(permits), ..Semaphore::new(permits) }
    }

    fn give(&mut self, who: Participant) -> SemaphoreReply {
        self.free -= 1;
        *self.held.entry(who).or_default() += 1;
        SemaphoreReply::Acquired
    }

    fn pass_on(&mut self, replies: &mut Replies<SemaphoreReply>) {
        while self.free > 0
            && let Some((next, ())) = self.line.pop()
        {
            let reply = self.give(next);
            replies.push((next, reply));
        }
    }

    /// So many permits less are held: by the participant, and beyond what it holds, by whoever does.
    fn let_go(&mut self, who: Participant, mut count: usize) {
        let first = self.held.contains_key(&who).then_some(who);
        while count > 0
            && let Some(holder) = first.filter(|who| self.held.contains_key(who)).or_else(|| {
                let (&holder, _) = self.held.first_key_value()?;
                Some(holder)
            })
        {
            let held = self.held.remove(&holder).unwrap_or(0);
            if held > count {
                self.held.insert(holder, held - count);
            }
            count = count.saturating_sub(held);
        }
    }

    fn release(&mut self, who: Participant, count: usize) -> SemaphoreReply {
        let Some(free) = self.free.checked_add(count) else { return SemaphoreReply::TooMany };
        if self.bound.is_some_and(|bound| free > bound) {
            return SemaphoreReply::TooMany;
        }
        self.free = free;
        self.let_go(who, count);
        SemaphoreReply::Released
    }
}

impl Word for Semaphore {
    type Request = SemaphoreRequest;
    type Reply = SemaphoreReply;

    fn request(
        &mut self,
        who: Participant,
        request: SemaphoreRequest,
        replies: &mut Replies<SemaphoreReply>,
    ) {
        let reply = match request {
            SemaphoreRequest::Acquire { .. } if self.free > 0 => self.give(who),
            SemaphoreRequest::Acquire { block: true } => {
                self.line.push(who, ());
                return;
            }
            SemaphoreRequest::Acquire { block: false } => SemaphoreReply::Busy,
            SemaphoreRequest::Release(count) => self.release(who, count),
            SemaphoreRequest::Value => SemaphoreReply::Value(self.free),
        };
        replies.push((who, reply));
        self.pass_on(replies);
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<SemaphoreReply>) {
        if self.line.remove(who).is_some() {
            replies.push((who, SemaphoreReply::Busy));
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<SemaphoreReply>) {
        self.line.remove(who);
        if let Some(held) = self.held.remove(&who) {
            // Those that others hold are not missing.
            let others: usize = self.held.values().sum();
            let missing = self.initial.saturating_sub(self.free.saturating_add(others));
            self.free += held.min(missing);
            self.pass_on(replies);
        }
    }

    fn participants(&self) -> Vec<Participant> {
        self.held.keys().copied().chain(self.line.participants()).collect()
    }
}
