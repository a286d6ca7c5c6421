//! A barrier that a number of participants leave together.

use super::line::Line;
use super::{Participant, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarrierRequest {
    Wait,
    /// Whoever waits is told that the barrier is broken; after that it is as new.
    Reset,
    /// It is broken until it is reset.
    Abort,
    Parties,
    Waiting,
    IsBroken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarrierReply {
    /// All are there. The number is the participant's place in the order of their arrival.
    Passed(usize),
    Broken,
    Done,
    Number(usize),
    Is(bool),
}

#[derive(Debug)]
pub(crate) struct Barrier {
    parties: usize,
    line: Line<()>,
    broken: bool,
}

impl Barrier {
    pub(crate) fn new(parties: usize) -> Barrier {
        Barrier { parties, line: Line::default(), broken: false }
    }

    fn let_all_go(&mut self, replies: &mut Replies<BarrierReply>) {
        while let Some((who, ())) = self.line.pop() {
            replies.push((who, BarrierReply::Broken));
        }
    }
}

impl Word for Barrier {
    type Request = BarrierRequest;
    type Reply = BarrierReply;

    fn request(
        &mut self,
        who: Participant,
        request: BarrierRequest,
        replies: &mut Replies<BarrierReply>,
    ) {
        let reply = match request {
            BarrierRequest::Wait if self.broken => BarrierReply::Broken,
            BarrierRequest::Wait => {
                self.line.push(who, ());
                if self.line.len() >= self.parties {
                    let mut place = 0;
                    while let Some((waiter, ())) = self.line.pop() {
                        replies.push((waiter, BarrierReply::Passed(place)));
                        place += 1;
                    }
                }
                return;
            }
            BarrierRequest::Reset => {
                self.let_all_go(replies);
                self.broken = false;
                BarrierReply::Done
            }
            BarrierRequest::Abort => {
                self.let_all_go(replies);
                self.broken = true;
                BarrierReply::Done
            }
            BarrierRequest::Parties => BarrierReply::Number(self.parties),
            BarrierRequest::Waiting => BarrierReply::Number(self.line.len()),
            BarrierRequest::IsBroken => BarrierReply::Is(self.broken),
        };
        replies.push((who, reply));
    }

    /// One who does not wait any longer breaks the barrier for all: it will not be full.
    fn time_out(&mut self, who: Participant, replies: &mut Replies<BarrierReply>) {
        if self.line.contains(who) {
            self.broken = true;
            self.let_all_go(replies);
        }
    }

    fn gone(&mut self, who: Participant, replies: &mut Replies<BarrierReply>) {
        if self.line.remove(who).is_some() {
            self.broken = true;
            self.let_all_go(replies);
        }
    }

    fn participants(&self) -> Vec<Participant> {
        self.line.participants().collect()
    }
}
