//! `pipe` and `duplex`: row Q7.

use super::{SHORT, inside, scale, still_waits};
use scale::{GetError, PutError, duplex, pipe, pipe_with_room};

#[test]
fn messages_come_whole_in_order_and_then_the_end() {
    inside(|| {
        let (sender, receiver) = pipe_with_room(2);
        let sends = move || (0..50).for_each(|n| sender.send(vec![n; n]).unwrap());
        let child = scale::spawn(sends, ()).unwrap();
        let got: Vec<_> = receiver.iter().collect();
        child.join().unwrap();
        assert!(got.into_iter().eq((0..50).map(|n| vec![n; n])));
        assert_eq!(receiver.recv(), Err(GetError::ShutDown));
    });
}

#[test]
fn who_waits_is_told_at_once_that_the_other_end_is_closed() {
    inside(|| {
        let (sender, receiver) = pipe::<u32>();
        let mut receives = scale::spawn(move || receiver.recv(), ()).unwrap();
        still_waits(&mut receives);
        drop(sender);
        assert_eq!(receives.join().unwrap(), Err(GetError::ShutDown));

        let (sender, receiver) = pipe_with_room(1);
        sender.send(1).unwrap();
        let mut sends = scale::spawn(move || sender.send(2), ()).unwrap();
        still_waits(&mut sends);
        drop(receiver);
        assert_eq!(sends.join().unwrap(), Err(PutError::ShutDown(2)));
    });
}

#[test]
fn two_ways() {
    inside(|| {
        let (here, there) = duplex::<u32, String>();
        let answers = move || {
            let mut count = 0;
            while let Ok(number) = there.recv() {
                there.send(format!("<{number}>")).unwrap();
                count += 1;
            }
            count
        };
        let child = scale::spawn(answers, ()).unwrap();
        for number in 0..20 {
            here.send(number).unwrap();
            assert_eq!(here.recv().unwrap(), format!("<{number}>"));
        }
        assert_eq!(here.recv_timeout(SHORT), Err(GetError::Empty));
        drop(here);
        assert_eq!(child.join().unwrap(), 20);
    });
}
