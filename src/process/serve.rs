//! The child's side: read a task, take it up, run it, answer, until the parent hangs up.
//!
//! Everything runs on the thread that the child began with, one task at a time. An answer is sent before the next task is
//! taken up, so a child that dies takes only the task with it that it had taken up last.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::channel::{Frame, INLINE, Inbox, Kind, Parcel, Received, send_frame};
use super::executor::{Outgoing, Tasks};
use super::fork::Birth;
use super::page::{Page, Stage};
use super::zygote::{self, Shape};
use super::{crash, current, entry};
use crate::error::{Error, ErrorKind, Panic, Result};
use crate::task::envelope::Envelope;
use crate::task::{catch, codec, image};

/// What a child is told first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) nonce: u64,
    /// The parent's [`image::identity`].
    pub(crate) identity: u64,
    pub(crate) parent: u32,
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    /// What a fork makes of itself; its standard descriptors come with this.
    pub(crate) shape: Option<Shape>,
}

/// What a child is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// One task, and the process ends with it.
    Once,
    /// Tasks until the parent hangs up, as one of so many workers. If `starts`, the first frame is a task to run before it
    /// is ready.
    Worker { starts: bool, workers: usize },
    /// No task: it forks further children at the parent's word.
    Zygote,
}

/// The exit code of a child whose task panicked, as that of a program whose main thread did.
pub(crate) const PANICKED: i32 = 101;

/// Serves the parent behind `socket`, and ends the process.
pub(crate) fn serve(socket: OwnedFd, page: OwnedFd, nonce: u64) -> ! {
    // SAFETY: sets a disposition, as std does at the start of a program: writing to a closed pipe is an error.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let page = match Page::map(page.as_fd()) {
        Ok(page) => page,
        Err(error) => entry::cannot_serve(&format!("the page of its parent is not there: {error}")),
    };
    serve_on(socket, page, nonce)
}

/// As [`serve`], with the page mapped, in a process that ignores SIGPIPE already.
pub(crate) fn serve_on(socket: OwnedFd, page: Page, nonce: u64) -> ! {
    let page = Box::leak(Box::new(page));
    page.set_stage(Stage::Entered);
    crash::install(page);
    let mut server = Server { socket, page, inbox: Inbox::new(), birth: Birth::of_this() };
    let role = server.begin(nonce);
    server.run(role)
}

/// A child in the middle of its work.
pub(crate) struct Server {
    pub(crate) socket: OwnedFd,
    pub(crate) page: &'static Page,
    pub(crate) inbox: Inbox,
    /// Of this process.
    birth: Birth,
}

impl Server {
    /// Learns who this is.
    fn begin(&mut self, nonce: u64) -> Role {
        let Some(frame) = self.next_frame() else {
            // The parent is gone already.
            std::process::exit(0)
        };
        let (hello, fds) = match open::<Hello>(frame) {
            Ok(opened) => opened,
            Err(error) => {
                entry::cannot_serve(&format!("its parent's greeting is not one: {error}"))
            }
        };
        if hello.nonce != nonce {
            entry::cannot_serve("its parent meant another process");
        }
        if hello.identity != image::identity() {
            entry::cannot_serve("its parent runs another executable");
        }
        if let Some(shape) = &hello.shape
            && let Err(why) = zygote::apply(shape, fds)
        {
            entry::cannot_serve(&why.to_string());
        }
        current::set(hello.name, hello.parent, hello.daemon);
        hello.role
    }

    /// Does what the role asks, and ends the process.
    pub(crate) fn run(mut self, role: Role) -> ! {
        match role {
            Role::Once => {
                self.page.set_stage(Stage::Ready);
                let mut code = 0;
                if let Some(answer) =
                    self.next_frame().and_then(|frame| self.run_task(frame, || ()))
                {
                    let Answer { kind, id, took, parcel } = answer;
                    self.answer(kind, id, took, parcel);
                    code = if kind == Kind::Panicked { PANICKED } else { 0 };
                }
                super::registry::end_of_main();
                std::process::exit(code)
            }
            Role::Worker { starts, workers } => {
                // SAFETY: this process closes its socket by ending: `run` does not return, and `self` lives as long.
                let socket = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
                let outgoing = Outgoing::begin(self.page, socket);
                if starts {
                    self.run_start(&outgoing);
                }
                self.page.set_stage(Stage::Ready);
                let mut tasks = Tasks::begin(socket, self.page, outgoing, workers);
                let ready = tasks.send(Kind::Ready, 0, image::identity(), &Parcel::default());
                let mut parent_is_there = ready.is_ok();
                while parent_is_there && let Some(frame) = tasks.next() {
                    let (task, has_fds) = (frame.id, !frame.parcel.fds.is_empty());
                    let taken = || {
                        if has_fds {
                            // Its parent is gone if it cannot be told: the answer finds that, too.
                            let _ = tasks.send(Kind::Taken, task, 0, &Parcel::default());
                        }
                    };
                    if let Some(answer) = self.run_task(frame, taken) {
                        let Answer { kind, id, took, mut parcel } = answer;
                        std::mem::take(&mut parcel.tickets).sent();
                        parent_is_there = tasks.send(kind, id, took, &parcel).is_ok();
                    }
                }
                std::process::exit(0)
            }
            Role::Zygote => zygote::run(self),
        }
    }

    /// The next frame of the parent; `None` when it has hung up.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        loop {
            match self.inbox.next() {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(error) => entry::cannot_serve(&format!("its parent sent nonsense: {error}")),
            }
            match self.inbox.receive(&self.socket, false) {
                Ok(Received::Some) => {}
                Ok(Received::End | Received::WouldBlock) => return None,
                Err(error) => entry::cannot_serve(&format!("it cannot read its channel: {error}")),
            }
        }
    }

    /// Runs what the user wants run at each worker's start.
    fn run_start(&mut self, outgoing: &Outgoing) {
        let Some(frame) = self.next_frame() else { std::process::exit(0) };
        let (id, word) = (frame.id, frame.word);
        let failure = match catch::catch(|| call(word, frame.parcel)) {
            Ok(Ok(_)) => return self.page.clear_crash(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        let _ = outgoing.send(Kind::Failed, id, 0, &text(&failure));
        std::process::exit(PANICKED)
    }

    /// Takes a task up, says so, and runs it. `None` if it has been taken back.
    fn run_task(&mut self, frame: Frame, taken: impl FnOnce()) -> Option<Answer> {
        let began = monotonic();
        if !self.page.take(frame.epoch, began) {
            return None;
        }
        taken();
        let (id, word) = (frame.id, frame.word);
        let result = catch::catch(|| call(word, frame.parcel));
        if !self.birth.is_here() {
            // A fork that the task has made has come back from it: the answer and what comes next are its parent's.
            std::process::exit(if result.is_ok() { 0 } else { PANICKED });
        }
        let (kind, parcel) = match result {
            Ok(Ok(value)) => match Parcel::of(value) {
                Ok(parcel) => (Kind::Value, parcel),
                Err(error) => (Kind::NotSerializable, pack_error(&does_not_travel("value", error))),
            },
            Ok(Err(error)) => (Kind::NotSerializable, pack_error(&error)),
            Err(panic) => (Kind::Panicked, pack_panic(&panic)),
        };
        self.page.clear_crash();
        Some(Answer { kind, id, took: monotonic().saturating_sub(began), parcel })
    }

    fn answer(&mut self, kind: Kind, id: u64, word: u64, mut parcel: Parcel) {
        std::mem::take(&mut parcel.tickets).sent();
        if send_frame(&self.socket, kind, id, word, 0, &parcel).is_err() {
            // The parent is gone, and nobody else wants the answer.
            std::process::exit(0)
        }
    }
}

/// How a task ended, to be sent.
struct Answer {
    kind: Kind,
    id: u64,
    /// In ns.
    took: u64,
    parcel: Parcel,
}

/// Calls the entry that the parent named.
fn call(word: u64, parcel: Parcel) -> Result<Envelope> {
    let Some(entry) = image::resolve(word) else {
        return Err(Error::invalid("the parent named a function that is not in this executable"));
    };
    let (body, fds) = parcel.open().map_err(|error| does_not_travel("argument", error))?;
    entry(Envelope { body, fds, ..Envelope::default() })
}

fn open<T: serde::de::DeserializeOwned + 'static>(frame: Frame) -> Result<(T, Vec<OwnedFd>)> {
    let (body, fds) = frame.parcel.open()?;
    Ok((codec::decode(&body, "greeting")?, fds))
}

/// A text, cut where a frame ends.
fn text(text: &str) -> Parcel {
    let end = text.floor_char_boundary(INLINE);
    Parcel::new(text.as_bytes()[..end].to_vec(), Vec::new()).unwrap_or_default()
}

fn does_not_travel(what: &str, why: std::io::Error) -> Error {
    Error::new(ErrorKind::NotSerializable)
        .with_message(format!("the {what} cannot be carried"))
        .with_source(why)
}

fn pack_error(error: &Error) -> Parcel {
    let body = codec::encode(error, "error").unwrap_or_default();
    Parcel::new(body, Vec::new()).unwrap_or_default()
}

fn pack_panic(panic: &Panic) -> Parcel {
    let body = codec::encode(panic, "panic").unwrap_or_default();
    Parcel::new(body, Vec::new()).unwrap_or_default()
}

/// The panic in the body of a [`Kind::Panicked`].
pub(crate) fn unpack_panic(body: &[u8]) -> Panic {
    codec::decode(body, "panic").unwrap_or_else(|_| Panic {
        message: "?".into(),
        location: None,
        backtrace: None,
    })
}

/// The monotonic clock, in ns. The same for all processes of a machine.
#[inline]
pub(crate) fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
