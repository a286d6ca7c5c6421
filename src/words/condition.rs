//! A condition: a lock, and participants who have given it up until they are notified.

use std::collections::HashMap;

use super::line::Line;
use super::{LockReply, LockRequest, Participant, RLock, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionRequest {
    Lock(LockRequest),
    Wait,
    /// So many of those who wait.
    Notify(usize),
    NotifyAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConditionReply {
    Lock(LockReply),
    /// The end of a wait, with the lock taken again.
    Woken {
        /// It was notified; or else its time was over.
        notified: bool,
        /// The last holder went away without a release.
        owner_died: bool,
    },
    Notified,
    /// The lock has to be held for this.
    NotHeld,
}

#[derive(Debug, Default)]
pub(crate) struct Condition {
    lock: RLock,
    /// Who waits to be notified, and how often they had taken the lock.
    waiters: Line<usize>,
    /// Who has waited and stands in line for the lock again, and whether they were notified.
    returning: HashMap<Participant, bool>,
}

impl Condition {
    pub(crate) fn is_held_by(&self, who: Participant) -> bool {
        self.lock.is_held_by(who)
    }

    fn notify(&mut self, count: usize) {
        for _ in 0..count {
            let Some((who, held)) = self.waiters.pop() else { break };
            self.come_back(who, held, true);
        }
    }

    fn come_back(&mut self, who: Participant, held: usize, notified: bool) {
        self.returning.insert(who, notified);
        self.lock.stand_in_line(who, held);
    }

    fn pass_on(&mut self, replies: &mut Replies<ConditionReply>) {
        if let Some((who, reply)) = self.lock.pass_on() {
            let reply = match self.returning.remove(&who) {
                Some(notified) => {
                    let owner_died = reply == LockReply::Acquired { owner_died: true };
                    ConditionReply::Woken { notified, owner_died }
                }
                None => ConditionReply::Lock(reply),
            };
            replies.push((who, reply));
        }
    }
}

impl Word for Condition {
    type Request = ConditionRequest;
    type Reply = ConditionReply;

    fn request(
        &mut self,
        who: Participant,
        request: ConditionRequest,
        replies: &mut Replies<ConditionReply>,
    ) {
        let reply = match request {
            ConditionRequest::Lock(request) => {
                self.lock.try_request(who, request).map(ConditionReply::Lock)
            }
            ConditionRequest::Wait => match self.lock.give_up(who) {
                Some(held) => {
                    self.waiters.push(who, held);
                    None
                }
                None => Some(ConditionReply::NotHeld),
            },
            _ if !self.lock.is_held_by(who) => Some(ConditionReply::NotHeld),
            ConditionRequest::Notify(count) => {
                self.notify(count);
                Some(ConditionReply::Notified)
            }
            ConditionRequest::NotifyAll => {
                self.notify(usize::MAX);
                Some(ConditionReply::Notified)
            }
        };
        replies.extend(reply.map(|reply| (who, reply)));
        self.pass_on(replies);
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<ConditionReply>) {
        if let Some(held) = self.waiters.remove(who) {
            self.come_back(who, held, false);
        } else if !self.returning.contains_key(&who) && self.lock.leave_line(who) {
            replies.push((who, ConditionReply::Lock(LockReply::Busy)));
        }
        self.pass_on(replies);
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<ConditionReply>) {
        self.waiters.remove(who);
        self.lock.forget(who);
        if self.returning.remove(&who) == Some(true) {
            // It was notified and never knew: the next one is, in its place.
            self.notify(1);
        }
        self.pass_on(replies);
    }

    fn participants(&self) -> Vec<Participant> {
        let lock = Word::participants(&self.lock);
        self.waiters.participants().chain(lock).collect()
    }
}
