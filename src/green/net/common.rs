//! The methods and conversions that several types of socket share, written once.

/// Conversions, limits and what else each socket has that is no listener. `std` is the type that it stands on.
macro_rules! socket {
    ($type:ident, $std:ty) => {
        impl $type {
            /// Another handle on the same socket, with the same time limits.
            ///
            /// # Errors
            ///
            /// If there are no descriptors left.
            pub fn try_clone(&self) -> io::Result<$type> {
                Ok($type { socket: self.socket.clone_as(self.socket.io().try_clone()?) })
            }

            /// How long a call that receives may wait: for ever, if `None`. The call then fails with
            /// [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is zero.
            pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
                self.socket.set_limit(Direction::Read, limit)
            }

            /// How long a call that sends may wait: for ever, if `None`. The call then fails with
            /// [`TimedOut`](io::ErrorKind::TimedOut).
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is zero.
            pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
                self.socket.set_limit(Direction::Write, limit)
            }

            /// What [`set_read_timeout`](Self::set_read_timeout) has set.
            ///
            /// # Errors
            ///
            /// None: it is a result as std's is.
            pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.limit(Direction::Read))
            }

            /// What [`set_write_timeout`](Self::set_write_timeout) has set.
            ///
            /// # Errors
            ///
            /// None: it is a result as std's is.
            pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
                Ok(self.socket.limit(Direction::Write))
            }
        }

        /// With the time limits that it has.
        impl From<$std> for $type {
            fn from(io: $std) -> $type {
                let limits = [io.read_timeout(), io.write_timeout()];
                let socket = Socket::new(io);
                for (limit, direction) in
                    limits.into_iter().zip([Direction::Read, Direction::Write])
                {
                    if let Ok(Some(limit)) = limit {
                        // Not zero, as the kernel has it.
                        let _ = socket.set_limit(direction, Some(limit));
                    }
                }
                $type { socket }
            }
        }

        /// With the time limits that it has.
        impl From<$type> for $std {
            fn from(socket: $type) -> $std {
                let limit = |direction| socket.socket.limit(direction);
                let (read, write) = (limit(Direction::Read), limit(Direction::Write));
                let io = socket.socket.into_io();
                // What the kernel cannot have, such as a limit for a socket of another kind, is none.
                if read.is_some() {
                    let _ = io.set_read_timeout(read);
                }
                if write.is_some() {
                    let _ = io.set_write_timeout(write);
                }
                io
            }
        }

        descriptor! { $type, $std }
    };
}

/// Conversions from and into descriptors.
macro_rules! descriptor {
    ($type:ident, $std:ty) => {
        impl $type {
            /// The error that the socket has met since it was asked last, if any.
            ///
            /// # Errors
            ///
            /// If it cannot be asked.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                self.socket.io().take_error()
            }
        }

        impl From<OwnedFd> for $type {
            fn from(fd: OwnedFd) -> $type {
                <$std>::from(fd).into()
            }
        }

        impl From<$type> for OwnedFd {
            fn from(socket: $type) -> OwnedFd {
                <$std>::from(socket).into()
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.as_fd().as_raw_fd()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.socket.io(), f)
            }
        }
    };
}

/// [`Read`](std::io::Read) and [`Write`](std::io::Write), for the stream and for a reference to it. `whole`: see `Socket::receive`.
macro_rules! stream {
    ($type:ident, $name:literal, $whole:literal) => {
        impl $type {
            /// Receives without taking what it receives away: the next call gives it again.
            ///
            /// # Errors
            ///
            /// As reading.
            #[track_caller]
            pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
                let wait = wait(concat!($name, "::peek"));
                // What is left is all of it, so nothing can be said about the next call.
                self.socket.receive(wait, buffer, RecvFlags::PEEK, false)
            }

            /// Closes one direction, or both: who reads at the other end comes to the end, who writes gets an error.
            ///
            /// # Errors
            ///
            /// If it is not connected.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.socket.io().shutdown(how)
            }
        }

        impl Read for &$type {
            #[track_caller]
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let wait = wait(concat!($name, "::read"));
                self.socket.receive(wait, buffer, RecvFlags::empty(), $whole)
            }

            #[track_caller]
            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.socket.receive_vectored(
                    wait(concat!($name, "::read_vectored")),
                    buffers,
                    $whole,
                )
            }
        }

        impl Write for &$type {
            #[track_caller]
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.socket.send(wait(concat!($name, "::write")), buffer, $whole)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                self.socket.send_vectored(wait(concat!($name, "::write_vectored")), buffers, $whole)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Read for $type {
            #[track_caller]
            #[inline]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buffer)
            }

            #[track_caller]
            fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl Write for $type {
            #[track_caller]
            #[inline]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                (&*self).write(buffer)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

/// Methods of std's type that never block.
macro_rules! forward {
    ($($(#[$doc:meta])+ $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)+) => {$(
        $(#[$doc])+
        ///
        /// # Errors
        ///
        /// As std's method of this name.
        pub fn $name(&self, $($arg: $type),*) -> io::Result<$result> {
            self.socket.io().$name($($arg),*)
        }
    )+};
}

use std::panic::Location;

use crate::sync::park::Wait;

/// What a time limit of zero is answered with.
pub(super) fn no_time() -> std::io::Error {
    let text = "a time limit of 0 would leave no time at all";
    std::io::Error::new(std::io::ErrorKind::InvalidInput, text)
}

/// A wait of the caller's.
#[track_caller]
#[inline]
pub(super) fn wait(what: &'static str) -> Wait {
    Wait { what, place: Location::caller() }
}
