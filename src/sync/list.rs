//! The wait list that each word has: who waits, in the order of arrival, and how one is told that it is worth to try again.
//!
//! The protocol is in README.md.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::park;
use super::primitive::atomic::{AtomicUsize, Ordering};
use super::primitive::{Backoff, Mutex, MutexGuard, const_fn, lock};

/// Somebody is in the line. Changed under the lock of the line only.
pub(crate) const WAITED: usize = 1;

/// Somebody has waited for too long: who comes now goes to the line. Changed under the lock of the line only.
pub(crate) const STARVED: usize = 2;

/// The lowest bit of a word's state that is the word's own.
pub(crate) const UNIT: usize = 4;

/// Who has waited for so long, and tried in vain, does not let others go before it any more.
const PATIENCE: Duration = match cfg!(all(loom, test)) {
    // The checker has no clock.
    true => Duration::ZERO,
    false => Duration::from_millis(1),
};

/// What one who waits was told, for words that have more than one thing to tell.
pub(crate) type Token = u8;

/// What becomes of those behind a waiter that goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One is told at a time, and who was told and goes away tells the next.
    One,
    /// As `One`, but those next in line that share are told together.
    Shared,
    /// As `One`; when it goes away, those behind it that share may go on.
    Alone,
    /// All are told together.
    All,
    /// It takes nothing of what it is told of: it is told with the next in line that does, and so has nothing to pass on.
    Look,
}

/// A word's state, and those who wait for it to change.
pub(crate) struct WaitList {
    state: AtomicUsize,
    line: Mutex<Line>,
}

/// Those who wait, as places in a list that is linked by index.
struct Line {
    places: Vec<Place>,
    /// The first free place.
    free: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    used: usize,
    /// How many have waited for too long.
    starved: usize,
    tickets: u64,
}

struct Place {
    /// The neighbours in line; of a free place, `next` is the next free one.
    previous: Option<usize>,
    next: Option<usize>,
    /// The order of arrival.
    ticket: u64,
    kind: Kind,
    entry: Entry,
}

enum Entry {
    Free,
    /// In line.
    Waiting(Waker),
    /// Not in line any more, until it has heard of it.
    Told(Token),
}

impl WaitList {
    const_fn! {
        pub(crate) fn new(state: usize) -> WaitList {
            let line = Line {
                places: Vec::new(),
                free: None,
                first: None,
                last: None,
                used: 0,
                starved: 0,
                tickets: 0,
            };
            WaitList { state: AtomicUsize::new(state), line: Mutex::new(line) }
        }
    }

    /// The word's state. Its two lowest bits are the list's.
    #[inline]
    pub(crate) fn state(&self) -> &AtomicUsize {
        &self.state
    }

    /// Whether somebody is in line, as far as the caller can know: see the README for who then does know.
    #[inline]
    pub(crate) fn is_waited(&self) -> bool {
        self.state.load(Ordering::Relaxed) & WAITED != 0
    }

    /// Whether who comes now is to go to the line.
    #[inline]
    pub(crate) fn is_starved(&self) -> bool {
        self.state.load(Ordering::Relaxed) & STARVED != 0
    }

    /// Tries again and again for a moment, unless the caller is a coroutine. Whether it was of use.
    #[inline]
    pub(crate) fn look(&self, take: impl Fn() -> bool) -> bool {
        if park::may_spin() {
            let mut backoff = Backoff::new();
            // Where others are in line already, looking is not likely to help.
            while !backoff.is_over() && !self.is_waited() {
                backoff.pause();
                if take() {
                    return true;
                }
            }
        }
        false
    }

    /// How many places it has, free or not.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn places(&self) -> usize {
        lock(&self.line).places.len()
    }

    /// Tells the first in line, and before it those that only look.
    #[cold]
    pub(crate) fn notify_one(&self) {
        let mut looking = Vec::new();
        let mut line = lock(&self.line);
        while line.first_is(Kind::Look) {
            looking.extend(line.tell_first(0));
        }
        let waker = line.tell_first(0);
        self.note_length(&line);
        drop(line);
        looking.into_iter().chain(waker).for_each(Waker::wake);
    }

    /// Tells the first in line, and if it shares, those right behind it that do.
    #[cold]
    pub(crate) fn notify_run(&self) {
        let told = self.tell(|line| match line.first_is(Kind::Shared) {
            true => line.tell_sharers(),
            false => line.tell_first(0).into_iter().collect(),
        });
        told.wake();
    }

    /// Tells those at the head of the line that share: nobody if the first does not.
    #[cold]
    pub(crate) fn notify_sharers(&self) {
        self.tell(Line::tell_sharers).wake();
    }

    /// Tells all who are in line now.
    #[cold]
    pub(crate) fn notify_all(&self, token: Token) {
        self.tell_all(token).wake();
    }

    /// As [`notify_all`](WaitList::notify_all), for a caller that has a lock to release before it wakes them.
    pub(crate) fn tell_all(&self, token: Token) -> Told {
        self.tell(|line| std::iter::from_fn(|| line.tell_first(token)).collect())
    }

    fn tell(&self, tell: impl FnOnce(&mut Line) -> Vec<Waker>) -> Told {
        let mut line = lock(&self.line);
        let wakers = tell(&mut line);
        self.note_length(&line);
        Told(wakers)
    }

    /// Has `WAITED` say what is so. Under the lock.
    fn note_length(&self, line: &MutexGuard<'_, Line>) {
        // Release and Acquire: who sees the bit go has all that its changer has seen.
        if line.first.is_none() && self.is_waited() {
            self.state.fetch_and(!WAITED, Ordering::AcqRel);
        }
    }
}

/// Those who were told, to be woken with no lock held.
#[must_use = "who was told is to be woken"]
pub(crate) struct Told(Vec<Waker>);

impl Told {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl Line {
    fn first_is(&self, kind: Kind) -> bool {
        self.first.is_some_and(|place| self.places[place].kind == kind)
    }

    fn tell_first(&mut self, token: Token) -> Option<Waker> {
        let place = self.first?;
        self.unlink(place);
        match std::mem::replace(&mut self.places[place].entry, Entry::Told(token)) {
            Entry::Waiting(waker) => Some(waker),
            Entry::Free | Entry::Told(_) => unreachable!("those in line wait"),
        }
    }

    fn tell_sharers(&mut self) -> Vec<Waker> {
        let next = || if self.first_is(Kind::Shared) { self.tell_first(0) } else { None };
        std::iter::from_fn(next).collect()
    }

    /// Puts somebody in line: behind all who came before it.
    fn insert(&mut self, ticket: u64, kind: Kind, waker: Waker) -> usize {
        // New ones come last; one that comes back belongs near the front.
        let next = match self.last {
            Some(last) if self.places[last].ticket > ticket => {
                let mut next = self.first;
                while let Some(place) = next.filter(|place| self.places[*place].ticket < ticket) {
                    next = self.places[place].next;
                }
                next
            }
            _ => None,
        };
        let previous = match next {
            Some(next) => self.places[next].previous,
            None => self.last,
        };
        let new = Place { previous, next, ticket, kind, entry: Entry::Waiting(waker) };
        let place = match self.free {
            Some(place) => {
                self.free = self.places[place].next;
                self.places[place] = new;
                place
            }
            None => {
                self.places.push(new);
                self.places.len() - 1
            }
        };
        self.used += 1;
        match previous {
            Some(previous) => self.places[previous].next = Some(place),
            None => self.first = Some(place),
        }
        match next {
            Some(next) => self.places[next].previous = Some(place),
            None => self.last = Some(place),
        }
        place
    }

    fn unlink(&mut self, place: usize) {
        let Place { previous, next, .. } = self.places[place];
        match previous {
            Some(previous) => self.places[previous].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.places[next].previous = previous,
            None => self.last = previous,
        }
    }

    /// Frees a place, and gives what was in it, and all places that nobody needs any more.
    fn remove(&mut self, place: usize) -> (Entry, Vec<Place>) {
        if matches!(self.places[place].entry, Entry::Waiting(_)) {
            self.unlink(place);
        }
        let entry = std::mem::replace(&mut self.places[place].entry, Entry::Free);
        self.places[place].next = self.free;
        self.free = Some(place);
        self.used -= 1;
        // A crowd does not come every day.
        let unneeded = match self.used == 0 && self.places.len() > 64 {
            true => {
                self.free = None;
                std::mem::take(&mut self.places)
            }
            false => Vec::new(),
        };
        (entry, unneeded)
    }
}

/// One who waits, or is about to. Goes away when it is dropped, and then passes on what it was told.
pub(crate) struct Waiter<'a> {
    list: &'a WaitList,
    kind: Kind,
    place: Option<usize>,
    /// Its ticket, and when it came.
    arrival: Option<(u64, Instant)>,
    /// It has been told to try, and has not got anything yet.
    told: Option<Token>,
    is_starved: bool,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(list: &'a WaitList, kind: Kind) -> Waiter<'a> {
        Waiter { list, kind, place: None, arrival: None, told: None, is_starved: false }
    }

    /// Whether it has ever been in line.
    pub(crate) fn has_queued(&self) -> bool {
        self.arrival.is_some()
    }

    /// Whether it is in line, and has not been told anything.
    pub(crate) fn is_in_line(&self) -> bool {
        let Some(place) = self.place else { return false };
        matches!(lock(&self.list.line).places[place].entry, Entry::Waiting(_))
    }

    /// Goes to the line, at the place of its first arrival, and gives the word's state before that. What it was told is
    /// forgotten: it has tried in vain.
    pub(crate) fn enter(&mut self, waker: Waker) -> usize {
        debug_assert!(self.place.is_none());
        let now = Instant::now();
        let mut line = lock(&self.list.line);
        let (ticket, since) = *self.arrival.get_or_insert_with(|| {
            line.tickets += 1;
            (line.tickets, now)
        });
        let mut bits = WAITED;
        let in_vain = self.told.take().is_some() && self.kind != Kind::Look;
        if in_vain && !self.is_starved && now - since >= PATIENCE {
            self.is_starved = true;
            line.starved += 1;
            bits |= STARVED;
        }
        self.place = Some(line.insert(ticket, self.kind, waker));
        // Release: who changes the state later and sees the bit, also sees what this one did before. Acquire: this one sees
        // what was done before each change that came earlier.
        self.list.state.fetch_or(bits, Ordering::AcqRel)
    }

    /// Whether it has been told, and what. If not, it leaves the waker to be woken by.
    pub(crate) fn poll_told(&mut self, waker: &Waker) -> Option<Token> {
        let Some(place) = self.place else { return self.told };
        let mut spare: Option<Waker> = None;
        loop {
            let mut line = lock(&self.list.line);
            match &mut line.places[place].entry {
                Entry::Told(token) => {
                    self.told = Some(*token);
                    self.place = None;
                    let unneeded = line.remove(place);
                    drop(line);
                    drop(unneeded);
                    return self.told;
                }
                Entry::Waiting(known) if known.will_wake(waker) => return None,
                Entry::Waiting(known) => match spare.take() {
                    Some(new) => {
                        let old = std::mem::replace(known, new);
                        drop(line);
                        drop(old);
                        return None;
                    }
                    // Cloned outside of the lock, since that is not our code.
                    None => {
                        drop(line);
                        spare = Some(waker.clone());
                    }
                },
                Entry::Free => unreachable!("a waiter's place is its own"),
            }
        }
    }

    /// Polls for what `attempt` may give. The caller has tried it the fast way.
    ///
    /// Of those who share, one that arrives while others are in line does not try before it is told.
    pub(crate) fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        let waker = context.waker();
        if self.place.is_some() && self.poll_told(waker).is_none() {
            // Woken by another, or the time is over. What is there is not for one in line if another is starved.
            let may = match self.kind {
                Kind::Look => true,
                Kind::Shared => false,
                _ => self.is_starved || !self.list.is_starved(),
            };
            return self.give(if may { attempt() } else { None });
        }
        if self.told.is_some()
            && let Some(value) = attempt()
        {
            return self.give(Some(value));
        }
        let is_new = !self.has_queued();
        let before = self.enter(waker.clone());
        let barred = match self.kind {
            Kind::Look => 0,
            Kind::Shared => STARVED | WAITED,
            _ => STARVED,
        };
        // Only now is it certain that who changes the state will tell: so what was changed until now has to be seen.
        let may = !is_new || before & barred == 0;
        self.give(if may { attempt() } else { None })
    }

    fn give<T>(&mut self, value: Option<T>) -> Poll<T> {
        match value {
            Some(value) => {
                self.finish();
                Poll::Ready(value)
            }
            None => Poll::Pending,
        }
    }

    /// It has what it waited for: leaves the line. Of what it is told meanwhile it has no need, and passes it on.
    pub(crate) fn finish(&mut self) {
        self.told = None;
        self.leave(true);
    }

    fn leave(&mut self, has_got: bool) {
        let mut passes = self.told.take().is_some();
        if self.place.is_some() || self.is_starved {
            let mut line = lock(&self.list.line);
            let removed = self.place.take().map(|place| line.remove(place));
            match &removed {
                Some((Entry::Told(_), _)) => passes = true,
                // Those behind may share with those who are inside.
                Some(_) if self.kind == Kind::Alone && !has_got => passes = true,
                _ => {}
            }
            self.list.note_length(&line);
            if std::mem::take(&mut self.is_starved) {
                line.starved -= 1;
                if line.starved == 0 {
                    self.list.state.fetch_and(!STARVED, Ordering::AcqRel);
                }
                // Somebody may have gone to the line because of this one. Who has got something looks for itself if there is
                // more.
                passes |= !has_got;
            }
            drop(line);
            drop(removed);
        }
        if passes {
            match self.kind {
                Kind::One => self.list.notify_one(),
                Kind::Shared | Kind::Alone => self.list.notify_run(),
                Kind::All | Kind::Look => {}
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.leave(false);
    }
}
