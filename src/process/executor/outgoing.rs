//! A worker's way to its pool: frames in the page that they share.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::futex;

use super::worker::is_for_now;
use crate::process::channel::{Kind, Parcel, send_ahead, wake, write_frame};
use crate::process::page::{Page, Stream};
use crate::process::shared::End;

/// How long to wait for room before looking whether the pool is still there.
const SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How long to leave it to others to take descriptors off that are on their way.
const CROWD: Duration = Duration::from_millis(1);

/// The writing end.
pub(crate) struct Outgoing {
    stream: &'static Stream,
    socket: BorrowedFd<'static>,
    /// Held while a frame is written: a frame is whole.
    writing: Mutex<Writing>,
}

#[derive(Default)]
struct Writing {
    end: End,
    frame: Vec<u8>,
}

impl Outgoing {
    /// Of this process, which makes no other.
    pub(crate) fn begin(page: &'static Page, socket: BorrowedFd<'static>) -> Outgoing {
        Outgoing { stream: page.stream_from_worker(), socket, writing: Mutex::default() }
    }

    /// Sends a frame whole, waiting for room.
    pub(crate) fn send(&self, kind: Kind, id: u64, word: u64, parcel: &Parcel) -> io::Result<()> {
        let mut writing = self.hold(parcel)?;
        let Writing { end, frame } = &mut *writing;
        frame.clear();
        write_frame(frame, kind, id, word, 0, parcel);
        let mut left = &frame[..];
        loop {
            left = &left[self.stream.write(end, left)?..];
            if self.stream.has_to_wake() {
                wake(self.socket);
            }
            if left.is_empty() {
                return Ok(());
            }
            if !self.stream.ask_for_room(end)? {
                self.wait_for_room()?;
            }
        }
    }

    /// Begins a frame, with its descriptors: nothing else is sent until it has gone. But others go on while it waits for
    /// there to be fewer descriptors on their way.
    fn hold(&self, parcel: &Parcel) -> io::Result<MutexGuard<'_, Writing>> {
        loop {
            let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            if parcel.fd_count() == 0 {
                return Ok(writing);
            }
            match send_ahead(self.socket, parcel, false) {
                Ok(()) => return Ok(writing),
                Err(error) if is_for_now(&error) => {}
                Err(error) => return Err(error),
            }
            drop(writing);
            std::thread::sleep(CROWD);
        }
    }

    /// Sleeps until the pool has read, for a moment at most.
    fn wait_for_room(&self) -> io::Result<()> {
        let _ = futex::wait(self.stream.starved(), futex::Flags::empty(), 1, Some(&SLICE));
        let mut socket = [PollFd::new(&self.socket, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Both ways: a pool that sends nothing more may still read.
        match poll(&mut socket, Some(&now)) {
            Ok(_) if socket[0].revents().contains(PollFlags::HUP) => {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            _ => Ok(()),
        }
    }
}
