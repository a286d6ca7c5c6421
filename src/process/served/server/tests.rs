//! The server by itself: what it keeps for processes that do not behave, and for slow ones that do.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::*;
use crate::process::channel::{Parcel, send_bytes};
use crate::process::served::wire::{
    Answer, Blank, FOR_EVER, Fate, Head, LENGTH, Load, read_reply, write_request,
};
use crate::words::Order;

fn little() -> Limits {
    Limits { request: 4_000, requests: 8, descriptors: 1, unsent: 20_000 }
}

/// Calls `test` with a server of its own that keeps no more than this, and its door.
fn with_server(limits: Limits, test: impl FnOnce(Root<'_>)) {
    let flags = SocketFlags::CLOEXEC;
    let (door, inside) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
    let server = Server::new(inside.as_fd(), limits).unwrap();
    test(Root { server, door: &door });
}

struct Root<'a> {
    server: Server<'a>,
    door: &'a OwnedFd,
}

impl Root<'_> {
    /// Until nothing more is to be done now.
    fn work(&mut self) {
        let mut events = Vec::with_capacity(256);
        loop {
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let room = rustix::buffer::spare_capacity(&mut events);
            let count = epoll::wait(&self.server.epoll.0, room, Some(&none)).unwrap();
            if count == 0 {
                return;
            }
            self.server.attend(&mut events);
        }
    }

    fn connect(&mut self) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let parcel = Parcel { fds: vec![theirs.into()], ..Parcel::default() };
        send_bytes(self.door, &[0; 8], &parcel).unwrap();
        drop(parcel);
        self.work();
        let mut number = [0; 8];
        std::io::Read::read_exact(&mut &ours, &mut number).unwrap();
        let number = u64::from_le_bytes(number);
        Client {
            socket: ours,
            number,
            inbox: Inbox::default(),
            answers: VecDeque::new(),
            ids: 0,
            read: 0,
        }
    }

    /// A word of this kind, made by this client.
    fn make(&mut self, client: &mut Client, blank: Blank) -> u64 {
        match self.ask(client, 0, 0, 0, Ask::New(blank)) {
            Some(Answer::Word(word)) => word,
            other => panic!("{other:?}"),
        }
    }

    /// Asks, and gives the answer, if it has come at once.
    fn ask(
        &mut self,
        client: &mut Client,
        word: u64,
        who: u64,
        limit: u64,
        ask: Ask,
    ) -> Option<Answer> {
        let request = client.request(word, who, limit, ask);
        assert_eq!(client.send(&request), request.len());
        self.work();
        client.receive();
        client.answers.pop_front()
    }

    fn is_connected(&self, client: &Client) -> bool {
        self.server.peers.contains_key(&client.number)
    }

    fn peer(&self, client: &Client) -> &Peer {
        &self.server.peers[&client.number]
    }
}

struct Client {
    socket: UnixStream,
    number: Link,
    inbox: Inbox,
    answers: VecDeque<Answer>,
    ids: u64,
    read: u64,
}

impl Client {
    fn request(&mut self, word: u64, who: u64, limit: u64, ask: Ask) -> Vec<u8> {
        self.ids += 1;
        write_request(&Head { id: self.ids, read: self.read, word, who, limit }, &ask)
    }

    /// How much of it the socket takes.
    fn send(&self, bytes: &[u8]) -> usize {
        let flags = SendFlags::NOSIGNAL;
        match rustix::net::send(&self.socket, bytes, flags) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// Reads what is there.
    fn receive(&mut self) {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count) = std::io::Read::read(&mut &self.socket, &mut buffer)
            && count > 0
        {
            self.inbox.add(&buffer[..count]);
            while let Some(frame) = self.inbox.next() {
                self.answers.push_back(read_reply(frame).unwrap().1);
                self.read += 1;
            }
        }
    }
}

fn load(length: usize) -> Load {
    Load { bytes: Arc::new(vec![7; length]), words: Vec::new() }
}

fn queue(fate: Fate) -> Blank {
    Blank::Queue { order: Order::Fifo, capacity: 0, fate }
}

fn put(length: usize) -> Ask {
    Ask::Put(vec![(load(length), Vec::new())])
}

#[test]
fn a_request_that_is_too_long_ends_the_connection_when_it_is_announced() {
    with_server(little(), |mut root| {
        let mut client = root.connect();
        let word = root.make(&mut client, queue(Fate::Drop));
        let around = client.request(word, 1, 0, put(0)).len();
        assert_eq!(root.ask(&mut client, word, 1, 0, put(4_000 - around)), Some(Answer::Done));
        assert_eq!(root.ask(&mut client, word, 1, 0, Ask::Len), Some(Answer::Number(1)));
        let request = client.request(word, 1, 0, put(4_001 - around));
        assert_eq!((request.len(), client.send(&request[..LENGTH])), (4_001, LENGTH));
        root.work();
        assert!(!root.is_connected(&client));
    });
}

#[test]
fn a_lock_of_one_that_was_cut_off_is_the_next_one_s_who_is_told() {
    with_server(little(), |mut root| {
        let (mut bad, mut good) = (root.connect(), root.connect());
        let word = root.make(&mut good, Blank::RLock);
        let locked = Answer::Locked { owner_died: false, value: None };
        assert_eq!(root.ask(&mut bad, word, 1, 0, Ask::Lock), Some(locked));
        assert_eq!(root.ask(&mut good, word, 1, FOR_EVER, Ask::Lock), None);
        assert_eq!(bad.send(&u64::MAX.to_le_bytes()), 8);
        root.work();
        good.receive();
        let locked = Answer::Locked { owner_died: true, value: None };
        assert_eq!(good.answers.pop_front(), Some(locked));
    });
}

#[test]
fn descriptors_without_a_request_end_the_connection() {
    with_server(little(), |mut root| {
        let mut client = root.connect();
        let word = root.make(&mut client, Blank::List);
        let parcel = |count| {
            let fds = (0..count).map(|_| OwnedFd::from(UnixStream::pair().unwrap().0));
            Parcel { fds: fds.collect(), ..Parcel::default() }
        };
        // One comes with the first bytes of its request.
        let request = client.request(0, 0, 0, Ask::Carry(vec![word]));
        send_bytes(&client.socket, &request[..1], &parcel(1)).unwrap();
        root.work();
        assert_eq!(root.peer(&client).fds.len(), 1);
        assert_eq!(client.send(&request[1..]), request.len() - 1);
        root.work();
        assert!(root.is_connected(&client) && root.peer(&client).fds.is_empty());
        // A second one, before the request that the first belongs to is whole.
        send_bytes(&client.socket, &request[..1], &parcel(1)).unwrap();
        root.work();
        assert!(root.is_connected(&client));
        send_bytes(&client.socket, &request[1..2], &parcel(1)).unwrap();
        root.work();
        assert!(!root.is_connected(&client));
    });
}

#[test]
fn more_requests_than_may_wait_end_the_connection() {
    with_server(little(), |mut root| {
        let (mut client, mut other) = (root.connect(), root.connect());
        let word = root.make(&mut other, queue(Fate::Drop));
        for who in 0..8 {
            assert_eq!(root.ask(&mut client, word, who << 1, FOR_EVER, Ask::Get(1)), None);
        }
        // Those that are answered count no more.
        assert_eq!(root.ask(&mut other, word, 0, 0, put(1)), Some(Answer::Done));
        client.receive();
        assert!(matches!(client.answers.pop_front(), Some(Answer::Items(_))));
        assert_eq!(root.ask(&mut client, word, 98, FOR_EVER, Ask::Get(1)), None);
        assert!(root.is_connected(&client));
        assert_eq!(root.ask(&mut client, word, 99, FOR_EVER, Ask::Get(1)), None);
        assert!(!root.is_connected(&client) && root.is_connected(&other));
        assert_eq!(root.ask(&mut other, word, 0, 0, put(1)), Some(Answer::Done));
        assert_eq!(root.ask(&mut other, word, 0, 0, Ask::Len), Some(Answer::Number(1)));
    });
}

/// How much is written for a client that has not read it.
fn written(root: &Root<'_>, client: &Client) -> usize {
    root.peer(client).out.len()
}

#[test]
fn one_that_asks_and_does_not_read_is_held_up_and_nothing_is_lost_by_it() {
    let limits = Limits { requests: 1_000_000, ..little() };
    with_server(limits, |mut root| {
        let mut client = root.connect();
        let word = root.make(&mut client, Blank::List);
        let each = 3_000;
        for _ in 0..100 {
            let done = root.ask(&mut client, word, 1, 0, Ask::Extend(vec![load(each)]));
            assert_eq!(done, Some(Answer::Done));
        }
        // Each of these has an answer that is as long as fifteen times what may wait.
        let all = (0..20).map(|_| client.request(word, 1, 0, Ask::All));
        let mut requests = all.collect::<Vec<_>>().concat();
        // So many that the socket does not take them.
        let lens = (0..20_000).map(|_| client.request(word, 1, 0, Ask::Len));
        requests.extend(lens.collect::<Vec<_>>().concat());
        let (mut sent, mut stuck) = (0, 0);
        while stuck < 3 {
            let count = client.send(&requests[sent..]);
            stuck = if count == 0 { stuck + 1 } else { 0 };
            sent += count;
            root.work();
            assert!(written(&root, &client) < little().unsent + 110 * each, "it keeps all");
        }
        assert!(sent < requests.len() && root.peer(&client).is_held_up);
        // It was only slow.
        let mut rounds = 0;
        while client.answers.len() < 20_020 {
            rounds += 1;
            assert!(rounds < 100_000, "no answers come");
            client.receive();
            if sent < requests.len() {
                sent += client.send(&requests[sent..]);
            }
            root.work();
            assert!(root.is_connected(&client));
        }
        let is_all = |answer: &Answer| matches!(answer, Answer::Loads { loads, .. } if loads.len() == 100 && loads[99] == load(each));
        assert!(client.answers.iter().take(20).all(is_all));
        assert!(client.answers.iter().skip(20).all(|answer| *answer == Answer::Number(100)));
        assert!(!root.peer(&client).has_unsent() && root.peer(&client).requests == 0);
        assert!(root.peer(&client).out.capacity() <= SPARE);
    });
}

#[test]
fn answers_that_come_due_for_a_slow_reader_share_their_value() {
    with_server(Limits { requests: 1_000, request: 1 << 20, ..little() }, |mut root| {
        let (mut writer, mut slow) = (root.connect(), root.connect());
        let word = root.make(&mut writer, Blank::RwLock(load(100_000)));
        assert!(root.ask(&mut writer, word, 1, 0, Ask::Write).is_some());
        for who in 1..=500 {
            assert_eq!(root.ask(&mut slow, word, 2 * who + 1, FOR_EVER, Ask::Read), None);
        }
        assert_eq!(root.ask(&mut writer, word, 1, 0, Ask::Unlock(None)), Some(Answer::Done));
        assert!(written(&root, &slow) < little().unsent + 120_000, "it keeps a copy for each");
        assert!(root.peer(&slow).waiting.len() > 400);
        let mut rounds = 0;
        while slow.answers.len() < 500 {
            rounds += 1;
            assert!(rounds < 100_000, "no answers come");
            slow.receive();
            root.work();
        }
        let right = Answer::Locked { owner_died: false, value: Some(load(100_000)) };
        assert!(slow.answers.iter().all(|answer| *answer == right));
    });
}

#[test]
fn items_that_wait_for_a_slow_reader_that_dies_go_back() {
    with_server(Limits { requests: 1_000, ..little() }, |mut root| {
        let (mut other, mut slow) = (root.connect(), root.connect());
        let word = root.make(&mut other, queue(Fate::Drop));
        for who in 0..500 {
            assert_eq!(root.ask(&mut slow, word, 2 * who, FOR_EVER, Ask::Get(1)), None);
        }
        for _ in 0..500 {
            assert_eq!(root.ask(&mut other, word, 1, 0, put(3_000)), Some(Answer::Done));
        }
        assert!(!root.peer(&slow).waiting.is_empty());
        slow.socket.shutdown(Shutdown::Both).unwrap();
        drop(slow);
        root.work();
        assert_eq!(root.ask(&mut other, word, 1, 0, Ask::Len), Some(Answer::Number(500)));
        let Some(Answer::Items(items)) = root.ask(&mut other, word, 1, 0, Ask::Get(1)) else {
            panic!("no item");
        };
        assert!(items[0].redelivered && items[0].arrival == 0);
    });
}

#[test]
fn what_is_asked_before_the_end_is_done_also_by_one_that_was_held_up() {
    with_server(Limits { requests: 1_000, ..little() }, |mut root| {
        let (mut other, mut slow) = (root.connect(), root.connect());
        let (queue, list) =
            (root.make(&mut other, queue(Fate::Drop)), root.make(&mut other, Blank::List));
        for _ in 0..200 {
            let done = root.ask(&mut other, list, 1, 0, Ask::Extend(vec![load(3_000)]));
            assert_eq!(done, Some(Answer::Done));
        }
        let mut requests = Vec::new();
        for ask in [Ask::All, Ask::All, put(5), put(6)] {
            requests.extend(slow.request(if ask == Ask::All { list } else { queue }, 1, 0, ask));
        }
        assert_eq!(slow.send(&requests), requests.len());
        root.work();
        assert!(root.peer(&slow).is_held_up);
        assert_eq!(root.ask(&mut other, queue, 1, 0, Ask::Len), Some(Answer::Number(0)));
        drop(slow.socket);
        root.work();
        assert!(!root.server.peers.contains_key(&slow.number));
        assert_eq!(root.ask(&mut other, queue, 1, 0, Ask::Len), Some(Answer::Number(2)));
    });
}

#[test]
fn an_item_that_is_given_back_again_is_still_marked() {
    with_server(little(), |mut root| {
        let (mut other, mut dies) = (root.connect(), root.connect());
        let word = root.make(&mut other, queue(Fate::HandBack));
        assert_eq!(root.ask(&mut other, word, 1, 0, put(1)), Some(Answer::Done));
        let got = |answer| match answer {
            Some(Answer::Items(mut items)) => items.pop().unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(!got(root.ask(&mut dies, word, 2, 0, Ask::Get(1))).redelivered);
        drop(dies);
        root.work();
        for _ in 0..2 {
            let item = got(root.ask(&mut other, word, 2, 0, Ask::Get(1)));
            assert!(item.redelivered);
            assert_eq!(root.ask(&mut other, word, 2, 0, item.back()), None);
        }
    });
}
