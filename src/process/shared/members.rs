//! Who takes part in an arena, and what becomes of what the dead had.

use std::time::Duration;

use super::arena::{Arena, MAX_MEMBERS, status};
use super::atomic::{Number64, Ordering};
use super::host::{Host, Member};
use super::journal::Transaction;
use crate::error::{Error, ErrorKind, Result};

/// How often participants are looked after by those who wait, together.
const EVERY: Duration = super::gate::ASK;

/// A slot's state as its life and status.
fn parts(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, state as u32)
}

fn state(life: u32, status: u32) -> u64 {
    u64::from(life) << 32 | u64::from(status)
}

impl Arena {
    /// Makes this process a participant, if it is none.
    #[inline]
    pub(super) fn take_part(&self) -> Result<Member> {
        match self.myself() {
            Some(me) => Ok(me),
            None => self.join(|| self.register()),
        }
    }

    #[cold]
    fn register(&self) -> Result<Member> {
        for attempt in 0..2 {
            for index in 0..MAX_MEMBERS {
                let slot = self.slot(index);
                let seen = slot.state.load(Ordering::Acquire);
                let (life, now) = parts(seen);
                // If nobody lives who could bury the dead, one of their slots goes on with what it has.
                let may = now == status::FREE || attempt == 1 && now == status::DEAD;
                if !may || !self.hold_slot(index)? {
                    continue;
                }
                // Its record lock is ours, so nobody else takes it: who dies here leaves it free.
                let me = Member::new(index, life.wrapping_add(1).max(1));
                slot.pid.store(std::process::id(), Ordering::Relaxed);
                self.count_slot(index);
                if slot
                    .state
                    .exchange(seen, state(me.life(), status::LIVE), Ordering::AcqRel)
                    .is_ok()
                {
                    return Ok(me);
                }
                // Somebody has had it meanwhile, and is not to be taken for living since we hold its record lock.
                self.let_go_of_slot(index);
            }
            if attempt == 0 {
                self.look_after_all();
            }
        }
        Err(Error::new(ErrorKind::InvalidInput).with_message(format!(
            "{MAX_MEMBERS} processes take part in this context's words already, which is all there can be"
        )))
    }

    /// Notes that slots up to this one are in use.
    fn count_slot(&self, index: usize) {
        let slots = &self.header().slots;
        let mut seen = slots.load(Ordering::Relaxed);
        while seen <= index as u64 {
            match slots.exchange(seen, index as u64 + 1, Ordering::AcqRel) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Finds out who has died, gives back what they had, and wakes all who may have waited for them.
    pub(super) fn look_after_all(&self) {
        let slots = self.header().slots.load(Ordering::Acquire).min(MAX_MEMBERS as u64) as usize;
        let mut found = false;
        for index in 0..slots {
            let (life, now) = parts(self.slot(index).state.load(Ordering::Acquire));
            let member = Member::new(index, life);
            if now == status::DEAD || now == status::LIVE && self.is_dead(member) {
                found = true;
            }
        }
        if found {
            self.bury();
        }
    }

    /// As `look_after_all`, unless somebody has done so a moment ago. For who waits, at each look.
    pub(super) fn look_after_some(&self) {
        let now = crate::process::serve::monotonic() / 1_000_000;
        let looked = &self.header().looked;
        let last = looked.load(Ordering::Relaxed);
        // Who takes the turn may die in it: the next takes it a moment later.
        if now.abs_diff(last) >= EVERY.as_millis() as u64
            && looked.exchange(last, now, Ordering::Relaxed).is_ok()
        {
            self.look_after_all();
        }
    }

    /// How many have been found dead, ever.
    pub(super) fn deaths(&self) -> u64 {
        self.header().deaths.load(Ordering::Acquire)
    }

    /// Gives back what the dead had. Each step is a transaction, so it can be gone on with by anybody.
    fn bury(&self) {
        if self.myself().is_none() {
            return;
        }
        // Nobody waits here: who has the lock may be stopped, and the dead can wait.
        let Some(mut transaction) = self.try_begin() else { return };
        let slots = self.header().slots.load(Ordering::Acquire).min(MAX_MEMBERS as u64) as usize;
        for index in 0..slots {
            let slot = self.slot(index);
            let seen = slot.state.load(Ordering::Acquire);
            let (life, now) = parts(seen);
            if now != status::DEAD {
                continue;
            }
            let mut kept = Vec::new();
            // From the front each time: what is freed with a word may have been in this list, too.
            while let Some(reference) =
                transaction.find(&slot.references, |one| !kept.contains(&one))
            {
                match transaction.give_back_of_the_dead(reference) {
                    true => transaction.release(reference),
                    // It stays dead, and whoever looks next goes on here.
                    false => kept.push(reference),
                }
                transaction.commit();
            }
            if kept.is_empty() {
                // Unless somebody has taken it over meanwhile.
                let _ = slot.state.exchange(seen, state(life, status::FREE), Ordering::AcqRel);
            }
        }
        transaction.finish_condemned();
        transaction.end();
    }

    /// How many take part, and live as far as is known.
    #[cfg(any(test, fourfold_steps))]
    pub(super) fn members(&self) -> usize {
        let slots = self.header().slots.load(Ordering::Acquire).min(MAX_MEMBERS as u64) as usize;
        let live = |index: &usize| {
            parts(self.slot(*index).state.load(Ordering::Acquire)).1 == status::LIVE
        };
        (0..slots).filter(live).count()
    }
}

/// A reference to a word: in the list of a participant, of those under way, or of those condemned. One that is under way is in
/// the list of who sends it, until it is sent.
///
/// | number | what |
/// | --- | --- |
/// | 0 | the word |
/// | 1 | the next |
/// | 2 | where the number is that refers to this: in the one before, or the list's own |
/// | 3 | of a participant: how many permits it has of a semaphore; of one under way: its number, which is [`UNDER_WAY`] at least |
pub(super) const REFERENCE: u64 = 32;

/// No count of permits is as large.
pub(super) const UNDER_WAY: u64 = 1 << 63;

impl Transaction<'_> {
    pub(super) fn first(&self, list: &Number64) -> Option<u64> {
        Some(list.load(Ordering::Relaxed)).filter(|first| *first != 0)
    }

    /// The first reference of a list that is such a one.
    fn find(&self, list: &Number64, is_one: impl Fn(u64) -> bool) -> Option<u64> {
        let mut next = self.first(list);
        while let Some(reference) = next.filter(|reference| !is_one(*reference)) {
            next = self.first(self.arena.number(reference + 8));
        }
        next
    }

    /// Puts a reference at the front of a list.
    pub(super) fn link(&mut self, list: &Number64, reference: u64) {
        let next = list.load(Ordering::Relaxed);
        self.set_at(reference + 8, next);
        self.set_at(reference + 16, self.arena.offset_of(list));
        if next != 0 {
            self.set_at(next + 16, reference + 8);
        }
        self.set(list, reference);
    }

    /// Takes a reference out of the list that it is in.
    pub(super) fn unlink(&mut self, reference: u64) {
        let next = self.arena.number(reference + 8).load(Ordering::Relaxed);
        let place = self.arena.number(reference + 16).load(Ordering::Relaxed);
        self.set_at(place, next);
        if next != 0 {
            self.set_at(next + 16, place);
        }
    }
}
