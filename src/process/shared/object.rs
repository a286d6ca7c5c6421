//! The words in an arena: who refers to them, how a reference travels, and when they are freed.
//!
//! A word is a block that begins with an [`ObjectHeader`]. Each participant that has handles to it has one reference, a block
//! in the participant's list, which its handles in that process share; a reference that is under way to another process is a
//! ticket, in a list of its own. The word is freed with its last reference. What a participant refers to is given back when
//! it drops its last handle, or by others when it has died.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use super::arena::Arena;
use super::atomic::{Number64, Ordering};
use super::host::Member;
use super::journal::Transaction;
use super::members::{REFERENCE, UNDER_WAY};
use crate::error::{Error, ErrorKind, Result};
use crate::system::forks;
use crate::task::ticket;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum ObjectKind {
    Lock = 1,
    Event = 2,
    Semaphore = 3,
    Queue = 4,
    Buffer = 5,
    Array = 6,
}

/// The beginning of each word.
#[repr(C)]
pub(super) struct ObjectHeader {
    /// Where a free block has its link.
    pub(super) kind: Number64,
    /// Its number, of which there is never another; 0 once it is freed.
    pub(super) serial: Number64,
    pub(super) references: Number64,
    /// Bytes of the whole block.
    pub(super) size: Number64,
    /// What a type must be to be what is in it: see [`type_mark`].
    pub(super) mark: Number64,
    _unused: [u64; 3],
}

/// Where the word itself begins.
pub(super) const BODY: u64 = size_of::<ObjectHeader>() as u64;
const _: () = assert!(BODY == 64);

/// This process's own reference to a word. Its handles share it.
pub(super) struct Attached {
    arena: &'static Arena,
    object: u64,
    serial: u64,
    /// The block in this participant's list. Both are others in a fork, which takes a reference of its own at its first use.
    reference: AtomicU64,
    me: AtomicU64,
}

/// The words that this process refers to. A fork has its own from its parent's, none of which count for it.
struct Local {
    forks: u32,
    attached: HashMap<u64, Weak<Attached>>,
}

fn local() -> MutexGuard<'static, Local> {
    static LOCAL: OnceLock<Mutex<Local>> = OnceLock::new();
    let local =
        LOCAL.get_or_init(|| Mutex::new(Local { forks: forks(), attached: HashMap::new() }));
    let mut local = local.lock().unwrap_or_else(|error| error.into_inner());
    if local.forks != forks() {
        local.forks = forks();
        local.attached.clear();
    }
    local
}

/// Holds it still, for a fork.
pub(super) fn hold() -> impl Sized {
    local()
}

/// Where a reference that travels is, and what it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct TicketNumber {
    object: u64,
    serial: u64,
    ticket: u64,
    number: u64,
}

impl TicketNumber {
    /// What the ticket is given back by.
    pub(super) fn parts(&self) -> ticket::Number {
        [self.object, self.ticket, self.number]
    }

    /// That of no other ticket.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Attached {
    /// Makes a word of `size` bytes, all zero, which `fill` completes before anybody else knows of it.
    pub(super) fn create(
        arena: &'static Arena,
        kind: ObjectKind,
        mark: u64,
        size: u64,
        fill: impl FnOnce(u64),
    ) -> Result<Arc<Attached>> {
        let me = arena.take_part()?;
        let mut local = local();
        let mut transaction = arena.begin();
        let size = BODY.checked_add(size).ok_or_else(|| arena.full(size))?;
        let object = transaction.allocate(size)?;
        let head = head(arena, object);
        let serial = transaction.next_serial();
        for (number, value) in [
            (&head.serial, serial),
            (&head.kind, kind as u64),
            (&head.size, size),
            (&head.mark, mark),
        ] {
            number.store(value, Ordering::Relaxed);
        }
        fill(object + BODY);
        transaction.add(&arena.header().objects, 1);
        let reference = transaction.refer(me, object)?;
        transaction.end();
        let attached = Attached::new(arena, object, serial, reference, me);
        local.attached.insert(object, Arc::downgrade(&attached));
        Ok(attached)
    }

    fn new(
        arena: &'static Arena,
        object: u64,
        serial: u64,
        reference: u64,
        me: Member,
    ) -> Arc<Attached> {
        let (reference, me) = (AtomicU64::new(reference), AtomicU64::new(me.0));
        Arc::new(Attached { arena, object, serial, reference, me })
    }

    /// The arena, and who this process is in it: with a reference of its own, also if it is a fork of that which made this.
    ///
    /// # Panics
    ///
    /// In a fork, if the word is gone meanwhile, or there is no room for another participant.
    #[inline]
    pub(super) fn enter(&self) -> (&'static Arena, Member) {
        // Acquire: it changes in a fork only, after the reference that goes with it.
        match self.arena.myself() {
            Some(me) if me.0 == self.me.load(Acquire) => (self.arena, me),
            _ => (self.arena, self.attach_again()),
        }
    }

    #[cold]
    fn attach_again(&self) -> Member {
        let attach = || {
            let me = self.arena.take_part()?;
            let _local = local();
            if self.me.load(Relaxed) == me.0 {
                return Ok(me);
            }
            let mut transaction = self.arena.begin();
            if head(self.arena, self.object).serial.load(Ordering::Relaxed) != self.serial {
                return Err(gone());
            }
            let reference = transaction.refer(me, self.object)?;
            transaction.end();
            self.reference.store(reference, Relaxed);
            self.me.store(me.0, Release);
            Ok::<_, Error>(me)
        };
        attach().unwrap_or_else(|error| panic!("a word between processes, in a fork: {error}"))
    }

    /// Where the word itself is.
    pub(super) fn body(&self) -> u64 {
        self.object + BODY
    }

    /// A number of this participant's own beside its reference.
    pub(super) fn held(&self) -> &Number64 {
        self.arena.number(self.reference.load(Relaxed) + 24)
    }

    /// Makes a reference that is under way: this participant's until it is [`sent`], so that it is not there for ever if we die.
    pub(super) fn ticket(&self) -> Result<TicketNumber> {
        let (arena, me) = self.enter();
        let mut transaction = arena.begin();
        let head = head(arena, self.object);
        let ticket = transaction.allocate(REFERENCE)?;
        let number = transaction.next_serial() | UNDER_WAY;
        transaction.set_at(ticket, self.object);
        transaction.set_at(ticket + 24, number);
        transaction.link(&arena.slot(me.slot()).references, ticket);
        transaction.add(&head.references, 1);
        transaction.end();
        Ok(TicketNumber { object: self.object, serial: self.serial, ticket, number })
    }

    /// Makes a reference that is under way this process's own. One that has been taken is as good as long as the word is there.
    /// `kept`: the ticket is left for who keeps the bytes that it came in.
    pub(super) fn redeem(
        arena: &'static Arena,
        number: TicketNumber,
        kind: ObjectKind,
        mark: u64,
        kept: bool,
    ) -> Result<Arc<Attached>> {
        let me = arena.take_part()?;
        if !arena.is_block(number.object) || !arena.is_block(number.ticket) {
            return Err(gone());
        }
        let mut local = local();
        let mut transaction = arena.begin();
        let head = head(arena, number.object);
        let there = number.serial != 0 && head.serial.load(Ordering::Relaxed) == number.serial;
        if !there {
            return Err(gone());
        }
        let is = (head.kind.load(Ordering::Relaxed), head.mark.load(Ordering::Relaxed));
        if is != (kind as u64, mark) {
            return Err(Error::new(ErrorKind::InvalidInput)
                .with_message("the word holds values of another type than this handle is for"));
        }
        let known = local.attached.get(&number.object).and_then(Weak::upgrade);
        let attached = match known.filter(|known| known.me.load(Relaxed) == me.0) {
            Some(known) => known,
            None => {
                let reference = transaction.refer(me, number.object)?;
                let TicketNumber { object, serial, .. } = number;
                let attached = Attached::new(arena, object, serial, reference, me);
                local.attached.insert(object, Arc::downgrade(&attached));
                attached
            }
        };
        if !kept {
            transaction.take_ticket(number.parts());
        }
        transaction.end();
        Ok(attached)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // In a fork it is the parent's.
        if self.arena.myself().is_none_or(|me| me.0 != *self.me.get_mut()) {
            return;
        }
        let head = head(self.arena, self.object);
        if head.kind.load(Ordering::Relaxed) == ObjectKind::Semaphore as u64 {
            let held = *self.reference.get_mut() + 24;
            super::semaphore::give_back(self.arena, self.body(), held);
        }
        let mut local = local();
        if local.attached.get(&self.object).is_some_and(|known| known.strong_count() == 0) {
            local.attached.remove(&self.object);
        }
        let mut transaction = self.arena.begin();
        transaction.release(*self.reference.get_mut());
        transaction.end();
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial)
    }
}

/// Gives a ticket back that nobody has taken.
pub(super) fn return_ticket(arena: &'static Arena, number: &TicketNumber) {
    if arena.take_part().is_err() {
        return;
    }
    let mut transaction = arena.begin();
    transaction.take_ticket(number.parts());
    transaction.finish_condemned();
    transaction.end();
}

/// A ticket is in bytes that are somebody else's now. If that one has taken it, there is nothing to do.
pub(super) fn sent(arena: &'static Arena, number: &TicketNumber) {
    let mut transaction = arena.begin();
    if transaction.is_under_way(number.parts()) {
        transaction.unlink(number.ticket);
        transaction.link(&arena.header().tickets, number.ticket);
    }
    transaction.end();
}

fn head(arena: &Arena, object: u64) -> &ObjectHeader {
    // SAFETY: atomics, and numbers that nobody reads.
    unsafe { arena.get(object) }
}

impl Arena {
    /// Whether a block may be there, of a number that came from outside.
    fn is_block(&self, offset: u64) -> bool {
        let top = self.header().top.load(Ordering::Acquire);
        offset.is_multiple_of(32)
            && offset >= super::arena::HEAP
            && offset - super::arena::HEAP < top
    }

    /// How many words there are, and how many bytes of their memory are in use.
    pub(super) fn usage(&self) -> (u64, u64) {
        let super::arena::Header { objects, used, .. } = self.header();
        (objects.load(Ordering::Acquire), used.load(Ordering::Acquire))
    }
}

impl Transaction<'_> {
    fn next_serial(&mut self) -> u64 {
        let serial = &self.arena.header().serial;
        let next = serial.load(Ordering::Relaxed) + 1;
        self.set(serial, next);
        // One to one, and unlike what else may come to lie in the same place: whoever shows a number late compares it with that.
        next.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// A reference to a word for a participant.
    fn refer(&mut self, me: Member, object: u64) -> Result<u64> {
        let reference = self.allocate(REFERENCE)?;
        self.set_at(reference, object);
        let arena = self.arena;
        self.link(&arena.slot(me.slot()).references, reference);
        self.add(&head(arena, object).references, 1);
        Ok(reference)
    }

    /// Ends a ticket, if nobody has yet. If that was the last reference to its word, this is condemned.
    pub(super) fn take_ticket(&mut self, ticket: ticket::Number) {
        if self.is_under_way(ticket) {
            self.take_out(ticket[1]);
        }
    }

    fn is_under_way(&self, [object, ticket, number]: ticket::Number) -> bool {
        self.arena.is_block(ticket)
            && self.arena.number(ticket).load(Ordering::Relaxed) == object
            && self.arena.number(ticket + 24).load(Ordering::Relaxed) == number
    }

    /// Gives back what one that has died had by a reference. False: not yet, and the reference must stay.
    pub(super) fn give_back_of_the_dead(&self, reference: u64) -> bool {
        let arena = self.arena;
        let object = arena.number(reference).load(Ordering::Relaxed);
        let kind = head(arena, object).kind.load(Ordering::Relaxed);
        let is_members = arena.number(reference + 24).load(Ordering::Relaxed) < UNDER_WAY;
        !is_members
            || kind != ObjectKind::Semaphore as u64
            || super::semaphore::give_back_of_the_dead(arena, object + BODY, reference + 24)
    }

    /// Takes a reference out of its list, and frees the word if that was its last, and what it alone referred to. Permits that it
    /// had were given back before.
    pub(super) fn release(&mut self, reference: u64) {
        self.take_out(reference);
        self.commit();
        self.finish_condemned();
    }

    /// Takes a reference out of its list, and condemns the word if that was its last.
    fn take_out(&mut self, reference: u64) {
        let arena = self.arena;
        let object = arena.number(reference).load(Ordering::Relaxed);
        let head = head(arena, object);
        self.unlink(reference);
        if head.references.load(Ordering::Relaxed) > 1 {
            self.add(&head.references, -1);
            self.drop_reference(reference);
            return;
        }
        // Its last. Nobody can come to it any more.
        self.link(&arena.header().condemned, reference);
        self.set(&head.serial, 0);
        self.set(&head.references, 0);
    }

    /// Frees the condemned words, and those that only these referred to: one after the other, however long the chain is.
    pub(super) fn finish_condemned(&mut self) {
        while let Some(reference) = self.first(&self.arena.header().condemned) {
            self.take_apart(reference);
            self.commit();
        }
    }

    /// Frees a condemned word, with its reference. It may condemn others.
    fn take_apart(&mut self, reference: u64) {
        let arena = self.arena;
        let object = arena.number(reference).load(Ordering::Relaxed);
        let head = head(arena, object);
        match head.kind.load(Ordering::Relaxed) {
            kind if kind == ObjectKind::Queue as u64 => {
                super::queue::take_apart(self, object + BODY)
            }
            _ => {}
        }
        self.unlink(reference);
        self.add(&arena.header().objects, -1);
        self.free(object, head.size.load(Ordering::Relaxed));
        self.drop_reference(reference);
    }

    fn drop_reference(&mut self, reference: u64) {
        // A ticket that is shown again must not be taken for one.
        self.set_at(reference + 24, 0);
        self.free(reference, REFERENCE);
    }
}

/// A number for a type, the same in all processes of this executable.
pub(super) fn type_mark<T: 'static>() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    std::any::TypeId::of::<T>().hash(&mut hasher);
    (size_of::<T>(), align_of::<T>()).hash(&mut hasher);
    hasher.finish()
}

fn gone() -> Error {
    Error::new(ErrorKind::InvalidInput)
        .with_message("the word that this handle was for is gone: its last user has dropped it")
}
