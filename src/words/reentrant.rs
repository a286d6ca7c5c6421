//! A lock that its holder may take again, and that only its holder may release.

use super::line::Line;
use super::{LockReply, LockRequest, Participant, Replies, Word};

/// Its holder may take it again, and gives it back as many times.
#[derive(Debug, Default)]
pub(crate) struct RLock {
    /// Who, and how often.
    holder: Option<(Participant, usize)>,
    /// The last holder went away, and nobody was told yet.
    orphaned: bool,
    /// Who waits, and how often they take it at once: a condition gives back all at once, and takes all again.
    line: Line<usize>,
}

impl RLock {
    pub(super) fn is_held_by(&self, who: Participant) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == who)
    }

    /// Gives the lock up as often as it was taken, and says how often that was.
    pub(super) fn give_up(&mut self, who: Participant) -> Option<usize> {
        let (_, count) = self.holder.take_if(|(holder, _)| *holder == who)?;
        Some(count)
    }

    /// Stands in line to take the lock that many times.
    pub(super) fn stand_in_line(&mut self, who: Participant, count: usize) {
        self.line.push(who, count);
    }

    /// Whether the participant stands in line.
    pub(super) fn leave_line(&mut self, who: Participant) -> bool {
        self.line.remove(who).is_some()
    }

    /// Gives the lock to the next in line if it is free.
    pub(super) fn pass_on(&mut self) -> Option<(Participant, LockReply)> {
        if self.holder.is_some() {
            return None;
        }
        let (next, count) = self.line.pop()?;
        self.holder = Some((next, count));
        Some((next, self.acquired()))
    }

    fn acquired(&mut self) -> LockReply {
        LockReply::Acquired { owner_died: std::mem::take(&mut self.orphaned) }
    }

    /// Takes a request, for whom it does not wait.
    pub(super) fn try_request(
        &mut self,
        who: Participant,
        request: LockRequest,
    ) -> Option<LockReply> {
        match (request, &mut self.holder) {
            (LockRequest::Acquire { .. }, holder @ None) => {
                *holder = Some((who, 1));
                Some(self.acquired())
            }
            (LockRequest::Acquire { .. }, Some((holder, count))) if *holder == who => {
                *count += 1;
                Some(LockReply::Acquired { owner_died: false })
            }
            (LockRequest::Acquire { block: true }, Some(_)) => {
                self.line.push(who, 1);
                None
            }
            (LockRequest::Acquire { block: false }, Some(_)) => Some(LockReply::Busy),
            (LockRequest::Release, Some((holder, count))) if *holder == who => {
                *count -= 1;
                if *count == 0 {
                    self.holder = None;
                }
                Some(LockReply::Released)
            }
            (LockRequest::Release, _) => Some(LockReply::NotHeld),
            (LockRequest::IsLocked, holder) => Some(LockReply::Is(holder.is_some())),
        }
    }

    /// The participant is gone.
    pub(super) fn forget(&mut self, who: Participant) {
        self.line.remove(who);
        if self.give_up(who).is_some() {
            self.orphaned = true;
        }
    }
}

impl Word for RLock {
    type Request = LockRequest;
    type Reply = LockReply;

    fn request(
        &mut self,
        who: Participant,
        request: LockRequest,
        replies: &mut Replies<LockReply>,
    ) {
        replies.extend(self.try_request(who, request).map(|reply| (who, reply)));
        replies.extend(self.pass_on());
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<LockReply>) {
        if self.leave_line(who) {
            replies.push((who, LockReply::Busy));
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<LockReply>) {
        self.forget(who);
        replies.extend(self.pass_on());
    }

    fn participants(&self) -> Vec<Participant> {
        let holder = self.holder.map(|(holder, _)| holder);
        holder.into_iter().chain(self.line.participants()).collect()
    }
}
