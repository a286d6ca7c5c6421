//! A lock that many participants may hold to read, or one to write.

use std::collections::BTreeSet;

use super::line::Line;
use super::{Participant, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RwLockRequest {
    Acquire {
        write: bool,
        block: bool,
    },
    Release,
    /// Whether it could not be taken to write.
    IsLocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RwLockReply {
    /// It is the participant's now. `owner_died`: one went away that held it to write, and nobody was told yet.
    Acquired {
        owner_died: bool,
    },
    Busy,
    Released,
    NotHeld,
    Is(bool),
}

/// Who waits is served in the order of arrival, readers that stand next to each other together. One that comes while anybody
/// waits goes to the line, so writers do not starve.
#[derive(Debug, Default)]
pub(crate) struct RwLock {
    readers: BTreeSet<Participant>,
    writer: Option<Participant>,
    /// The last writer went away, and nobody was told yet. A reader leaves nothing half done.
    orphaned: bool,
    /// Who waits, and whether to write.
    line: Line<bool>,
}

impl RwLock {
    fn is_free(&self, write: bool) -> bool {
        self.writer.is_none() && (!write || self.readers.is_empty())
    }

    fn give(&mut self, who: Participant, write: bool) -> RwLockReply {
        match write {
            true => self.writer = Some(who),
            false => drop(self.readers.insert(who)),
        }
        RwLockReply::Acquired { owner_died: std::mem::take(&mut self.orphaned) }
    }

    fn pass_on(&mut self, replies: &mut Replies<RwLockReply>) {
        while let Some((_, &write)) = self.line.first()
            && self.is_free(write)
            && let Some((next, _)) = self.line.pop()
        {
            let reply = self.give(next, write);
            replies.push((next, reply));
        }
    }

    fn release(&mut self, who: Participant) -> bool {
        self.writer.take_if(|writer| *writer == who).is_some() || self.readers.remove(&who)
    }

    /// Whether the participant may write.
    pub(crate) fn is_written_by(&self, who: Participant) -> bool {
        self.writer == Some(who)
    }
}

impl Word for RwLock {
    type Request = RwLockRequest;
    type Reply = RwLockReply;

    fn request(
        &mut self,
        who: Participant,
        request: RwLockRequest,
        replies: &mut Replies<RwLockReply>,
    ) {
        let reply = match request {
            RwLockRequest::Acquire { write, .. } if self.line.is_empty() && self.is_free(write) => {
                self.give(who, write)
            }
            RwLockRequest::Acquire { write, block: true } => {
                self.line.push(who, write);
                return;
            }
            RwLockRequest::Acquire { .. } => RwLockReply::Busy,
            RwLockRequest::Release => match self.release(who) {
                true => RwLockReply::Released,
                false => RwLockReply::NotHeld,
            },
            RwLockRequest::IsLocked => RwLockReply::Is(!self.is_free(true)),
        };
        replies.push((who, reply));
        self.pass_on(replies);
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<RwLockReply>) {
        if self.line.remove(who).is_some() {
            replies.push((who, RwLockReply::Busy));
            // It may have kept readers behind it from those who read.
            self.pass_on(replies);
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<RwLockReply>) {
        self.line.remove(who);
        self.orphaned |= self.is_written_by(who);
        self.release(who);
        self.pass_on(replies);
    }

    fn participants(&self) -> Vec<Participant> {
        let holders = self.readers.iter().copied().chain(self.writer);
        holders.chain(self.line.participants()).collect()
    }
}
