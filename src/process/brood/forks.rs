//! Who forks, and the beginning and the end of a child.
#![allow(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

use super::super::page::Stage;
use super::super::status::{self, ExitStatus};
use super::super::sys::{self, Lifeline, Status};
use super::super::{crash, current, entry, registry};
use super::code::{Code, Pages};
use super::place::{Place, Seat};
use crate::error::{Result, Scale};

/// Readers are kept for so many places.
pub(super) const KEPT: usize = 16;

/// The children of this process, each a fork of it, with what is kept of each here.
pub(crate) struct Brood<T> {
    /// This process.
    pid: u32,
    /// What the children are called, and whose they are said to be.
    name: String,
    parent: u32,
    /// The line: the reading end, and the writing one.
    line: [OwnedFd; 2],
    /// Readable when a child has ended.
    ends: OwnedFd,
    /// The signals that the children have blocked.
    mask: libc::sigset_t,
    /// Free places: behind the others those with readers, the one that was used last at the end.
    pub(super) free: VecDeque<Seat>,
    /// For how many places readers are kept.
    pub(super) kept: usize,
    pub(super) children: HashMap<u32, (Seat, T)>,
    pub(super) code: Code,
    is_single: Option<&'static AtomicU8>,
}

/// Which side of a fork this is.
pub(crate) enum Side<'a, T> {
    /// What is kept of the child.
    Parent(&'a mut T),
    Child(Newborn),
}

/// What a child of a [`Brood`] answers by.
pub(crate) struct Newborn {
    pid: u32,
    place: &'static Place,
    /// What it is to note its pages by.
    lesson: Option<Pages>,
    /// Not 0 while this process has never had a second thread, where the C library says so.
    is_single: Option<&'static AtomicU8>,
}

/// How a child has ended.
pub(crate) struct Ended<T> {
    pub(crate) pid: u32,
    /// What was kept of it.
    pub(crate) kept: T,
    /// Its answer, if it gave one.
    pub(crate) answer: Result<Vec<u8>>,
}

impl<T: Default> Brood<T> {
    /// Makes this process, which has one thread, one that forks such children.
    ///
    /// # Safety
    ///
    /// It has one thread, and keeps to one.
    pub(crate) unsafe fn begin(name: &str, parent: u32) -> io::Result<Brood<T>> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ends, mask) = ends_of_children()?;
        // Its buffer is made here, not by each child, which writes out what is in it.
        let _ = io::stdout();
        let (pid, name) = (std::process::id(), name.to_owned());
        Ok(Brood {
            pid,
            name,
            parent,
            line: [reader, writer],
            ends,
            mask,
            free: VecDeque::new(),
            kept: 0,
            children: HashMap::with_capacity(KEPT * 2),
            code: Code::Unknown(0),
            is_single: single_threaded(),
        })
    }

    /// Readable when children may have [ended](Brood::ended).
    pub(crate) fn ends(&self) -> BorrowedFd<'_> {
        self.ends.as_fd()
    }

    /// Whether it learns just now what code is run here and in the children: best all that ever is.
    pub(crate) fn is_learning(&self) -> bool {
        self.code.is_apart()
    }

    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    /// Forks. What is withheld from forks the child does not have; all else is in it as it is here.
    pub(crate) fn fork(&mut self) -> io::Result<Side<'_, T>> {
        self.code.before_fork();
        // What it takes to open readers is learnt too.
        let free = match self.code.is_apart() {
            true => self.free.pop_front(),
            false => self.free.pop_back(),
        };
        let mut seat = match free {
            Some(seat) => seat,
            None => self.more_seats()?,
        };
        seat.place.prepare();
        let is_kept = seat.has_readers();
        if !is_kept {
            seat.open(&self.line[0]);
        }
        // SAFETY: by the promise to `begin` this process has one thread, which holds no lock, so the copy may run any code.
        let forked = match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => return Ok(Side::Child(self.be_born(seat))),
            pid => Ok(pid as u32),
        };
        if !is_kept {
            if forked.is_ok() && self.kept < KEPT && seat.has_readers() {
                self.kept += 1;
            } else {
                // The child has its own.
                seat.readers = [const { None }; 2];
            }
        }
        match forked {
            Ok(pid) => {
                self.code.child_has_begun();
                let child = self.children.entry(pid).insert_entry((seat, T::default()));
                Ok(Side::Parent(&mut child.into_mut().1))
            }
            Err(error) => {
                self.give_back(seat);
                Err(error)
            }
        }
    }

    fn more_seats(&mut self) -> io::Result<Seat> {
        self.free.extend(
            Place::some()?.iter().map(|place| Seat { place, readers: [const { None }; 2] }),
        );
        Ok(self.free.pop_back().expect("there are some now"))
    }

    /// The child's beginning.
    fn be_born(&mut self, seat: Seat) -> Newborn {
        let (pid, place) = (std::process::id(), seat.place);
        // SAFETY: a call on numbers.
        unsafe { libc::setpgid(0, 0) };
        if let Err(error) = tie(&seat.readers, self.pid) {
            entry::cannot_serve(&format!("its life cannot be tied to its parent's: {error}"));
        }
        // They stay open as long as this process lives.
        std::mem::forget(seat);
        // SAFETY: calls on numbers. Nobody uses what is closed: the owner is on the stack below, which this process never goes back to. The
        // mask is one that this thread had.
        unsafe {
            let [reader, writer] = self.line.each_ref().map(AsRawFd::as_raw_fd);
            for end in [writer, reader, self.ends.as_raw_fd()] {
                libc::close(end);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.mask, ptr::null_mut());
        }
        crash::install(&place.front);
        current::set(std::mem::take(&mut self.name), self.parent, false);
        place.front.set_stage(Stage::Ready);
        let lesson = std::mem::replace(&mut self.code, Code::Known).lesson();
        Newborn { pid, place, lesson, is_single: self.is_single }
    }

    /// Who ends from here on makes [`ends`](Brood::ends) readable again. What [`ended`](Brood::ended) then tells of is all that has ended before.
    pub(crate) fn look_again(&self) {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: the kernel writes at most so many bytes, of which none is looked at.
        unsafe {
            libc::read(self.ends.as_raw_fd(), info.as_mut_ptr().cast(), size_of_val(&info));
        }
    }

    /// The next that has ended and not been told of. After an abnormal end the child's group is gone too.
    pub(crate) fn ended(&mut self) -> Option<Ended<T>> {
        while let Ok(Some((pid, status))) = sys::peek_any() {
            if status != Status::Exited(0) {
                // The zombie keeps the number.
                kill_group(pid);
            }
            sys::reap_number(pid);
            // There are no others but those.
            let Some((seat, kept)) = self.children.remove(&pid) else { continue };
            let answer = seat.place.answer().ok_or_else(|| {
                status::explain(&seat.place.front, ExitStatus::from(status), None)
                    .with_scale(Scale::Process)
                    .with_task(&*self.name)
                    .with_pid(pid)
            });
            self.give_back(seat);
            self.code.child_has_ended();
            return Some(Ended { pid, kept, answer });
        }
        None
    }

    fn give_back(&mut self, seat: Seat) {
        match seat.has_readers() {
            true => self.free.push_back(seat),
            false => self.free.push_front(seat),
        }
    }

    /// Ends them all.
    pub(crate) fn kill(&self) {
        for pid in self.children.keys() {
            kill_group(*pid);
            // SAFETY: a call on numbers. It has not been waited for, so the number is its own; it may not lead a group yet.
            unsafe { libc::kill(*pid as libc::pid_t, libc::SIGKILL) };
        }
    }
}

impl Newborn {
    /// Gives the answer, of at most [`ROOM`](super::ROOM) bytes, and ends this process.
    pub(crate) fn answer(self, answer: &[u8]) -> ! {
        // A fork that the work has made has come back from it: the answer is its parent's.
        let is_own = self.pid == std::process::id();
        if is_own {
            self.place.put(answer);
        }
        registry::end_of_main();
        // As late as can be: what it runs behind that is not noted.
        let note = || {
            if let Some(pages) = self.lesson.filter(|_| is_own) {
                let _ = pages.note();
            }
        };
        // Exit handlers are not called: they were registered in the process that this is a fork of, and the C library's own cost as much as all the rest of
        // a fork's end. With other threads, which may hold what is flushed here, the slow way finds out.
        if self.is_single.is_some_and(|is_single| is_single.load(Ordering::Relaxed) != 0) {
            let _ = io::stdout().flush();
            // SAFETY: writes out what C code has in its buffers, which no other thread has in use.
            unsafe { libc::fflush(ptr::null_mut()) };
            note();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        note();
        std::process::exit(0)
    }
}

/// Kills the group of a child that has not been waited for, if it leads one yet.
fn kill_group(pid: u32) {
    // SAFETY: a call on numbers.
    unsafe { libc::kill(-(pid as libc::pid_t), libc::SIGKILL) };
}

/// Ties the life of this process to its parent's, and by these ends that of its group to the other end of a pipe.
fn tie(readers: &[Option<OwnedFd>], parent: u32) -> io::Result<()> {
    let group = std::process::id() as libc::pid_t;
    Lifeline::aim(readers.iter().flatten().map(AsRawFd::as_raw_fd), group)?;
    // SAFETY: a call on numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // It may have died before.
    match std::os::unix::process::parent_id() == parent {
        true => Ok(()),
        false => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Where the C library says whether this process has one thread: glibc does, since 2.32.
fn single_threaded() -> Option<&'static AtomicU8> {
    // SAFETY: looks a name up; the variable of that name is a byte for ever, which the library writes to as a thread is started.
    unsafe {
        let variable = libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr());
        variable.cast::<AtomicU8>().as_ref()
    }
}

/// A descriptor that is readable when children have ended, and the signals that were blocked before.
fn ends_of_children() -> io::Result<(OwnedFd, libc::sigset_t)> {
    // SAFETY: sets of signals and an action of zeroes, which the C library fills in, and calls on them. A signal that is blocked here
    // is blocked for this one thread.
    unsafe {
        let mut child = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
        let mut before = child;
        libc::sigemptyset(&mut child);
        libc::sigaddset(&mut child, libc::SIGCHLD);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_BLOCK, &child, &mut before);
        match libc::signalfd(-1, &child, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok((OwnedFd::from_raw_fd(fd), before)),
        }
    }
}
