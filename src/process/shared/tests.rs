//! An arena that is full, of memory or of participants: an error, and nothing is lost or damaged.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::time::{Duration, Instant};

use super::Bounded;
use super::arena::{Arena, HEAP, MAX_MEMBERS, status};
use super::atomic::Ordering;
use super::members::REFERENCE;
use super::object::{Attached, ObjectKind};
use crate::error::ErrorKind;
use crate::process::{OnDeath, PutError};
use crate::sync::park::Wait;

/// A small arena of its own, with room for so many bytes of blocks.
fn small(room: u64) -> &'static Arena {
    let file = rustix::fs::memfd_create("small", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, HEAP + room).unwrap();
    // As in a process: for ever.
    let file: &'static OwnedFd = Box::leak(Box::new(file));
    Box::leak(Box::new(Arena::map(file.as_fd()).unwrap()))
}

fn wait() -> Wait {
    Wait { what: "test", place: Location::caller() }
}

#[test]
fn a_full_memory_is_an_error_with_the_sizes_and_harms_nothing() {
    let arena = small(HEAP);
    arena.take_part().unwrap();
    let before = arena.usage();
    let mut words = Vec::new();
    let error = loop {
        match Attached::create(arena, ObjectKind::Event, 0, 9_000, |_| ()) {
            Ok(word) => words.push(word),
            Err(error) => break error,
        }
        assert!(words.len() < 1000, "there is no end of room");
    };
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    let text = error.to_string();
    for part in ["9064", &HEAP.to_string(), &arena.usage().1.to_string()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(words.len(), 96, "words of 10 KiB, 12 to a chunk, in 8 chunks of 128 KiB");
    arena.audit().unwrap();
    let full = arena.usage();
    assert_eq!(full.1, before.1 + words.len() as u64 * (10_240 + REFERENCE));
    // There is room again for what one had.
    words.pop();
    words.push(Attached::create(arena, ObjectKind::Event, 0, 9_000, |_| ()).unwrap());
    assert_eq!(arena.usage(), full);
    words.clear();
    assert_eq!(arena.usage(), before);
    arena.audit().unwrap();
}

#[test]
fn an_item_that_has_no_room_comes_back_and_the_queue_goes_on() {
    let arena = small(HEAP);
    arena.take_part().unwrap();
    let before = arena.usage();
    let queue = Bounded::<Vec<u8>>::new_in(arena, 40, OnDeath::HandBack).unwrap();
    let mut count = 0u8;
    let back = loop {
        match queue.try_put(vec![count; 100_000]) {
            Ok(()) => count += 1,
            Err(PutError::Failed(item, error)) => {
                assert_eq!(error.kind(), ErrorKind::OutOfMemory);
                break item;
            }
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(count > 0 && back == vec![count; 100_000]);
    assert!(matches!(queue.try_put(vec![0; 1 << 30]), Err(PutError::Failed(..))));
    arena.audit().unwrap();
    // What needs no room is put behind, and comes out behind.
    queue.try_put(vec![9; 10]).unwrap();
    for at in 0..count {
        assert_eq!(queue.get(&wait(), None).unwrap(), vec![at; 100_000]);
    }
    assert_eq!(queue.get(&wait(), None).unwrap(), [9; 10]);
    queue.try_put(back.clone()).unwrap();
    assert_eq!(queue.try_get().unwrap(), back);
    drop(queue);
    assert_eq!(arena.usage(), before);
    arena.audit().unwrap();
}

#[test]
fn who_waits_for_an_item_that_has_no_room_gets_the_next() {
    let arena = small(HEAP);
    let queue = Bounded::<Vec<u8>>::new_in(arena, 4, OnDeath::HandBack).unwrap();
    let other = queue.clone();
    let getting = std::thread::spawn(move || other.get(&wait(), Some(Duration::from_secs(60))));
    assert!(matches!(queue.try_put(vec![0; 4 << 20]), Err(PutError::Failed(..))));
    queue.try_put(vec![7; 10]).unwrap();
    assert_eq!(getting.join().unwrap().unwrap(), [7; 10]);
}

#[test]
fn too_many_participants_are_an_error_until_some_are_dead() {
    let arena = small(HEAP);
    // SAFETY: the child makes calls on numbers only.
    let other = match unsafe { libc::fork() } {
        0 => {
            let all = (0..MAX_MEMBERS).all(|index| arena.hold_slot(index).unwrap_or(false));
            // Says so in memory that both have.
            arena.slot(MAX_MEMBERS - 1).pid.store(u32::from(all), Ordering::Release);
            loop {
                // SAFETY: a call without arguments.
                unsafe { libc::pause() };
            }
        }
        pid => pid,
    };
    let end = Instant::now() + Duration::from_secs(60);
    while arena.slot(MAX_MEMBERS - 1).pid.load(Ordering::Acquire) == 0 {
        assert!(Instant::now() < end, "the other has not taken all slots");
        std::thread::sleep(Duration::from_millis(1));
    }
    let live = 1 << 32 | u64::from(status::LIVE);
    for index in 0..MAX_MEMBERS {
        arena.slot(index).state.store(live, Ordering::Release);
    }
    arena.header().slots.store(MAX_MEMBERS as u64, Ordering::Release);
    let error = arena.take_part().unwrap_err();
    assert!(error.to_string().contains("4096 processes"), "{error}");
    assert_eq!(arena.members(), MAX_MEMBERS);
    // SAFETY: a child of ours, which nobody has waited for.
    unsafe {
        libc::kill(other, libc::SIGKILL);
        libc::waitpid(other, std::ptr::null_mut(), 0);
    }
    let word = Attached::create(arena, ObjectKind::Event, 0, 8, |_| ()).unwrap();
    drop(word);
    arena.look_after_all();
    assert_eq!(arena.members(), 1);
    arena.audit().unwrap();
}
