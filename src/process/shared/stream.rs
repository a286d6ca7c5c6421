//! A stream from one process to another, in memory that both have: one writes, one reads, and either may die.
//!
//! It carries whole numbers of eight bytes. Who writes and who reads do so with an [`End`] each, that the other cannot touch, and
//! believe of the other's count only what is possible. How each side sleeps is the caller's: it is told when to wake the other.
//! `../executor/README.md` has the protocol.

use std::io;

use super::atomic::{Number32, Number64, Ordering, fence};

/// The bytes of a stream's unit.
pub(in crate::process) const UNIT: usize = 8;

/// What is written by one side only, away from what the other writes: two lines of the cache, since they are fetched in pairs.
#[repr(C, align(128))]
struct Apart<T>(T);

/// A stream with room for that many units, a power of two. Zero is what fresh memory holds: nothing written, and the reader asleep.
#[repr(C)]
pub(in crate::process) struct Stream<const ROOM: usize> {
    /// Units ever written, modulo 2³². The writer's.
    written: Apart<Number32>,
    /// Units ever read, modulo 2³². The reader's.
    read: Apart<Number32>,
    calls: Apart<Calls>,
    units: [Number64; ROOM],
}

/// Seldom written: what one side is to do for the other. Both sides change these, by exchanges only, so that each change knows
/// what it follows.
#[repr(C)]
struct Calls {
    /// The reader looks by itself, or has been woken: 1. It sleeps, or is about to, and is to be woken: 0, or whatever else has
    /// been written over this.
    awake: Number32,
    /// The writer waits for room, and is to be woken: 1.
    starved: Number32,
}

/// One side's own knowledge of a stream.
#[derive(Debug, Default)]
pub(in crate::process) struct End {
    /// How far this side has come.
    at: u32,
    /// How far the other had come when this was last looked at. For the writer.
    seen: u32,
}

impl<const ROOM: usize> Stream<ROOM> {
    const SIZE: u32 = {
        assert!(ROOM.is_power_of_two() && ROOM <= 1 << 31);
        ROOM as u32
    };

    // The writer's side.

    /// Writes as much of `bytes`, whole units, as there is room for, and gives the number of bytes.
    ///
    /// # Errors
    ///
    /// If the other side's count is impossible.
    pub(in crate::process) fn write(&self, end: &mut End, bytes: &[u8]) -> io::Result<usize> {
        debug_assert_eq!(bytes.len() % UNIT, 0);
        let (units, _) = bytes.as_chunks::<UNIT>();
        let mut room = Self::SIZE - end.at.wrapping_sub(end.seen);
        if (room as usize) < units.len() {
            room = self.room(end)?;
        }
        let units = &units[..units.len().min(room as usize)];
        for (index, unit) in units.iter().enumerate() {
            // Relaxed: published by the store below, and not read before.
            self.unit(end.at.wrapping_add(index as u32))
                .store(u64::from_ne_bytes(*unit), Ordering::Relaxed);
        }
        end.at = end.at.wrapping_add(units.len() as u32);
        // Release: who sees the count sees the units.
        self.written.0.store(end.at, Ordering::Release);
        Ok(units.len() * UNIT)
    }

    /// After a write: whether the reader sleeps, and is for the caller to wake.
    pub(in crate::process) fn has_to_wake(&self) -> bool {
        // Against the fence of `fall_asleep`: either the reader sees what was written, or it is seen here that it sleeps.
        fence(Ordering::SeqCst);
        let awake = &self.calls.0.awake;
        awake.load(Ordering::Relaxed) != 1 && awake.swap(1, Ordering::AcqRel) != 1
    }

    /// Has the reader wake the writer when there is room. True: there is some already.
    ///
    /// # Errors
    ///
    /// As of `write`.
    pub(in crate::process) fn ask_for_room(&self, end: &mut End) -> io::Result<bool> {
        self.calls.0.starved.swap(1, Ordering::AcqRel);
        // Against the fence of `is_asked_for_room`: either it sees the question, or what it has read is seen here.
        fence(Ordering::SeqCst);
        Ok(self.room(end)? > 0)
    }

    fn room(&self, end: &mut End) -> io::Result<u32> {
        // Acquire: the units are written over after they have been read.
        end.seen = self.read.0.load(Ordering::Acquire);
        let unread = end.at.wrapping_sub(end.seen);
        Self::SIZE.checked_sub(unread).ok_or_else(impossible)
    }

    /// The number on which a writer may sleep that has asked for room: 1 until it is woken.
    pub(in crate::process) fn starved(&self) -> &std::sync::atomic::AtomicU32 {
        self.calls.0.starved.inner()
    }

    // The reader's side.

    /// Reads as much as there is, and as `into` has room for in whole units, and gives the number of bytes.
    ///
    /// # Errors
    ///
    /// If the other side's count is impossible.
    pub(in crate::process) fn read(&self, end: &mut End, into: &mut [u8]) -> io::Result<usize> {
        // Acquire: the units that were written before.
        let there = self.written.0.load(Ordering::Acquire).wrapping_sub(end.at);
        if there > Self::SIZE {
            return Err(impossible());
        }
        let (into, _) = into.as_chunks_mut::<UNIT>();
        let count = into.len().min(there as usize);
        for (index, unit) in into[..count].iter_mut().enumerate() {
            *unit =
                self.unit(end.at.wrapping_add(index as u32)).load(Ordering::Relaxed).to_ne_bytes();
        }
        if count > 0 {
            end.at = end.at.wrapping_add(count as u32);
            // Release: the units have been read.
            self.read.0.store(end.at, Ordering::Release);
        }
        Ok(count * UNIT)
    }

    /// Whether there is something to read: a look, from wherever.
    pub(in crate::process) fn has_some(&self) -> bool {
        self.written.0.load(Ordering::Relaxed) != self.read.0.load(Ordering::Relaxed)
    }

    /// After a read: whether the writer waits for room, and is for the caller to wake.
    pub(in crate::process) fn is_asked_for_room(&self) -> bool {
        fence(Ordering::SeqCst);
        let starved = &self.calls.0.starved;
        starved.load(Ordering::Relaxed) != 0 && starved.swap(0, Ordering::AcqRel) != 0
    }

    /// The reader is about to sleep, and is to be woken from here on. True: there is something to read already.
    pub(in crate::process) fn fall_asleep(&self, end: &End) -> bool {
        self.calls.0.awake.swap(0, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.written.0.load(Ordering::Relaxed) != end.at
    }

    /// The reader looks by itself from here on.
    pub(in crate::process) fn stay_awake(&self) {
        let awake = &self.calls.0.awake;
        if awake.load(Ordering::Relaxed) != 1 {
            awake.swap(1, Ordering::AcqRel);
        }
    }

    fn unit(&self, at: u32) -> &Number64 {
        &self.units[at as usize % ROOM]
    }

    #[cfg(test)]
    pub(super) fn new() -> Stream<ROOM> {
        Stream {
            written: Apart(Number32::new(0)),
            read: Apart(Number32::new(0)),
            calls: Apart(Calls { awake: Number32::new(0), starved: Number32::new(0) }),
            units: std::array::from_fn(|_| Number64::new(0)),
        }
    }
}

fn impossible() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a stream's count is impossible")
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn what_is_written_is_read_as_far_as_there_is_room() {
        let stream = Stream::<4>::new();
        let (mut writer, mut reader) = (End::default(), End::default());
        let bytes: Vec<u8> = (0..48).collect();
        assert_eq!(stream.write(&mut writer, &bytes).unwrap(), 32);
        assert_eq!(stream.write(&mut writer, &bytes).unwrap(), 0);
        assert!(!stream.ask_for_room(&mut writer).unwrap() && stream.has_some());
        let mut got = [0; 20];
        assert_eq!(stream.read(&mut reader, &mut got).unwrap(), 16);
        assert!(stream.is_asked_for_room() && !stream.is_asked_for_room());
        assert_eq!(stream.write(&mut writer, &bytes[32..]).unwrap(), 16);
        let mut rest = [0; 64];
        assert_eq!(stream.read(&mut reader, &mut rest).unwrap(), 32);
        assert_eq!((&got[..16], &rest[..32]), (&bytes[..16], &bytes[16..]));
        assert!(!stream.has_some() && !stream.fall_asleep(&reader));
    }

    #[test]
    fn one_who_sleeps_is_woken_once() {
        let stream = Stream::<4>::new();
        let (mut writer, mut reader) = (End::default(), End::default());
        let mut into = [0; 64];
        assert!(!stream.fall_asleep(&reader));
        stream.write(&mut writer, &[1; 8]).unwrap();
        assert!(stream.has_to_wake() && !stream.has_to_wake());
        assert!(stream.fall_asleep(&reader));
        stream.read(&mut reader, &mut into).unwrap();
        stream.stay_awake();
        stream.write(&mut writer, &[1; 8]).unwrap();
        assert!(!stream.has_to_wake());
    }

    #[test]
    fn the_counts_go_round() {
        let stream = Stream::<4>::new();
        let (mut writer, mut reader) = (End { at: !1, seen: !1 }, End { at: !1, seen: 0 });
        stream.written.0.store(!1, Ordering::Relaxed);
        stream.read.0.store(!1, Ordering::Relaxed);
        let mut into = [0; 32];
        for round in 0..10 {
            assert_eq!(stream.write(&mut writer, &[round; 24]).unwrap(), 24);
            assert_eq!(stream.read(&mut reader, &mut into).unwrap(), 24);
            assert_eq!(into[..24], [round; 24]);
        }
    }

    #[test]
    fn an_impossible_count_is_an_error() {
        let stream = Stream::<4>::new();
        let (mut writer, mut reader) = (End::default(), End::default());
        stream.written.0.store(5, Ordering::Relaxed);
        assert!(stream.read(&mut reader, &mut [0; 64]).is_err());
        stream.written.0.store(!0, Ordering::Relaxed);
        assert!(stream.read(&mut reader, &mut [0; 64]).is_err());
        // More was read than was written.
        stream.read.0.store(1, Ordering::Relaxed);
        assert!(stream.write(&mut writer, &[0; 40]).is_err());
        assert!(stream.ask_for_room(&mut writer).is_err());
    }

    #[test]
    fn two_threads_sleep_for_each_other() {
        const COUNT: u64 = 20_000;
        let stream = &Stream::<8>::new();
        let (wake_reader, woken) = std::sync::mpsc::channel();
        let (wake_writer, room) = std::sync::mpsc::channel();
        let limit = Duration::from_secs(60);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut end = End::default();
                for number in 0..COUNT {
                    // Of one unit to five.
                    let message = [number.to_ne_bytes(); 5];
                    let mut left = &message.as_flattened()[..8 * (1 + number as usize % 5)];
                    while !left.is_empty() {
                        left = &left[stream.write(&mut end, left).unwrap()..];
                        if stream.has_to_wake() {
                            wake_reader.send(()).unwrap();
                        }
                        if !left.is_empty() && !stream.ask_for_room(&mut end).unwrap() {
                            room.recv_timeout(limit).unwrap();
                        }
                    }
                }
            });
            let (mut end, mut into) = (End::default(), [0; 24]);
            let mut expected = (0..COUNT).flat_map(|number| vec![number; 1 + number as usize % 5]);
            let mut left = expected.clone().count();
            let began = Instant::now();
            while left > 0 {
                assert!(began.elapsed() < limit);
                let count = stream.read(&mut end, &mut into).unwrap();
                if count > 0 && stream.is_asked_for_room() {
                    wake_writer.send(()).unwrap();
                }
                for unit in into[..count].chunks(8) {
                    let number = u64::from_ne_bytes(unit.try_into().unwrap());
                    assert_eq!(Some(number), expected.next());
                }
                left -= count / 8;
                if count == 0 && !stream.fall_asleep(&end) {
                    woken.recv_timeout(limit).unwrap();
                    stream.stay_awake();
                }
            }
        });
    }
}
