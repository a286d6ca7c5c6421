//! The connection of a process, with a root of the test's own.

use super::*;
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SendFlags;
use rustix::net::sockopt::Timeout;

use crate::process::served::wire::{Got, Load, read_request, write_reply};
use crate::task::ticket::{self, Ticket};

#[track_caller]
fn wait() -> Wait {
    Wait { what: "a test", place: Location::caller() }
}

fn is_gone<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::RootGone)
}

#[test]
fn all_who_wait_are_told_that_the_root_is_gone_and_all_who_come_later() {
    for later in [false, true] {
        let flags = SocketFlags::CLOEXEC;
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let (ours, root) = pair.unwrap();
        let link = Link::new(ours, 1);
        std::thread::scope(|scope| {
            let forever = super::super::wire::FOR_EVER;
            let calls: Vec<_> = (0..4)
                .map(|who| {
                    scope.spawn({
                        let link = &link;
                        move || {
                            let none = Tickets::default();
                            is_gone(link.wait(1, who << 1, forever, &Ask::Lock, none, &wait()))
                        }
                    })
                })
                .collect();
            if later {
                // Until all have asked: each request has the same size.
                let size = write_request(
                    &Head { id: 1, read: 0, word: 1, who: 0, limit: forever },
                    &Ask::Lock,
                )
                .len();
                let mut left = 4 * size;
                let mut buffer = vec![0; left];
                while left > 0 {
                    let flags = RecvFlags::empty();
                    left -= rustix::net::recv(&root, &mut buffer[..left], flags).unwrap().0;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            drop(root);
            assert!(calls.into_iter().all(|call| call.join().unwrap()));
        });
        assert!(is_gone(link.ask(1, 0, &Ask::Len, Tickets::default())));
        link.tell(1, 0, &Ask::LetGo(1));
        let state = link.state();
        assert!(state.calls.is_empty() && state.patient == 0);
    }
}

#[test]
fn a_word_that_is_not_there_is_told_to_a_future() {
    let link = super::link().unwrap();
    let asks = link.wait_async(u64::MAX, 1, &Ask::Len, Tickets::default());
    let mut asks = pin!(asks);
    let end = Instant::now() + Duration::from_secs(20);
    let mut context = Context::from_waker(Waker::noop());
    let answer = loop {
        if let Poll::Ready(answer) = asks.as_mut().poll(&mut context) {
            break answer;
        }
        assert!(Instant::now() < end, "no answer");
        std::thread::yield_now();
    };
    assert_eq!(answer.unwrap(), Answer::Unknown);
}

/// Ends of a test's tickets: with the root, or given back.
#[derive(Default)]
struct Ends {
    sent: AtomicUsize,
    back: AtomicUsize,
}

impl Ends {
    fn get(&self) -> (usize, usize) {
        (self.sent.load(Ordering::SeqCst), self.back.load(Ordering::SeqCst))
    }

    fn tickets(self: &Arc<Ends>) -> Tickets {
        ticket::collect(|| ticket::keep(Counted(self.clone()))).1
    }
}

struct Counted(Arc<Ends>);

impl Ticket for Counted {
    fn give_back(&self) {
        self.0.back.fetch_add(1, Ordering::SeqCst);
    }

    fn sent(&self) {
        self.0.sent.fetch_add(1, Ordering::SeqCst);
    }

    fn number(&self) -> Option<ticket::Number> {
        None
    }
}

/// A connection, and the root's end of it.
fn pair() -> (Arc<Link>, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    let (ours, root) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    let limit = Some(Duration::from_secs(20));
    rustix::net::sockopt::set_socket_timeout(&root, Timeout::Recv, limit).unwrap();
    (Link::new(ours, 1), root)
}

/// The next request of many.
fn next(root: &OwnedFd, inbox: &mut Inbox) -> (Head, Ask) {
    let mut buffer = vec![0; 1 << 10];
    loop {
        if let Some(frame) = inbox.next() {
            return read_request(frame).unwrap();
        }
        let (count, _) = rustix::net::recv(root, &mut *buffer, RecvFlags::empty()).unwrap();
        assert!(count > 0, "the connection has ended");
        inbox.add(&buffer[..count]);
    }
}

fn answer(root: &OwnedFd, id: u64, answer: &Answer) {
    let bytes = write_reply(id, answer);
    assert_eq!(rustix::net::send(root, &bytes, SendFlags::NOSIGNAL), Ok(bytes.len()));
}

/// Waits until it is so.
#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn tickets_are_the_root_s_if_its_answer_says_so_also_where_nobody_waits_for_it() {
    let put = Ask::Put(vec![(Load::default(), Vec::new())]);
    let loads = Answer::Loads { version: 0, loads: Vec::new() };
    let kept = [Answer::Done, loads, Answer::Is(true), Answer::Word(7)];
    let left = [Answer::Full, Answer::Shut, Answer::Is(false), Answer::Changed, Answer::Unknown];
    let cases = kept.map(|answer| (answer, (1, 0))).into_iter();
    for (told, expected) in cases.chain(left.map(|answer| (answer, (0, 1)))) {
        for waits in [true, false] {
            let ((link, root), mut inbox) = (pair(), Inbox::default());
            let ends = Arc::new(Ends::default());
            let mut context = Context::from_waker(Waker::noop());
            let call = Pending::new(&link, 1, 1, false, ends.tickets()).unwrap();
            let mut call = call.send(5, &put).unwrap();
            let (head, _) = next(&root, &mut inbox);
            assert!(call.poll(&mut context).is_pending());
            if waits {
                answer(&root, head.id, &told);
                eventually("it is answered", || link.is_over(head.id));
                assert!(call.poll(&mut context).is_ready());
            } else {
                drop(call);
                assert_eq!(next(&root, &mut inbox).1, Ask::Cancel(head.id));
                assert_eq!(ends.get(), (0, 0), "it is settled before the root has answered");
                answer(&root, head.id, &told);
            }
            eventually("its tickets are somebody's", || ends.get() == expected);
        }
    }
    // Not sent, and never answered.
    let (link, root) = pair();
    let ends = Arc::new(Ends::default());
    let call = Pending::new(&link, 1, 1, true, ends.tickets()).unwrap().send(5, &put).unwrap();
    drop(root);
    drop(call);
    assert!(is_gone(link.ask(1, 1, &put, ends.tickets())));
    eventually("both are given back", || ends.get() == (0, 2));
}

#[test]
fn who_reads_does_not_wait_for_the_root_to_read() {
    let ((link, root), mut inbox) = (pair(), Inbox::default());
    let none = Tickets::default;
    let lost = Pending::new(&link, 1, 1, false, none()).unwrap().send(5, &Ask::Get(1)).unwrap();
    let lost_id = next(&root, &mut inbox).0.id;
    drop(lost);
    let waits = Pending::new(&link, 1, 3, false, none()).unwrap().send(5, &Ask::Get(1)).unwrap();
    assert_eq!(next(&root, &mut inbox).1, Ask::Cancel(lost_id));
    let (head, _) = next(&root, &mut inbox);
    std::thread::scope(|scope| {
        // Closed also if this fails, so that nobody waits for it.
        let root = root;
        // Requests until the root's socket is full.
        let teller = link.clone();
        let told = Arc::new(AtomicUsize::new(0));
        let counted = told.clone();
        scope.spawn(move || {
            for _ in 0..3_000 {
                teller.tell(
                    1,
                    1,
                    &Ask::Find(Load { bytes: vec![0; 1 << 10].into(), words: Vec::new() }),
                );
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        let before = || told.load(Ordering::SeqCst);
        eventually("the socket is full", || {
            let count = before();
            std::thread::sleep(Duration::from_millis(20));
            count > 0 && before() == count
        });
        let got = Got { item: Load::default(), arrival: 3, key: Vec::new(), redelivered: true };
        answer(&root, lost_id, &Answer::Items(vec![got.clone()]));
        answer(&root, head.id, &Answer::Empty);
        eventually("the one behind it is answered", || link.is_over(head.id));
        assert!(before() < 3_000, "the socket was not full");
        let mut mine = waits;
        let answered = mine.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answered, Poll::Ready(Ok(Answer::Empty))));
        // Then it is given back.
        loop {
            let (_, ask) = next(&root, &mut inbox);
            if ask == got.clone().back() {
                break;
            }
        }
        while before() < 3_000 {
            next(&root, &mut inbox);
        }
    });
}

#[test]
fn a_failed_send_ends_the_connection_for_the_root_as_well() {
    let (link, root) = pair();
    // What is sent from now on fails, and nothing tells the root.
    rustix::net::shutdown(&root, Shutdown::Read).unwrap();
    let hung_up = || {
        let mut polled = [PollFd::new(&root, PollFlags::OUT)];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut polled, Some(&none)).unwrap();
        polled[0].revents().contains(PollFlags::HUP)
    };
    assert!(!hung_up());
    link.tell(1, 1, &Ask::LetGo(1));
    assert!(hung_up());
    assert!(is_gone(link.ask(1, 1, &Ask::Len, Tickets::default())));
}

#[test]
fn a_request_that_is_too_long_is_told_and_harms_no_other() {
    let ((link, root), mut inbox) = (pair(), Inbox::default());
    let ends = Arc::new(Ends::default());
    let long = Load { bytes: vec![0; LONGEST].into(), words: Vec::new() };
    let error = link.ask(1, 1, &Ask::Find(long), ends.tickets()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(ends.get(), (0, 1));
    link.tell(1, 1, &Ask::Len);
    assert_eq!(next(&root, &mut inbox).1, Ask::Len);
    assert!(link.state().calls.is_empty());
}

#[test]
fn a_waker_is_dropped_and_cloned_where_others_can_go_on() {
    struct Looks(Weak<Link>, Arc<AtomicUsize>);
    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            if self.0.upgrade().is_some_and(|link| link.state.try_lock().is_ok()) {
                self.1.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let ((link, root), mut inbox) = (pair(), Inbox::default());
    let free = Arc::new(AtomicUsize::new(0));
    let looks = || Waker::from(Arc::new(Looks(Arc::downgrade(&link), free.clone())));
    let wait = |leads| {
        let call = Pending::new(&link, 1, 1, leads, Tickets::default()).unwrap();
        call.send(5, &Ask::Lock).unwrap()
    };
    // Another in its place; abandoned; and the one that was told to read.
    let mut call = wait(true);
    for _ in 0..2 {
        assert!(call.poll(&mut Context::from_waker(&looks())).is_pending());
    }
    assert_eq!(free.load(Ordering::SeqCst), 1);
    assert!(link.begin_to_read());
    link.end_to_read();
    assert_eq!(free.load(Ordering::SeqCst), 2);
    assert!(call.poll(&mut Context::from_waker(&looks())).is_pending());
    drop(call);
    assert_eq!(free.load(Ordering::SeqCst), 3);
    let (head, _) = next(&root, &mut inbox);
    assert_eq!(next(&root, &mut inbox).1, Ask::Cancel(head.id));
}
