//! What each word does in each of its states, in one thread.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::once::poll_once;
use super::support::Bell;
use crate::ErrorKind;
use crate::sync::list::{Kind, STARVED, WAITED, WaitList, Waiter};
use crate::sync::primitive::atomic::Ordering;
use crate::sync::{
    Barrier, Event, GetError, LifoQueue, Lock, PriorityQueue, PutError, Queue, RLock, RwLock,
    Semaphore, duplex, pipe, pipe_with_room,
};

const SHORT: Duration = Duration::from_millis(1);

fn state(list: &WaitList) -> usize {
    list.state().load(Ordering::SeqCst)
}

#[test]
fn those_in_line_are_told_in_the_order_of_arrival() {
    let list = WaitList::new(0);
    let bells: Vec<_> = (0..4).map(|_| Bell::new()).collect();
    let mut waiters: Vec<_> = bells
        .iter()
        .map(|bell| {
            let mut waiter = Waiter::new(&list, Kind::One);
            waiter.enter(Waker::from(bell.clone()));
            waiter
        })
        .collect();
    assert_eq!(state(&list), WAITED);
    let rung = || bells.iter().map(|bell| bell.count()).collect::<Vec<_>>();
    list.notify_one();
    assert_eq!(rung(), [1, 0, 0, 0]);
    // It goes away without a try: the next one is told.
    drop(waiters.remove(0));
    assert_eq!(rung(), [1, 1, 0, 0]);
    // This one tries in vain, and goes back before those who came later.
    assert!(waiters[0].poll_told(Waker::noop()).is_some());
    waiters[0].enter(Waker::from(bells[1].clone()));
    list.notify_one();
    assert_eq!(rung(), [1, 2, 0, 0]);
    // It succeeds: what it was told is used up.
    waiters[0].finish();
    // Told in spite of leaving: passed on at once.
    list.notify_one();
    waiters[1].finish();
    assert_eq!(rung(), [1, 2, 1, 1]);
    assert_eq!(state(&list), 0);
    list.notify_one();
    assert_eq!(rung(), [1, 2, 1, 1]);
}

#[test]
fn who_tries_in_vain_for_long_is_let_by() {
    let list = WaitList::new(0);
    let mut waiter = Waiter::new(&list, Kind::One);
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiter.poll(&mut context, || None::<()>).is_pending());
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(state(&list), WAITED, "to wait for long is not to try in vain");
    list.notify_one();
    assert!(waiter.poll(&mut context, || None::<()>).is_pending());
    assert_eq!(state(&list), WAITED | STARVED);
    let mut late = Waiter::new(&list, Kind::One);
    let tries = std::cell::Cell::new(0);
    let mut attempt = || {
        tries.set(tries.get() + 1);
        Some(())
    };
    assert!(late.poll(&mut context, &mut attempt).is_pending());
    assert_eq!(tries.get(), 0, "who comes late goes to the line without a try");
    assert!(waiter.poll(&mut context, || Some(())).is_ready());
    assert_eq!(state(&list), WAITED);
    assert!(late.poll(&mut context, &mut attempt).is_ready());
    assert_eq!((state(&list), tries.get()), (0, 1));
}

#[test]
fn who_has_heard_and_goes_away_without_a_try_passes_it_on() {
    let list = WaitList::new(0);
    let bell = Bell::new();
    let (mut first, mut second) = (Waiter::new(&list, Kind::One), Waiter::new(&list, Kind::One));
    first.enter(Waker::noop().clone());
    second.enter(Waker::from(bell.clone()));
    list.notify_one();
    assert!(first.poll_told(Waker::noop()).is_some());
    assert_eq!(bell.count(), 0);
    drop(first);
    assert_eq!(bell.count(), 1);
}

#[test]
fn a_crowd_leaves_nothing_behind() {
    let list = WaitList::new(0);
    let waiters: Vec<_> = (0..1000)
        .map(|_| {
            let mut waiter = Waiter::new(&list, Kind::One);
            waiter.enter(Waker::noop().clone());
            waiter
        })
        .collect();
    assert_eq!(list.places(), 1000);
    drop(waiters);
    assert_eq!((list.places(), state(&list)), (0, 0));
}

#[test]
fn a_lock_is_released_by_a_panic_and_by_a_guard_elsewhere() {
    let lock = Arc::new(Lock::new(1));
    let same = lock.clone();
    let panicked = std::thread::spawn(move || {
        let mut guard = same.lock();
        *guard = 2;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    let guard = lock.lock();
    assert_eq!(*guard, 2);
    std::thread::scope(|scope| scope.spawn(move || drop(guard)).join().unwrap());
    assert!(!lock.is_locked());
    assert_eq!(format!("{lock:?}"), "Lock(2)");
    let _held = lock.lock();
    assert_eq!(format!("{lock:?}"), "Lock(<locked>)");
}

#[test]
fn guards_and_words_go_where_it_is_sound() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    use std::cell::Cell;
    send::<Lock<Cell<u8>>>();
    sync::<Lock<Cell<u8>>>();
    send::<crate::sync::LockGuard<'static, Cell<u8>>>();
    sync::<crate::sync::LockGuard<'static, u8>>();
    send::<Queue<Cell<u8>>>();
    sync::<Queue<Cell<u8>>>();
    sync::<PriorityQueue<u8>>();
    sync::<RwLock<u8>>();
    sync::<(Semaphore, Event, Barrier, RLock)>();
}

#[test]
fn readers_go_together_and_behind_a_writer_that_waits() {
    let lock = RwLock::new(1);
    let reading = lock.read();
    assert!(lock.try_read().is_some());
    assert!(lock.write_timeout(SHORT).is_none());
    {
        let writer = lock.write_async();
        let mut writer = std::pin::pin!(writer);
        let mut context = Context::from_waker(Waker::noop());
        assert!(std::future::Future::poll(writer.as_mut(), &mut context).is_pending());
        assert!(lock.try_read().is_none(), "a writer waits");
        assert!(lock.read_timeout(SHORT).is_none());
    }
    assert!(lock.try_read().is_some(), "the writer has gone away");
    drop(reading);
    assert!(lock.try_write().is_some());
}

#[test]
fn an_rlock_counts_and_knows_whose_it_is() {
    let lock = RLock::new();
    let guards = [lock.lock(), lock.try_lock().unwrap(), lock.lock_timeout(SHORT).unwrap()];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(lock.try_lock().is_none());
            assert!(lock.lock_timeout(SHORT).is_none());
            assert_eq!(lock.release().unwrap_err().kind(), ErrorKind::InvalidInput);
        });
    });
    guards.into_iter().for_each(|guard| guard.forget());
    for _ in 0..3 {
        assert!(lock.is_locked());
        lock.release().unwrap();
    }
    assert!(!lock.is_locked() && lock.release().is_err());
    // A guard whose turn was released by hand has nothing left to do.
    let guard = lock.lock();
    lock.release().unwrap();
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn a_semaphore_counts() {
    let semaphore = Semaphore::bounded(2);
    assert!(semaphore.try_acquire() && semaphore.acquire_timeout(SHORT));
    assert!(!semaphore.try_acquire() && !semaphore.acquire_timeout(SHORT));
    assert!(poll_once(semaphore.acquire_async()).is_none());
    semaphore.release().unwrap();
    assert!(poll_once(semaphore.acquire_async()).is_some());
    semaphore.release().unwrap();
    semaphore.release().unwrap();
    assert_eq!(semaphore.release().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(semaphore.permits(), 2);
}

#[test]
fn an_event_that_is_set_and_cleared_lets_go_of_who_waited() {
    let event = Event::new();
    let mut waiting = std::pin::pin!(event.wait_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(std::future::Future::poll(waiting.as_mut(), &mut context).is_pending());
    event.set();
    event.clear();
    assert!(!event.wait_timeout(SHORT), "who comes later waits");
    assert!(std::future::Future::poll(waiting.as_mut(), &mut context).is_ready());
}

#[test]
fn a_barrier_is_broken_by_who_goes_away_and_made_whole_by_reset() {
    let barrier = Barrier::new(3);
    assert!(poll_once(barrier.wait_async()).is_none());
    assert!(barrier.is_broken());
    assert_eq!((barrier.wait(), barrier.waiting()), (None, 0));
    barrier.reset();
    for _ in 0..2 {
        let mut first = std::pin::pin!(barrier.wait_async());
        let mut second = std::pin::pin!(barrier.wait_async());
        let mut context = Context::from_waker(Waker::noop());
        assert!(std::future::Future::poll(first.as_mut(), &mut context).is_pending());
        assert!(std::future::Future::poll(second.as_mut(), &mut context).is_pending());
        assert_eq!((barrier.waiting(), barrier.parties()), (2, 3));
        assert_eq!(barrier.wait(), Some(2));
        // One that was let go and goes away before it hears of it breaks nothing.
        let told = std::future::Future::poll(first.as_mut(), &mut context);
        assert_eq!(told, std::task::Poll::Ready(Some(0)));
    }
    assert!(!barrier.is_broken());
    let mut waiting = std::pin::pin!(barrier.wait_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(std::future::Future::poll(waiting.as_mut(), &mut context).is_pending());
    barrier.reset();
    let told = std::future::Future::poll(waiting.as_mut(), &mut context);
    assert_eq!(told, std::task::Poll::Ready(None));
    assert!(!barrier.is_broken());
}

#[test]
fn a_member_whose_time_is_over_when_all_are_there_has_its_place() {
    let barrier = Barrier::new(2);
    let mut late = barrier.member();
    assert!(late.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(barrier.wait(), Some(1));
    assert_eq!(late.go_away(), Some(0));
    assert!(!barrier.is_broken());
    let mut late = barrier.member();
    assert!(late.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    barrier.reset();
    assert_eq!((late.go_away(), barrier.is_broken()), (None, false));
    let mut late = barrier.member();
    assert!(late.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!((late.go_away(), barrier.is_broken()), (None, true));
}

#[test]
fn a_queue_holds_exactly_as_many_as_it_has_room_for() {
    for capacity in [1, 2, 3, 5, 8, 100] {
        let queue = Queue::bounded(capacity);
        // Several laps, from each offset.
        for round in 0..3 * capacity {
            for n in 0..capacity {
                assert_eq!(queue.len(), n);
                assert_eq!((queue.is_full(), queue.is_empty()), (false, n == 0));
                queue.try_put((round, n)).unwrap();
            }
            assert!(queue.is_full());
            assert_eq!(queue.try_put((9, 9)), Err(PutError::Full((9, 9))));
            assert_eq!(queue.put_timeout((9, 9), SHORT), Err(PutError::Full((9, 9))));
            for n in 0..capacity {
                assert_eq!(queue.try_get(), Ok((round, n)));
            }
            assert_eq!(queue.try_get(), Err(GetError::Empty));
            // Shifts the next round by one.
            queue.put((0, 0)).unwrap();
            queue.get().unwrap();
        }
        let puts = 3 * capacity * (capacity + 1);
        assert!((0..puts).all(|_| queue.task_done().is_ok()));
        assert_eq!(queue.task_done().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn an_unbounded_queue_grows_and_counts() {
    let queue = Queue::new();
    for n in 0..10_000 {
        queue.put(n).unwrap();
    }
    assert_eq!((queue.len(), queue.capacity(), queue.is_full()), (10_000, None, false));
    assert!(queue.try_iter().eq(0..10_000));
    assert!(!queue.join_timeout(SHORT));
    assert!((0..10_000).all(|_| queue.task_done().is_ok()));
    assert!(queue.join_timeout(SHORT) && queue.task_done().is_err());
}

#[test]
fn shutting_down_leaves_or_drops_what_is_in_it() {
    fn each(bounded: bool, immediate: bool) {
        let queue = if bounded { Queue::bounded(4) } else { Queue::new() };
        let item = Arc::new(());
        for _ in 0..3 {
            queue.put(item.clone()).unwrap();
        }
        queue.get().unwrap();
        queue.shut_down(immediate);
        assert!(matches!(queue.put(item.clone()), Err(PutError::ShutDown(_))));
        assert!(matches!(queue.try_put(item.clone()), Err(PutError::ShutDown(_))));
        assert_eq!(queue.iter().count(), if immediate { 0 } else { 2 });
        assert_eq!(queue.get(), Err(GetError::ShutDown));
        assert_eq!(Arc::strong_count(&item), 1);
        // What was dropped counts as done; what was got does not.
        let done = (0..4).take_while(|_| queue.task_done().is_ok()).count();
        assert_eq!(done, if immediate { 1 } else { 3 });
    }
    for bounded in [false, true] {
        each(bounded, false);
        each(bounded, true);
    }
}

#[test]
fn dropping_a_queue_drops_its_items() {
    let item = Arc::new(());
    for queue in [Queue::bounded(3), Queue::new()] {
        for _ in 0..3 {
            queue.put(item.clone()).unwrap();
        }
    }
    let stack = LifoQueue::new();
    stack.put(item.clone()).unwrap();
    drop(stack);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn priorities_and_stacks_have_their_order() {
    let queue = PriorityQueue::new();
    for item in [(20, "b"), (20, "a"), (-5, "z"), (7, "m")] {
        queue.put(item).unwrap();
    }
    assert!(queue.try_iter().eq([(-5, "z"), (7, "m"), (20, "a"), (20, "b")]));
    let queue = PriorityQueue::bounded(3);
    for item in [1.5, 0.5, 2.5] {
        queue.put_at("same", item).unwrap();
    }
    assert_eq!(queue.try_put_at("same", 9.0), Err(PutError::Full(9.0)));
    assert!(queue.try_iter().eq([1.5, 0.5, 2.5]));
    let stack = LifoQueue::bounded(2);
    stack.put(1).unwrap();
    stack.put(2).unwrap();
    assert_eq!(stack.try_put(3), Err(PutError::Full(3)));
    assert!(stack.try_iter().eq([2, 1]));
}

#[test]
fn a_pipe_ends_when_an_end_is_closed() {
    let (sender, receiver) = pipe_with_room(1);
    sender.send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(PutError::Full(2)));
    assert_eq!(sender.send_timeout(2, SHORT), Err(PutError::Full(2)));
    drop(sender);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(GetError::ShutDown)));
    let (sender, receiver) = pipe();
    let item = Arc::new(());
    sender.send(item.clone()).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&item), 1, "what nobody has received is dropped");
    assert!(matches!(sender.send(item), Err(PutError::ShutDown(_))));
    let (here, there) = duplex::<u8, &str>();
    here.send(1).unwrap();
    there.send("one").unwrap();
    assert_eq!((here.recv(), there.recv()), (Ok("one"), Ok(1)));
    drop(there);
    assert_eq!(here.recv(), Err(GetError::ShutDown));
    assert_eq!(here.send(2), Err(PutError::ShutDown(2)));
}
