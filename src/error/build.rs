//! How the library makes its errors.

use super::{Error, ErrorKind, Inner, Panic, Scale};

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Error {
        Error {
            inner: Box::new(Inner {
                kind,
                message: None,
                panic: None,
                signal: None,
                task: None,
                pid: None,
                scale: None,
                source: None,
            }),
        }
    }

    /// An [`ErrorKind::InvalidInput`] with what is wrong and what to do.
    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput).with_message(message)
    }

    pub(crate) fn panicked(panic: Panic) -> Error {
        let mut error = Error::new(ErrorKind::Panicked);
        error.inner.panic = Some(panic);
        error
    }

    /// Says more than the kind does. A lower-case fragment without a full stop.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Error {
        self.inner.message = Some(message.into());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        self.inner.source = Some(source.into());
        self
    }

    pub(crate) fn with_signal(mut self, signal: i32) -> Error {
        self.inner.signal = Some(signal);
        self
    }

    pub(crate) fn with_task(mut self, task: impl Into<String>) -> Error {
        self.inner.task = Some(task.into());
        self
    }

    pub(crate) fn with_pid(mut self, pid: u32) -> Error {
        self.inner.pid = Some(pid);
        self
    }

    pub(crate) fn with_scale(mut self, scale: Scale) -> Error {
        self.inner.scale = Some(scale);
        self
    }
}
