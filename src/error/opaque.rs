//! The error itself, and what it says.

use std::fmt;

use super::{ErrorKind, Panic, Scale};

/// Why an operation or a piece of work did not give its value.
///
/// An `Error` is one pointer wide. Its [`Display`](fmt::Display) text is one line; the backtrace of a panic is
/// reached through [`Error::panic`].
///
/// # Examples
///
/// ```
/// use fourfold::ErrorKind;
///
/// let outcome = fourfold::thread::spawn(|n: u32| 10 / n, 0)?.join();
/// let error = outcome.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Panicked);
/// assert_eq!(error.panic().unwrap().message(), "attempt to divide by zero");
/// # Ok::<(), fourfold::Error>(())
/// ```
pub struct Error {
    pub(super) inner: Box<Inner>,
}

pub(super) struct Inner {
    pub(super) kind: ErrorKind,
    pub(super) message: Option<String>,
    pub(super) panic: Option<Panic>,
    pub(super) signal: Option<i32>,
    pub(super) task: Option<String>,
    pub(super) pid: Option<u32>,
    pub(super) scale: Option<Scale>,
    pub(super) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Inner {
    /// Whether the kind says nothing beside the message: that a call failed is clear from what it was for.
    fn tells_itself(&self) -> bool {
        self.panic.is_none() && self.kind == ErrorKind::Io && self.message.is_some()
    }
}

impl Error {
    /// What happened, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether the work was ended because it ran over its time, or what was waited for did not come in time.
    pub fn is_timeout(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Whether the worker that ran the work is gone: killed by a signal, exited, or ended for its memory or time.
    ///
    /// A panic or a value that cannot be serialised leaves the worker alive, and is not a lost worker.
    pub fn is_worker_lost(&self) -> bool {
        use ErrorKind::*;
        match self.kind() {
            Signaled(_) | Exited(_) | EndUnknown | StackOverflow | OutOfMemory | NotStarted => true,
            // Of a call to a server, it is the answer that did not come.
            TimedOut => self.scale().is_some(),
            _ => false,
        }
    }

    /// Whether the work was cancelled before it gave a value.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == ErrorKind::Cancelled
    }

    /// The panic's message, place and backtrace, if the work panicked.
    ///
    /// With `panic = "abort"` the kind is still [`ErrorKind::Panicked`]; [`Error::signal`] then tells the abort.
    pub fn panic(&self) -> Option<&Panic> {
        self.inner.panic.as_ref()
    }

    /// The signal that ended the process, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.kind() {
            ErrorKind::Signaled(signal) => Some(signal),
            _ => self.inner.signal,
        }
    }

    /// The exit code of the process, if it exited by itself.
    pub fn exit_code(&self) -> Option<i32> {
        match self.kind() {
            ErrorKind::Exited(code) => Some(code),
            _ => None,
        }
    }

    /// The name of the task or of the child that it happened to, where known.
    pub fn task(&self) -> Option<&str> {
        self.inner.task.as_deref()
    }

    /// The process that it happened in, where it is not this one.
    pub fn pid(&self) -> Option<u32> {
        self.inner.pid
    }

    /// The scale at which it happened, where known.
    pub fn scale(&self) -> Option<Scale> {
        self.inner.scale
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        if let Some(task) = &inner.task {
            write!(f, "{task}: ")?;
        }
        match &inner.panic {
            Some(panic) => write!(f, "{panic}")?,
            None if inner.tells_itself() => {}
            None => write!(f, "{}", inner.kind)?,
        }
        let mut colon = if inner.tells_itself() { "" } else { ": " };
        if let Some(message) = &inner.message {
            write!(f, "{colon}{message}")?;
            colon = ": ";
        }
        if let Some(source) = &inner.source {
            write!(f, "{colon}{source}")?;
        }
        match (inner.scale, inner.pid) {
            (Some(scale), Some(pid)) => write!(f, " ({scale} {pid})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind())?;
        match self.panic().and_then(Panic::backtrace) {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::new(ErrorKind::Io).with_source(error)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        std::io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Outcome<()>>(), size_of::<usize>());
    }

    #[test]
    fn says_who_what_and_where() {
        let error = Error::new(ErrorKind::Signaled(11))
            .with_task("decode")
            .with_scale(Scale::Process)
            .with_pid(42);
        assert_eq!(error.to_string(), "decode: killed by signal 11 (SIGSEGV) (process 42)");
        assert_eq!(error.signal(), Some(11));
        assert!(error.is_worker_lost());
        let os = || Error::from(std::io::Error::from_raw_os_error(2));
        assert!(os().to_string().starts_with("system call failed: No such file"), "{}", os());
        let told = os().with_message("nobody serves there").to_string();
        assert!(told.starts_with("nobody serves there: No such file"), "{told}");
        assert_eq!(Error::new(ErrorKind::Io).to_string(), "system call failed");
        let late = || Error::new(ErrorKind::TimedOut);
        assert!(late().with_scale(Scale::Process).is_worker_lost());
        assert!(late().is_timeout() && !late().is_worker_lost());
    }
}
