//! Processes that use words in shared memory at random, and are killed and stopped at random. A history tells what was lost.
//!
//! The history is a file that all map, in which each notes what it begins, and what has returned: it outlives whoever dies.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use fourfold::ErrorKind;
use fourfold::process::{Child, Event, GetError, Lock, PutError, Queue, Semaphore};
use serde::{Deserialize, Serialize};

use super::support::{Chance, LIMIT, Log, Rounds, WAYS, eventually, kill};

/// How many items there can be in a run.
const ITEMS: usize = 1 << 28;
/// How many processes there can be in a run, one after the other.
const LIVES: usize = 1 << 16;
/// How many there are at one time.
const TOGETHER: usize = 6;
const PERMITS: usize = 2;

/// In an item's byte: its `put` has returned.
const PUT: u8 = 0x80;

/// What lies in the file.
#[repr(C)]
struct History {
    stop: AtomicU64,
    next: AtomicU64,
    /// For each process, how many items its `get` may take with it when it dies now.
    taking: [AtomicU8; LIVES],
    /// For each process, how often it has done something.
    beats: [AtomicU64; LIVES],
    /// For each item, how often it was got, and [`PUT`].
    items: [AtomicU8; ITEMS],
}

impl History {
    fn map(path: &Path, create: bool) -> &'static History {
        let file =
            File::options().read(true).write(true).create(create).truncate(create).open(path);
        let file = file.unwrap();
        if create {
            file.set_len(size_of::<History>() as u64).unwrap();
        }
        // SAFETY: a fresh mapping of a file of this size, which nobody shrinks, never unmapped; atomics only.
        unsafe {
            use std::os::fd::AsRawFd;
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let (size, fd) = (size_of::<History>(), file.as_raw_fd());
            let place = libc::mmap(std::ptr::null_mut(), size, protection, libc::MAP_SHARED, fd, 0);
            assert_ne!(place, libc::MAP_FAILED);
            &*place.cast::<History>()
        }
    }
}

/// All that a process is given.
#[derive(Clone, Serialize, Deserialize)]
struct Words {
    history: PathBuf,
    queue: Queue<(u64, Vec<u8>)>,
    lock: Lock<[u64; 3]>,
    semaphore: Semaphore,
    event: Event,
}

/// The life of one.
fn live(words: Words, life: u64, seed: u64) {
    let history = History::map(&words.history, false);
    let mut chance = Chance::seeded(seed);
    let life = life as usize;
    while history.stop.load(SeqCst) == 0 {
        history.beats[life].fetch_add(1, SeqCst);
        match chance.below(8) {
            0..=2 => put(&words, history, &mut chance),
            3 | 4 => get(&words, history, life),
            5 => lock(&words, &mut chance),
            6 => {
                assert!(words.semaphore.acquire_timeout(LIMIT), "no permit in {LIMIT:?}");
                words.semaphore.release().unwrap();
            }
            _ => match chance.below(3) {
                0 => words.event.set(),
                1 => words.event.clear(),
                _ => drop(words.event.wait_timeout(Duration::from_micros(300))),
            },
        }
    }
}

fn put(words: &Words, history: &History, chance: &mut Chance) {
    let id = history.next.fetch_add(1, SeqCst);
    assert!((id as usize) < ITEMS, "more items than the history has room for");
    // In the cell, in a block, in pages of its own.
    let size = [8, 60, 800, 9_000, 50_000][chance.below(5) as usize];
    let item = (id, vec![id as u8; size]);
    let result = match chance.below(2) {
        0 => words.queue.put_timeout(item, Duration::from_millis(20)),
        _ => words.queue.try_put(item),
    };
    match result {
        Ok(()) => drop(history.items[id as usize].fetch_or(PUT, SeqCst)),
        Err(PutError::Full(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn get(words: &Words, history: &History, life: usize) {
    // Has the kernel map the place where it is noted, so that not much is between its coming and that.
    history.items[history.next.load(SeqCst) as usize].fetch_or(0, SeqCst);
    history.taking[life].store(1, SeqCst);
    match words.queue.get_timeout(Duration::from_millis(20)) {
        Ok(item) => note(history, &item),
        Err(GetError::Empty) => {}
        Err(error) => panic!("{error}"),
    }
    history.taking[life].store(0, SeqCst);
}

fn note(history: &History, (id, bytes): &(u64, Vec<u8>)) {
    // At once: until then it counts as lost with who got it.
    let before = history.items[*id as usize].fetch_add(1, SeqCst);
    assert!(bytes.iter().all(|byte| *byte == *id as u8), "the item {id} is damaged");
    assert_eq!(before & !PUT, 0, "the item {id} came out twice");
}

fn lock(words: &Words, chance: &mut Chance) {
    let mut guard = match words.lock.lock_timeout(LIMIT) {
        Ok(guard) => guard.unwrap_or_else(|| panic!("no lock in {LIMIT:?}")),
        Err(told) => {
            let mut guard = told.into_inner();
            guard[1] = guard[0];
            guard
        }
    };
    assert_eq!(guard[0], guard[1], "two have held the lock at once, or a death was not told");
    let me = u64::from(std::process::id());
    guard[2] = me;
    guard[0] += 1;
    if chance.below(4) == 0 {
        chance.pause(200);
    }
    guard[1] += 1;
    assert_eq!((guard[0], guard[2]), (guard[1], me), "the lock was taken from one who lives");
}

/// Lives that are ended and begun, and stopped for a while.
pub(crate) fn random_words(_: &[String]) -> ExitCode {
    let mut chance = Chance::new();
    let mut rounds = Rounds::long();
    let log = Log::new();
    let history = History::map(&log.path(), true);
    let words = Words {
        history: log.path(),
        queue: Queue::bounded(12).unwrap(),
        lock: Lock::new([0; 3]).unwrap(),
        semaphore: Semaphore::bounded(PERMITS).unwrap(),
        event: Event::new().unwrap(),
    };
    let mut lives: Vec<(Child<()>, usize)> = Vec::new();
    let (mut begun, mut killed, mut stopped) = (0, 0, 0);
    let mut taken = 0;
    let mut begin = |chance: &mut Chance| {
        let life = begun;
        begun += 1;
        let builder = WAYS[chance.below(3) as usize].builder();
        let seed = chance.below(u64::MAX);
        (builder.spawn(live, (words.clone(), life as u64, seed)).unwrap(), life)
    };
    let mut end = |(child, life): (Child<()>, usize), signal| {
        let error = child.into_handle().join_timeout(LIMIT).expect("it ends").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Signaled(signal), "{error}");
        taken += u64::from(history.taking[life].load(SeqCst));
    };
    while rounds.next() {
        while lives.len() < TOGETHER {
            lives.push(begin(&mut chance));
        }
        chance.pause(6000);
        let one = chance.below(TOGETHER as u64) as usize;
        if chance.below(8) == 0 {
            // Who is stopped is not dead, and goes on as if nothing had been.
            let (child, life) = &lives[one];
            if history.beats[*life].load(SeqCst) == 0 {
                continue;
            }
            let (pid, life) = (child.pid(), *life);
            kill(pid, libc::SIGSTOP);
            // Half of the time another dies meanwhile, maybe with what the stopped one is at.
            if chance.below(2) == 0 {
                let other = (one + 1) % TOGETHER;
                kill(lives[other].0.pid(), libc::SIGKILL);
                end(lives.swap_remove(other), libc::SIGKILL);
                killed += 1;
            }
            std::thread::sleep(Duration::from_millis(120));
            let before = history.beats[life].load(SeqCst);
            kill(pid, libc::SIGCONT);
            let beats = &history.beats[life];
            eventually("one that was stopped goes on", || beats.load(SeqCst) > before + 1);
            stopped += 1;
        } else {
            kill(lives[one].0.pid(), libc::SIGKILL);
            end(lives.swap_remove(one), libc::SIGKILL);
            killed += 1;
        }
    }
    let beats: Vec<u64> = lives.iter().map(|(_, life)| history.beats[*life].load(SeqCst)).collect();
    for ((_, life), before) in lives.iter().zip(beats) {
        eventually("nobody waits for ever", || history.beats[*life].load(SeqCst) > before);
    }
    history.stop.store(1, SeqCst);
    for (child, _) in lives {
        child.into_handle().join_timeout(LIMIT).expect("it ends").unwrap();
    }
    // What the dead were taking comes back within a twentieth of a second.
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(500) {
        if let Ok(item) = words.queue.get_timeout(Duration::from_millis(50)) {
            note(history, &item);
            last = Instant::now();
        }
    }
    let next = history.next.load(SeqCst) as usize;
    let (mut put, mut got, mut missing) = (0, 0, 0);
    for item in &history.items[..next] {
        let seen = item.load(SeqCst);
        put += u64::from(seen & PUT != 0);
        got += u64::from(seen & !PUT != 0);
        missing += u64::from(seen == PUT);
    }
    assert!(missing <= taken, "{missing} items are lost, and {taken} died as they got one");
    for _ in 0..PERMITS {
        assert!(words.semaphore.acquire_timeout(LIMIT), "a permit is lost");
    }
    assert!(!words.semaphore.try_acquire() && put > 0 && got > 0 && killed > 0);
    println!(
        "{killed} killed, {stopped} stopped; {put} items put, {got} got, {missing} lost with {taken} who got one"
    );
    ExitCode::SUCCESS
}
