//! The words against plain models, with deaths in the sequence.

mod containers;
mod locks;
mod queue;
mod waits;

use super::{Effort, Element, Participant, Replies, Unordered, Word};
use std::cmp::Ordering;

/// A value with an order that leaves out a part of it, and some that have no order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Thing {
    key: u8,
    id: u32,
}

/// Has no order with anything.
const ODD: u8 = 7;
/// Cannot be compared.
const VAST: u8 = 8;

impl Element for Thing {
    fn is_equal(&self, other: &Thing, effort: &mut Effort) -> Option<bool> {
        effort.spend(1)?;
        (self.key != VAST && other.key != VAST).then_some(self.key == other.key)
    }

    fn order(&self, other: &Thing, effort: &mut Effort) -> Result<Ordering, Unordered> {
        effort.spend(1).ok_or(Unordered::TooLarge)?;
        match self.key != ODD && other.key != ODD {
            true => Ok(self.key.cmp(&other.key)),
            false => Err(Unordered::NoOrder),
        }
    }
}

/// A word, and who waits for an answer of it.
struct Driver<W: Word> {
    word: W,
    waiting: Vec<Participant>,
}

impl<W: Word> Driver<W> {
    fn new(word: W) -> Driver<W> {
        Driver { word, waiting: Vec::new() }
    }

    fn is_waiting(&self, who: u64) -> bool {
        self.waiting.contains(&Participant::alone(who))
    }

    /// Nobody is answered who has not asked, or twice.
    fn note(&mut self, replies: Replies<W::Reply>) -> Vec<(u64, W::Reply)> {
        replies
            .into_iter()
            .map(|(who, reply)| {
                let at = self.waiting.iter().position(|&waiting| waiting == who);
                self.waiting.remove(at.expect("a reply to one who waits for it"));
                (who.link, reply)
            })
            .collect()
    }

    fn request(&mut self, who: u64, request: W::Request) -> Vec<(u64, W::Reply)> {
        let who = Participant::alone(who);
        assert!(!self.waiting.contains(&who));
        self.waiting.push(who);
        let mut replies = Vec::new();
        self.word.request(who, request, &mut replies);
        self.note(replies)
    }

    fn time_out(&mut self, who: u64) -> Vec<(u64, W::Reply)> {
        let mut replies = Vec::new();
        self.word.time_out(Participant::alone(who), &mut replies);
        self.note(replies)
    }

    fn gone(&mut self, who: u64) -> Vec<(u64, W::Reply)> {
        self.waiting.retain(|&waiting| waiting != Participant::alone(who));
        let mut replies = Vec::new();
        self.word.gone(Participant::alone(who), &mut replies);
        self.note(replies)
    }
}
