//! Deaths in queues.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use fourfold::process::{GetError, OnDeath, PutError, Queue, steps};

use super::support::{Board, Case, HANG, Round, block_on, finished, fork};
use super::words::case;

/// An item: its number, and what shows that it is whole.
type Item = (u64, Vec<u8>);

/// Items that lie in a cell, in a block, and in a block of pages of its own.
const SIZES: [(&str, usize); 3] = [("small", 40), ("middling", 1000), ("large", 70_000)];

fn item(number: u64, size: usize) -> Item {
    (number, vec![number as u8 ^ 0x5a; size])
}

fn number(item: Item, size: usize) -> u64 {
    assert_eq!(item.1.len(), size);
    assert!(
        item.1.iter().all(|byte| *byte == item.0 as u8 ^ 0x5a),
        "the item {} is damaged",
        item.0
    );
    item.0
}

pub(crate) fn cases(cases: &mut Vec<Case>) {
    for (name, size) in SIZES {
        case(cases, &format!("put, {name}"), move |round| put(round, size));
        case(cases, &format!("put_many, {name}"), move |round| put_many(round, size));
        case(cases, &format!("put, full, {name}"), move |round| put_full(round, size));
        for policy in [OnDeath::HandBack, OnDeath::Report, OnDeath::Drop] {
            case(cases, &format!("get, {policy:?}, {name}"), move |round| get(round, size, policy));
        }
        case(cases, &format!("get_many, {name}"), move |round| get_many(round, size));
        case(cases, &format!("get, empty, {name}"), move |round| get_empty(round, size, false));
        case(cases, &format!("searching, {name}"), move |round| search(round, size));
    }
    case(cases, "get, empty, with a future", |round| get_empty(round, 40, true));
    for (name, size) in SIZES {
        case(cases, &format!("get, shut down, {name}"), move |round| get_last(round, size));
    }
    case(cases, "shut_down, with items left", |round| shut_down(round, false));
    case(cases, "shut_down, with items dropped", |round| shut_down(round, true));
}

fn warm(queue: &Queue<Item>) -> impl FnOnce() + '_ {
    move || _ = queue.len()
}

/// What is in it: numbers of items, and how many were reported as lost with who took them.
fn rest(queue: &Queue<Item>, size: usize) -> (Vec<u64>, usize) {
    steps::bury();
    let (mut numbers, mut reports) = (Vec::new(), 0);
    loop {
        match queue.try_get() {
            Ok(item) => numbers.push(number(item, size)),
            Err(GetError::TakerDied) => reports += 1,
            Err(GetError::Empty | GetError::ShutDown) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    (numbers, reports)
}

/// The queue works, and has all its room, twice around.
fn works(queue: &Queue<Item>, size: usize) {
    let capacity = queue.capacity().unwrap() as u64;
    for turn in 0..2 {
        for at in 0..capacity {
            queue.try_put(item(100 * turn + at, size)).unwrap();
        }
        assert!(matches!(queue.try_put(item(0, size)), Err(PutError::Full(_))));
        assert_eq!(queue.len() as u64, capacity);
        for at in 0..capacity {
            assert_eq!(number(queue.try_get().unwrap(), size), 100 * turn + at);
        }
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    }
}

fn put(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(3).unwrap();
    queue.put(item(1, size)).unwrap();
    let op = |board: &Board| {
        queue.put(item(2, size)).unwrap();
        board.is_at(1);
    };
    let ended = finished(round.victim(warm(&queue), op));
    queue.put(item(3, size)).unwrap();
    let (numbers, _) = rest(&queue, size);
    match round.stage() {
        1 => assert_eq!(numbers, [1, 2, 3]),
        _ => assert!(numbers == [1, 2, 3] || numbers == [1, 3], "{numbers:?}"),
    }
    works(&queue, size);
    ended
}

fn put_many(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(4).unwrap();
    let other = fork("who gets", || {
        let mut last = 0;
        while last != 9 {
            let now = number(queue.get_timeout(HANG).unwrap(), size);
            assert!(now > last, "{now} after {last}");
            last = now;
        }
        true
    });
    let op = |_: &Board| queue.put_many((1..=6).map(|number| item(number, size))).unwrap();
    let ended = finished(round.victim(warm(&queue), op));
    assert!(queue.put_timeout(item(9, size), HANG).is_ok());
    other.succeed();
    steps::bury();
    works(&queue, size);
    ended
}

fn put_full(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(1).unwrap();
    queue.put(item(1, size)).unwrap();
    let other = fork("who puts, too", || queue.put_timeout(item(3, size), HANG).is_ok());
    let op = |board: &Board| {
        queue.put(item(2, size)).unwrap();
        board.is_at(1);
    };
    let victim = round.victim(warm(&queue), op);
    std::thread::sleep(round.moment());
    let mut numbers = vec![number(queue.get_timeout(HANG).unwrap(), size)];
    let second = number(queue.get_timeout(HANG).unwrap(), size);
    numbers.push(second);
    let ended = finished(victim);
    other.succeed();
    numbers.extend(rest(&queue, size).0);
    numbers.sort();
    match round.stage() {
        1 => assert_eq!(numbers, [1, 2, 3]),
        _ => assert!(numbers == [1, 2, 3] || numbers == [1, 3], "{numbers:?}"),
    }
    works(&queue, size);
    ended
}

fn get(round: Round, size: usize, policy: OnDeath) -> bool {
    let queue = Queue::bounded_with(3, policy).unwrap();
    for at in 1..=2 {
        queue.put(item(at, size)).unwrap();
    }
    let op = |board: &Board| {
        let got = number(queue.get().unwrap(), size);
        board.got.store(got, SeqCst);
    };
    let ended = finished(round.victim(warm(&queue), op));
    let (numbers, reports) = rest(&queue, size);
    let all = (round.got(), numbers.as_slice(), reports);
    // It had given the cell back already, and was about to return.
    let tail = round.steps > round.total - 9;
    match (all, policy) {
        ((1, [2], 0), _) => {}
        ((0, [1, 2], 0), _) => {}
        // It is looked for once nothing else is there.
        ((0, [2, 1], 0), OnDeath::HandBack) => {}
        ((0, [2], 1), OnDeath::Report) => {}
        ((0, [2], 0), OnDeath::Drop) => {}
        ((0, [2], 0), _) if tail => {}
        _ => panic!("got, left, reported: {all:?}"),
    }
    works(&queue, size);
    ended
}

/// Who is told that the queue is shut down and empty has got all that comes back. Nobody buries the victim.
fn get_last(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(3).unwrap();
    for at in 1..=2 {
        queue.put(item(at, size)).unwrap();
    }
    queue.shut_down(false);
    let op = |board: &Board| {
        let got = number(queue.get().unwrap(), size);
        board.got.store(got, SeqCst);
    };
    let ended = finished(round.victim(warm(&queue), op));
    let mut numbers = Vec::new();
    loop {
        match queue.get() {
            Ok(item) => numbers.push(number(item, size)),
            Err(GetError::ShutDown) => break,
            Err(error) => panic!("{error:?}"),
        }
    }
    numbers.sort();
    let tail = round.steps > round.total - 10;
    match (round.got(), numbers.as_slice()) {
        (1, [2]) | (0, [1, 2]) => {}
        (0, [2]) if tail => {}
        all => panic!("got, left: {all:?}"),
    }
    ended
}

fn get_many(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(4).unwrap();
    for at in 1..=4 {
        queue.put(item(at, size)).unwrap();
    }
    let other = fork("who puts", || queue.put_timeout(item(5, size), HANG).is_ok());
    let op = |board: &Board| {
        let got = queue.get_many(3).unwrap();
        assert_eq!(got.len(), 3);
        board.is_at(1);
    };
    let ended = finished(round.victim(warm(&queue), op));
    let mut numbers = Vec::new();
    while !numbers.contains(&5) {
        numbers.push(number(queue.get_timeout(HANG).unwrap(), size));
    }
    other.succeed();
    numbers.extend(rest(&queue, size).0);
    assert!(round.stage() == 0 || numbers == [4, 5], "{numbers:?}");
    works(&queue, size);
    ended
}

fn get_empty(round: Round, size: usize, future: bool) -> bool {
    let queue = Queue::bounded(2).unwrap();
    let other = fork("who gets, too", || {
        let item = match future {
            true => block_on(queue.get_async()),
            false => queue.get_timeout(HANG),
        };
        number(item.unwrap(), size) > 0
    });
    let op = |board: &Board| {
        let got = number(queue.get().unwrap(), size);
        board.got.store(got, SeqCst);
    };
    let victim = round.victim(warm(&queue), op);
    std::thread::sleep(round.moment());
    for at in 1..=2 {
        queue.put(item(at, size)).unwrap();
    }
    let ended = finished(victim);
    if !ended && round.got() == 0 {
        // One may have gone with the victim as it returned. If there is no room, one is there for the other.
        let _ = queue.put_timeout(item(3, size), Duration::from_millis(20));
    }
    other.succeed();
    let (numbers, _) = rest(&queue, size);
    assert!(numbers.len() <= 2 && (!ended || numbers.is_empty()), "{numbers:?}");
    works(&queue, size);
    ended
}

/// Who gives back what the dead had dies, too.
fn search(round: Round, size: usize) -> bool {
    let queue = Queue::bounded(4).unwrap();
    for at in 1..=2 {
        queue.put(item(at, size)).unwrap();
    }
    let first = (round.random % 60) as i64;
    let takes = (round.random / 64).is_multiple_of(2);
    let op = |board: &Board| match takes {
        true => board.got.store(number(queue.get().unwrap(), size), SeqCst),
        false => {
            queue.put(item(3, size)).unwrap();
            board.is_at(1);
        }
    };
    finished(round.victim_at(first, warm(&queue), op));
    let got = round.got();
    round.board.got.store(0, SeqCst);
    let op = |board: &Board| {
        steps::bury();
        board.got.store(queue.try_get().map_or(0, |item| number(item, size)), SeqCst);
    };
    let ended = finished(round.victim(warm(&queue), op));
    let (mut numbers, _) = rest(&queue, size);
    let came = numbers.clone();
    numbers.extend([got, round.got()]);
    numbers.sort();
    numbers.retain(|number| *number != 0);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "twice: {numbers:?}");
    if round.stage() == 1 {
        assert!(numbers.contains(&3), "{numbers:?}");
    }
    // Each of the two may have died as its `get` returned.
    let lost = [1, 2].iter().filter(|number| !numbers.contains(number)).count();
    let may = usize::from(takes && got == 0) + usize::from(!ended && round.got() == 0);
    assert!(lost <= may, "{numbers:?}, {came:?} at the end");
    works(&queue, size);
    ended
}

fn shut_down(round: Round, immediate: bool) -> bool {
    let queue = Queue::bounded(3).unwrap();
    for at in 1..=3 {
        queue.put(item(at, 1000)).unwrap();
    }
    let other = fork("who puts", || {
        matches!(queue.put_timeout(item(4, 1000), HANG), Ok(()) | Err(PutError::ShutDown(_)))
    });
    let empty = Queue::<Item>::bounded(1).unwrap();
    let reader = fork("who gets", || matches!(empty.get_timeout(HANG), Err(GetError::ShutDown)));
    let op = |_: &Board| {
        queue.shut_down(immediate);
        empty.shut_down(immediate);
    };
    let warm = || {
        let _ = (queue.len(), empty.len());
    };
    let ended = finished(round.victim(warm, op));
    // Those who wait are let go by whoever comes through.
    if !ended {
        queue.shut_down(immediate);
        empty.shut_down(immediate);
    }
    other.succeed();
    reader.succeed();
    let (numbers, _) = rest(&queue, 1000);
    match immediate {
        true => assert!(numbers.is_empty(), "{numbers:?}"),
        false => assert!(numbers.starts_with(&[1, 2, 3]), "{numbers:?}"),
    }
    ended
}
