//! A lock that one participant holds, and that is free again when its holder is gone.

use super::line::Line;
use super::{Participant, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockRequest {
    Acquire { block: bool },
    Release,
    IsLocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockReply {
    /// It is the participant's now. `owner_died`: the one before it went away without a release.
    Acquired {
        owner_died: bool,
    },
    Busy,
    Released,
    /// Nobody holds it, or for an `RLock`, somebody else.
    NotHeld,
    Is(bool),
}

/// Anybody may release it, as a lock of Python's `threading`.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    holder: Option<Participant>,
    /// The last holder went away, and nobody was told yet.
    orphaned: bool,
    line: Line<()>,
}

impl Lock {
    fn give(&mut self, who: Participant) -> LockReply {
        self.holder = Some(who);
        LockReply::Acquired { owner_died: std::mem::take(&mut self.orphaned) }
    }

    fn pass_on(&mut self, replies: &mut Replies<LockReply>) {
        if self.holder.is_none()
            && let Some((next, ())) = self.line.pop()
        {
            let reply = self.give(next);
            replies.push((next, reply));
        }
    }
}

impl Word for Lock {
    type Request = LockRequest;
    type Reply = LockReply;

    fn request(
        &mut self,
        who: Participant,
        request: LockRequest,
        replies: &mut Replies<LockReply>,
    ) {
        let reply = match request {
            LockRequest::Acquire { .. } if self.holder.is_none() => self.give(who),
            LockRequest::Acquire { block: true } => {
                self.line.push(who, ());
                return;
            }
            LockRequest::Acquire { block: false } => LockReply::Busy,
            LockRequest::Release => match self.holder.take() {
                Some(_) => LockReply::Released,
                None => LockReply::NotHeld,
            },
            LockRequest::IsLocked => LockReply::Is(self.holder.is_some()),
        };
        replies.push((who, reply));
        self.pass_on(replies);
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<LockReply>) {
        if self.line.remove(who).is_some() {
            replies.push((who, LockReply::Busy));
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<LockReply>) {
        self.line.remove(who);
        if self.holder == Some(who) {
            self.holder = None;
            self.orphaned = true;
            self.pass_on(replies);
        }
    }

    fn participants(&self) -> Vec<Participant> {
        self.holder.into_iter().chain(self.line.participants()).collect()
    }
}
