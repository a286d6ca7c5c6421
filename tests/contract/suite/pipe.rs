//! `pipe` and `duplex`: row Q7. The ends go to other units of work as arguments, as they must at the process scale.

use super::{SHORT, ends, inside, scale};
use scale::{Duplex, GetError, PutError, Receiver, Sender, duplex, pipe};

fn send_many(sender: Sender<Vec<usize>>, count: usize) {
    (0..count).for_each(|n| sender.send(vec![n; n]).unwrap());
}

fn receive_all(receiver: Receiver<Vec<usize>>) -> Vec<Vec<usize>> {
    receiver.iter().collect()
}

#[test]
fn messages_come_whole_in_order_and_then_the_end() {
    inside(|| {
        // More than there is room for.
        let (sender, receiver) = ends(pipe());
        let child = scale::spawn(send_many, (sender, 1500)).unwrap();
        assert!(receiver.iter().eq((0..1500).map(|n| vec![n; n])));
        child.join().unwrap();
        assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
        assert!(matches!(receiver.try_recv(), Err(GetError::ShutDown)));

        let (sender, receiver) = ends(pipe());
        let child = scale::spawn(receive_all, receiver).unwrap();
        send_many(sender, 100);
        assert!(child.join().unwrap().into_iter().eq((0..100).map(|n| vec![n; n])));
    });
}

fn is_ended(receiver: Receiver<u32>, ready: Sender<()>) -> bool {
    ready.send(()).unwrap();
    matches!(receiver.recv(), Err(GetError::ShutDown))
}

/// What came back.
fn send_in_vain(sender: Sender<u32>, ready: Sender<()>) -> Option<u32> {
    ready.send(()).unwrap();
    match sender.send(7) {
        Err(PutError::ShutDown(back)) => Some(back),
        _ => None,
    }
}

#[test]
fn who_waits_is_told_at_once_that_the_other_end_is_closed() {
    inside(|| {
        let (ready, is_ready) = ends(pipe());
        let (sender, receiver) = ends(pipe());
        let receives = scale::spawn(is_ended, (receiver, ready)).unwrap();
        is_ready.recv().unwrap();
        drop(sender);
        assert!(receives.join().unwrap());

        let (ready, is_ready) = ends(pipe());
        let (sender, receiver) = ends(pipe());
        while sender.try_send(1).is_ok() {}
        let sends = scale::spawn(send_in_vain, (sender, ready)).unwrap();
        is_ready.recv().unwrap();
        drop(receiver);
        assert_eq!(sends.join().unwrap(), Some(7));
    });
}

#[test]
fn what_was_sent_before_the_end_is_received() {
    inside(|| {
        let (sender, receiver) = ends(pipe());
        sender.send("sent".to_owned()).unwrap();
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), "sent");
        assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
    });
}

#[test]
fn full_and_empty_come_back_without_a_wait_or_after_one() {
    inside(|| {
        let (sender, receiver) = ends(pipe());
        assert!(matches!(receiver.try_recv(), Err(GetError::Empty)));
        assert!(matches!(receiver.recv_timeout(SHORT), Err(GetError::Empty)));
        let mut count = 0_u32;
        while sender.try_send(count).is_ok() {
            count += 1;
        }
        assert!(matches!(sender.try_send(count), Err(PutError::Full(back)) if back == count));
        let sent = sender.send_timeout(count, SHORT);
        assert!(matches!(sent, Err(PutError::Full(back)) if back == count));
        assert_eq!(receiver.recv_timeout(SHORT).unwrap(), 0);
        drop(sender);
        assert!(receiver.iter().eq(1..count));
    });
}

fn answer(there: Duplex<String, u32>) -> u32 {
    let mut count = 0;
    while let Ok(number) = there.recv() {
        there.send(format!("<{number}>")).unwrap();
        count += 1;
    }
    count
}

#[test]
fn two_ways() {
    inside(|| {
        let (here, there) = ends(duplex::<u32, String>());
        let child = scale::spawn(answer, there).unwrap();
        for number in 0..20 {
            here.send(number).unwrap();
            assert_eq!(here.recv().unwrap(), format!("<{number}>"));
        }
        assert!(matches!(here.recv_timeout(SHORT), Err(GetError::Empty)));
        let (sender, receiver) = here.split();
        sender.send(20).unwrap();
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), "<20>");
        assert!(matches!(receiver.recv(), Err(GetError::ShutDown)));
        assert_eq!(child.join().unwrap(), 21);
    });
}
