//! What can happen to an operation or a piece of work.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happened. New kinds may be added.
///
/// # Examples
///
/// ```
/// use fourfold::{ErrorKind, process};
///
/// let pool = process::Executor::builder().workers(1).build()?;
/// let error = pool.submit(|| -> u32 { std::process::exit(3) }, ()).join().unwrap_err();
/// match error.kind() {
///     ErrorKind::Exited(code) => assert_eq!(code, 3),
///     ErrorKind::Signaled(signal) => panic!("not by signal {signal}"),
///     other => panic!("nor {other}"),
/// }
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The work panicked. [`Error::panic`](crate::Error::panic) has the message, the place and the backtrace.
    Panicked,
    /// A signal that was not of our sending killed the process.
    Signaled(i32),
    /// The process exited by itself, with this code, before it gave a value.
    Exited(i32),
    /// The process has ended, and how is not known, since the kernel was not asked in time: this program ignores SIGCHLD or has set
    /// `SA_NOCLDWAIT`, or something else in it waits for children that it did not start. Never on Linux 6.15 and newer.
    EndUnknown,
    /// The process ran out of stack.
    StackOverflow,
    /// The work ran over the time it was given, and was ended; or what was waited for did not come in time.
    TimedOut,
    /// The work's process tree went over the resident memory it was given, and was ended; or there is no room left in the
    /// memory that processes share.
    OutOfMemory,
    /// The process could not be started, or ended before it took up its work.
    NotStarted,
    /// A value could not be serialised, or not be read back on the other side.
    NotSerializable,
    /// The work was cancelled.
    Cancelled,
    /// The executor or the queue was shut down and takes nothing new.
    ShutDown,
    /// The other side does not do what it was asked: the key is another than its own, or the call raised an exception.
    Refused,
    /// The outcome was taken before by another call on the same handle.
    AlreadyTaken,
    /// The lock was taken from a holder that has died, and what it guards may be half done.
    OwnerDied,
    /// Waiting would never end: a handle joined by the very callback that its work waits for, say.
    Deadlock,
    /// The process that serves the words of this tree of processes, its root, has ended.
    RootGone,
    /// An argument or a setting is not valid.
    InvalidInput,
    /// This system lacks what the call needs.
    Unsupported,
    /// A system call failed. The source is the [`std::io::Error`].
    Io,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ErrorKind::Panicked => f.write_str("panicked"),
            ErrorKind::Signaled(signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by signal {signal} ({name})"),
                None => write!(f, "killed by signal {signal}"),
            },
            ErrorKind::Exited(code) => write!(f, "exited with code {code}"),
            ErrorKind::EndUnknown => f.write_str("ended, and how is not known"),
            ErrorKind::StackOverflow => f.write_str("stack overflow"),
            ErrorKind::TimedOut => f.write_str("timed out"),
            ErrorKind::OutOfMemory => f.write_str("over its memory limit"),
            ErrorKind::NotStarted => f.write_str("not started"),
            ErrorKind::NotSerializable => f.write_str("not serialisable"),
            ErrorKind::Cancelled => f.write_str("cancelled"),
            ErrorKind::ShutDown => f.write_str("shut down"),
            ErrorKind::Refused => f.write_str("refused"),
            ErrorKind::AlreadyTaken => f.write_str("outcome already taken"),
            ErrorKind::OwnerDied => f.write_str("its holder died"),
            ErrorKind::Deadlock => f.write_str("would wait for ever"),
            ErrorKind::RootGone => f.write_str("the root of the processes is gone"),
            ErrorKind::InvalidInput => f.write_str("invalid input"),
            ErrorKind::Unsupported => f.write_str("not supported on this system"),
            ErrorKind::Io => f.write_str("system call failed"),
        }
    }
}

/// A scale at which work runs.
///
/// # Examples
///
/// ```
/// use fourfold::{Scale, thread};
///
/// let error = thread::spawn(|| -> () { panic!("oh no") }, ())?.join().unwrap_err();
/// assert_eq!(error.scale(), Some(Scale::Thread));
/// assert!(Scale::Thread < Scale::Process);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Scale {
    /// A coroutine of one thread.
    Green,
    /// A thread of one process.
    Thread,
    /// A process of one machine.
    Process,
    /// A worker on some machine.
    Cluster,
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scale::Green => "coroutine",
            Scale::Thread => "thread",
            Scale::Process => "process",
            Scale::Cluster => "worker",
        })
    }
}

/// The name of a signal, as `signal(7)` spells it.
pub(crate) fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGPROF => "SIGPROF",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGIO => "SIGIO",
        libc::SIGPWR => "SIGPWR",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}
