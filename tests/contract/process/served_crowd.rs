//! Served words in a process that the system lets send no more descriptors for a while.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use fourfold::process::{self, List, RLock};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::support::{LIMIT, eventually, within};

/// Descriptors of one message.
const BATCH: usize = 40;

/// As many may be on their way as a process may have.
const MOST: u64 = 100;

/// Puts descriptors on their way until the system takes no more. They are so as long as nobody reads.
fn crowd() -> (UnixStream, UnixStream) {
    // Privileged processes may have as many on their way as they like.
    let mut sets = capabilities(None).unwrap();
    sets.effective &= !(CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(MOST), ..limit }).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut count = 0;
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [ours.as_fd(); BATCH];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        match sendmsg(&ours, &[IoSlice::new(b"x")], &mut control, SendFlags::DONTWAIT) {
            Ok(_) => count += BATCH as u64,
            Err(Errno::TOOMANYREFS) if count > MOST => return (ours, theirs),
            // Those of other processes of this user count as well, and are gone in a moment.
            Err(Errno::TOOMANYREFS) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Takes them off their way.
fn disperse((ours, theirs): (UnixStream, UnixStream)) {
    drop(ours);
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let read = &mut [IoSliceMut::new(&mut byte)];
        match recvmsg(&theirs, read, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes == 0 => return,
            Ok(_) => drop(control.drain()),
            Err(error) => panic!("{error}"),
        }
    }
}

fn goes_on(list: List<u32>) -> bool {
    // Whatever it takes is there before.
    let (sender, receiver) = process::pipe::<RLock>().unwrap();
    let lock = RLock::new().unwrap();
    let crowd = crowd();
    let sends = std::thread::spawn(move || {
        sender.send(lock.clone()).unwrap();
        lock.release().is_err()
    });
    // It waits with its descriptor, and nobody with it.
    for n in 0..200 {
        list.push(&n).unwrap();
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    let waited = !sends.is_finished();
    disperse(crowd);
    let lock = receiver.recv().unwrap();
    waited && sends.join().unwrap() && lock.try_lock().unwrap().is_some()
}

#[test]
fn a_descriptor_that_the_system_does_not_take_holds_up_nobody_else() {
    within(LIMIT, || {
        let list = List::new().unwrap();
        let child = process::spawn(goes_on, list.clone()).unwrap();
        eventually("the others go on", || list.len().unwrap() == 200 || child.is_finished());
        assert!(child.join().unwrap());
    });
}
