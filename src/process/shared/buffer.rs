//! Bytes that are handed over between processes with no copy.
//!
//! One value has a buffer at a time, in one process. When it is written into an argument or an item, it is spent, and the word says
//! under which number it is under way (`holder`), and who has not yet let go of it (`giver`): its value is mostly dropped a moment
//! later, but until then there may be references to the bytes. Whoever reads the number takes the buffer by one exchange of `holder`, so
//! one alone gets it, and may use the bytes when `giver` is nobody, or has died. A number that nobody has read is taken back in the same way.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::{Duration, Instant};

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::arena::Arena;
use super::atomic::{Number64, Ordering};
use super::heap::LARGE;
use super::host::{Host, Member};
use super::members::UNDER_WAY;
use super::object::{Attached, BODY, ObjectKind, TicketNumber, return_ticket, sent};
use super::shared_buffer::SharedBuffer;
use super::travel::redeem;
use crate::error::{Error, ErrorKind, Result};
use crate::system::forks;
use crate::task::ticket::{self, NOWHERE, Number, Ticket};

/// What lies in shared memory before the bytes.
#[repr(C)]
struct Body {
    len: Number64,
    /// The participant that has it; or the number it is under way by, which has its highest bit set.
    holder: Number64,
    /// The number it was under way by when it was last taken. 0: none.
    number: Number64,
    /// The participant that has not let go of it, which it has handed over. 0: none.
    giver: Number64,
    /// Not 0: nobody has it for themselves any more, all may read it.
    shared: Number64,
    _unused: [u64; 3],
}

const PAGE: u64 = 4096;

/// Where the bytes of a buffer are behind the beginning of the body: on a page of their own, if they are many.
fn data_at(len: u64) -> u64 {
    if len >= LARGE { PAGE - BODY } else { size_of::<Body>() as u64 }
}

/// How long a buffer's first use waits for who handed it over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes in the memory that processes share, which one of them has at a time, and which are handed over with no copy, however many
/// they are.
///
/// It goes wherever an argument, a value or an item goes, and is whose it came to: it is not cloned. What was handed over and not taken,
/// as by a [`try_put`](super::super::Queue::try_put) that found no room, comes back as it was. The last to have it frees it.
/// [`share`](Buffer::share) makes it one that all may read.
///
/// The bytes of a buffer of 32 KiB and more begin on a page. They are zero at first; the memory is there from the start, so
/// no later access fails, and each process pays for its own first touch of each page only.
///
/// # Panics
///
/// To use one whose handing over has begun, which a `Serialize` of one's own can do. To use one in a fork of the process that
/// had it. To use one whose giver has not dropped its own value within a minute of handing it over.
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Buffer};
///
/// fn fill(mut image: Buffer) -> Buffer {
///     image.fill(7);
///     image
/// }
///
/// let image = Buffer::new(1 << 20)?;
/// let image: Buffer = process::spawn(fill, image)?.join()?;
/// assert!(image.iter().all(|byte| *byte == 7));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Buffer {
    attached: Arc<Attached>,
    body: &'static Body,
    data: *mut u8,
    len: usize,
    /// In a fork it is the parent's.
    forks: u32,
    phase: Arc<Phase>,
}

// SAFETY: `data` points into the mapping, which is never unmapped; who has the buffer alone uses the bytes, as a `Box<[u8]>`'s.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// Whether a value may use its buffer.
struct Phase(AtomicU8);

/// It has come, and who gave it may not have let go of it.
const COME: u8 = 0;
const MINE: u8 = 1;
/// It is under way, or another's.
const SPENT: u8 = 2;

impl Buffer {
    /// So many bytes, all zero.
    ///
    /// # Errors
    ///
    /// There is no room for them in the memory that processes share: [`ErrorKind::OutOfMemory`].
    pub fn new(len: usize) -> Result<Buffer> {
        let arena = super::arena()?;
        let me = arena.take_part()?;
        let data = data_at(len as u64);
        let size = data.checked_add(len as u64).ok_or_else(|| arena.full(u64::MAX))?;
        let attached = Attached::create(arena, ObjectKind::Buffer, 0, size, |body| {
            let body = body_at(arena, body);
            body.len.store(len as u64, Ordering::Relaxed);
            body.holder.store(me.0, Ordering::Relaxed);
        })?;
        Ok(Buffer::of(attached, MINE))
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    ///
    /// As [`new`](Buffer::new).
    ///
    /// # Examples
    ///
    /// ```
    /// let buffer = fourfold::process::Buffer::from_slice(b"hello")?;
    /// assert_eq!(*buffer, *b"hello");
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn from_slice(bytes: &[u8]) -> Result<Buffer> {
        let mut buffer = Buffer::new(bytes.len())?;
        buffer.copy_from_slice(bytes);
        Ok(buffer)
    }

    fn of(attached: Arc<Attached>, phase: u8) -> Buffer {
        let (body, data, len) = parts(&attached);
        let phase = Arc::new(Phase(AtomicU8::new(phase)));
        Buffer { attached, body, data, len, forks: forks(), phase }
    }

    /// Makes it one that many may have and read, and nobody may change.
    ///
    /// # Examples
    ///
    /// ```
    /// use fourfold::process::{self, Buffer, SharedBuffer};
    ///
    /// fn sum(table: SharedBuffer) -> u64 {
    ///     table.iter().map(|byte| u64::from(*byte)).sum()
    /// }
    ///
    /// let table = Buffer::from_slice(&[1; 1000])?.share();
    /// let children = [process::spawn(sum, table.clone())?, process::spawn(sum, table.clone())?];
    /// for child in children {
    ///     assert_eq!(child.join()?, 1000);
    /// }
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    pub fn share(self) -> SharedBuffer {
        self.ready();
        // Nobody takes it by an old number.
        self.body.number.store(0, Ordering::Relaxed);
        // Release: who finds it shared finds its bytes.
        self.body.shared.store(1, Ordering::Release);
        SharedBuffer::new(self.attached.clone(), self.data, self.len)
    }

    /// Makes sure that the bytes are this value's alone.
    #[inline]
    fn ready(&self) {
        // Acquire: what the giver, or another thread of ours that found it ready, has seen is seen.
        if self.phase.0.load(Ordering::Acquire) != MINE || self.forks != forks() {
            self.refuse_or_wait();
        }
    }

    #[cold]
    fn refuse_or_wait(&self) {
        assert!(self.forks == forks(), "a buffer is the parent's, not its fork's");
        let (arena, _) = self.attached.enter();
        let began = Instant::now();
        let mut looks = 0u32;
        while self.phase.0.load(Ordering::Acquire) == COME {
            let giver = self.body.giver.load(Ordering::Acquire);
            let ask = looks > 1000 && looks.is_multiple_of(64);
            if giver == 0 || ask && arena.is_dead(Member(giver)) {
                // Fails if another thread was as fast, and maybe has handed it over since.
                let _ =
                    self.phase.0.compare_exchange(COME, MINE, Ordering::AcqRel, Ordering::Acquire);
                break;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "who handed a buffer over still has it: a value that is written must be dropped"
            );
            looks += 1;
            match looks {
                ..200 => std::hint::spin_loop(),
                200..1000 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(100)),
            }
        }
        assert!(
            self.phase.0.load(Ordering::Acquire) == MINE,
            "a buffer is used that was handed over"
        );
    }

    /// Says that it is under way, and by which number.
    fn hand_over(&self) -> Result<TicketNumber> {
        if self.forks != forks() {
            return Err(Error::invalid("a buffer is the parent's, not its fork's"));
        }
        if self.phase.0.load(Ordering::Acquire) == COME {
            self.refuse_or_wait();
        }
        let spent = |from, to| {
            self.phase.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
        };
        if !spent(MINE, SPENT) {
            return Err(Error::invalid("the buffer has been handed over"));
        }
        let number = self.attached.ticket().inspect_err(|_| {
            spent(SPENT, MINE);
        })?;
        let (_, me) = self.attached.enter();
        self.body.giver.store(me.0, Ordering::Relaxed);
        self.body.number.store(number.number(), Ordering::Release);
        // Release: who takes it finds the bytes as we have left them.
        self.body.holder.store(number.number(), Ordering::Release);
        Ok(number)
    }
}

fn body_at(arena: &Arena, body: u64) -> &Body {
    // SAFETY: a `Body` is atomics, and numbers that nobody reads.
    unsafe { arena.get(body) }
}

/// The body, and where the bytes are, and how many.
fn parts(attached: &Attached) -> (&'static Body, *mut u8, usize) {
    let (arena, _) = attached.enter();
    let body = body_at(arena, attached.body());
    let len = body.len.load(Ordering::Relaxed);
    let data = arena.at(attached.body() + data_at(len), len as usize);
    (body, data, len as usize)
}

/// A buffer that is under way, at who sends it.
struct Sent {
    attached: Arc<Attached>,
    number: TicketNumber,
    phase: Arc<Phase>,
}

impl Ticket for Sent {
    fn give_back(&self) {
        let (arena, me) = self.attached.enter();
        let body = body_at(arena, self.attached.body());
        if body.holder.exchange(self.number.number(), me.0, Ordering::AcqRel).is_ok() {
            // Nobody has taken it, and nobody will: it is what it was.
            body.number.store(0, Ordering::Relaxed);
            body.giver.store(0, Ordering::Relaxed);
            self.phase.0.store(MINE, Ordering::Release);
        }
        return_ticket(arena, &self.number);
    }

    fn sent(&self) {
        sent(self.attached.enter().0, &self.number);
    }

    fn number(&self) -> Option<Number> {
        Some(self.number.parts())
    }
}

/// The bytes of a buffer that was shared.
pub(super) fn shared_parts(attached: &Attached) -> Result<(*mut u8, usize)> {
    let (body, data, len) = parts(attached);
    match body.shared.load(Ordering::Acquire) {
        0 => Err(Error::invalid("the buffer is not one that all may read")),
        _ => Ok((data, len)),
    }
}

impl Serialize for Buffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if !ticket::is_writing() {
            return Err(S::Error::custom(NOWHERE));
        }
        let number = self.hand_over().map_err(S::Error::custom)?;
        let (attached, phase) = (self.attached.clone(), self.phase.clone());
        ticket::keep(Sent { attached, number, phase });
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Buffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Buffer, D::Error> {
        let number = TicketNumber::deserialize(deserializer)?;
        receive(number).map_err(D::Error::custom)
    }
}

/// Takes a buffer that is under way.
fn receive(number: TicketNumber) -> Result<Buffer> {
    let attached = redeem(number, ObjectKind::Buffer, 0)?;
    let (arena, me) = attached.enter();
    let body = body_at(arena, attached.body());
    let number = number.number();
    if number < UNDER_WAY {
        // Not one that we have given out: it could be the name of a participant.
        return Err(
            Error::new(ErrorKind::InvalidInput).with_message("no buffer came with this value")
        );
    }
    if body.holder.exchange(number, me.0, Ordering::AcqRel).is_ok() {
        return Ok(Buffer::of(attached, COME));
    }
    // Who took it may have died in the middle of a `get`, and what it was getting comes out again.
    let holder = body.holder.load(Ordering::Acquire);
    let again = number != 0
        && body.number.load(Ordering::Acquire) == number
        && holder >> 63 == 0
        && arena.is_dead(Member(holder))
        && body.holder.exchange(holder, me.0, Ordering::AcqRel).is_ok();
    match again {
        true => Ok(Buffer::of(attached, COME)),
        false => Err(Error::new(ErrorKind::InvalidInput)
            .with_message("the buffer is another's already, or one that all may read")),
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.forks != forks() {
            return;
        }
        match self.phase.0.load(Ordering::Acquire) {
            SPENT => {
                let (_, me) = self.attached.enter();
                // Release: what we have done with the bytes was before. Fails if it has come back, or was taken from one who died.
                let _ = self.body.giver.exchange(me.0, 0, Ordering::AcqRel);
            }
            // It came in an item that this thread is reading, and that may be handed back, if the rest of it cannot be read: then
            // whoever reads it next finds the buffer by its number, as if it had not been read before.
            COME if ticket::are_kept() => {
                let (_, me) = self.attached.enter();
                let number = self.body.number.load(Ordering::Acquire);
                if number != 0 {
                    let _ = self.body.holder.exchange(me.0, number, Ordering::AcqRel);
                }
            }
            _ => {}
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.ready();
        // SAFETY: the bytes of the block, which are this value's alone: it has the buffer, and who gave it has dropped its own.
        // It may be handed over while this reference lives, but is let go of when this value is dropped.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.ready();
        // SAFETY: as in `deref`, and this value is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}
