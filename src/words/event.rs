//! A flag that participants wait for.

use super::line::Line;
use super::{Participant, Replies, Word};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventRequest {
    Set,
    Clear,
    IsSet,
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventReply {
    Done,
    Is(bool),
}

#[derive(Debug, Default)]
pub(crate) struct Event {
    is_set: bool,
    line: Line<()>,
}

impl Event {
    pub(crate) fn is_set(&self) -> bool {
        self.is_set
    }
}

impl Word for Event {
    type Request = EventRequest;
    type Reply = EventReply;

    fn request(
        &mut self,
        who: Participant,
        request: EventRequest,
        replies: &mut Replies<EventReply>,
    ) {
        match request {
            EventRequest::Set => {
                self.is_set = true;
                replies.push((who, EventReply::Done));
                while let Some((waiter, ())) = self.line.pop() {
                    replies.push((waiter, EventReply::Is(true)));
                }
            }
            EventRequest::Clear => {
                self.is_set = false;
                replies.push((who, EventReply::Done));
            }
            EventRequest::Wait if !self.is_set => self.line.push(who, ()),
            EventRequest::IsSet | EventRequest::Wait => {
                replies.push((who, EventReply::Is(self.is_set)));
            }
        }
    }

    fn time_out(&mut self, who: Participant, replies: &mut Replies<EventReply>) {
        if self.line.remove(who).is_some() {
            replies.push((who, EventReply::Is(false)));
        }
    }

    fn gone(&mut self, who: Participant, _: &mut Replies<EventReply>) {
        self.line.remove(who);
    }

    fn participants(&self) -> Vec<Participant> {
        self.line.participants().collect()
    }
}
