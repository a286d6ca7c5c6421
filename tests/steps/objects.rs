//! Deaths of who makes words, sends them, gets them and drops them, and of who buries the dead.

use fourfold::process::{Event, Lock, Queue, Semaphore, steps};

use super::support::{Board, Case, HANG, Round, finished};
use super::words::case;

pub(crate) fn cases(cases: &mut Vec<Case>) {
    case(cases, "making words", |round| made(round, false));
    case(cases, "making words, by one who registers", |round| made(round, true));
    case(cases, "sending a handle", sends);
    case(cases, "getting a handle, and dropping it", gets);
    case(cases, "getting the last handle, and dropping it", gets_the_last);
    case(cases, "burying", buries);
    case(cases, "burying who was making words", buries_a_maker);
}

/// What a dead one has left of words must not show in new ones.
fn new_words_are_new() {
    let lock = Lock::new(7u64).unwrap();
    assert_eq!(*lock.try_lock().unwrap().expect("a new lock is free"), 7);
    let event = Event::new().unwrap();
    assert!(!event.is_set());
    let semaphore = Semaphore::bounded(1).unwrap();
    assert!(semaphore.try_acquire() && !semaphore.try_acquire());
    let queue = Queue::<u64>::bounded(400).unwrap();
    assert!(queue.is_empty() && queue.try_get().is_err());
    for number in 0..400 {
        queue.try_put(number).unwrap();
    }
    let array = Lock::new([0u64; 9000]).unwrap();
    assert!(array.lock().unwrap().iter().all(|number| *number == 0));
}

fn make() {
    let semaphore = Semaphore::new(77).unwrap();
    let queue = Queue::<u64>::bounded(5).unwrap();
    let large = Queue::<u64>::bounded(400).unwrap();
    let array = Lock::new([u64::MAX; 9000]).unwrap();
    drop(array.clone());
    drop((semaphore, array, large, queue));
    let _ = Event::new().unwrap();
}

fn made(round: Round, cold: bool) -> bool {
    let warm = || {
        if !cold {
            steps::bury();
        }
    };
    let ended = finished(round.victim(warm, |_| make()));
    steps::bury();
    steps::audit().unwrap();
    new_words_are_new();
    ended
}

fn sends(round: Round) -> bool {
    let queue = Queue::bounded(2).unwrap();
    let lock = Lock::new(3u64).unwrap();
    let op = |board: &Board| {
        queue.put((lock.clone(), vec![1u8; 200])).unwrap();
        board.is_at(1);
    };
    let ended = finished(round.victim(
        || {
            let _ = (queue.len(), lock.is_locked());
        },
        op,
    ));
    steps::bury();
    match queue.try_get() {
        Ok((got, bytes)) => assert_eq!((*got.lock().unwrap(), bytes.len()), (3, 200)),
        Err(_) => assert_eq!(round.stage(), 0),
    }
    ended
}

fn gets(round: Round) -> bool {
    let queue = Queue::bounded(2).unwrap();
    let lock = Lock::new(3u64).unwrap();
    queue.put((lock.clone(), vec![1u8; 200])).unwrap();
    let op = |_: &Board| {
        let (got, _) = queue.get().unwrap();
        *got.lock().unwrap() += 1;
    };
    let ended = finished(round.victim(|| _ = queue.len(), op));
    steps::bury();
    // It comes back, as good as it was.
    if let Ok((got, bytes)) = queue.try_get() {
        assert!(matches!(got.lock_timeout(HANG), Ok(Some(_))) && bytes.len() == 200);
    }
    drop(queue);
    let value = match lock.lock_timeout(HANG) {
        Ok(guard) => *guard.unwrap(),
        Err(told) => *told.into_inner(),
    };
    assert!(value == 3 || value == 4);
    ended
}

/// What only the item refers to is freed when that has been got, whoever dies.
fn gets_the_last(round: Round) -> bool {
    let queue = Queue::bounded(2).unwrap();
    queue.put((Lock::new(3u64).unwrap(), vec![1u8; 200])).unwrap();
    let op = |_: &Board| {
        let (got, _) = queue.get().unwrap();
        *got.lock().unwrap() += 1;
    };
    let ended = finished(round.victim(|| _ = queue.len(), op));
    steps::bury();
    let _ = queue.try_get();
    ended
}

/// Makes a mess, dies, and who buries it dies, too.
fn buries(round: Round) -> bool {
    let semaphore = Semaphore::new(5).unwrap();
    let queue = Queue::<Vec<u8>>::bounded(3).unwrap();
    let mess = |_: &Board| {
        semaphore.acquire();
        let words: Vec<_> = (0..3).map(|_| Queue::bounded(2).unwrap()).collect();
        for word in &words {
            word.put(vec![1u8; 300]).unwrap();
        }
        queue.put(vec![2u8; 300]).unwrap();
        std::mem::forget(words);
    };
    finished(round.victim_at((round.random % 700) as i64, || (), mess));
    let ended = finished(round.victim(|| _ = queue.len(), |_| steps::bury()));
    steps::bury();
    steps::audit().unwrap();
    for _ in 0..5 {
        assert!(semaphore.acquire_timeout(HANG));
    }
    assert!(!semaphore.try_acquire());
    ended
}

fn buries_a_maker(round: Round) -> bool {
    let keep = Event::new().unwrap();
    finished(round.victim_at((round.random % 500) as i64, || _ = keep.is_set(), |_| make()));
    let ended = finished(round.victim(|| _ = keep.is_set(), |_| steps::bury()));
    steps::bury();
    steps::audit().unwrap();
    new_words_are_new();
    ended
}
