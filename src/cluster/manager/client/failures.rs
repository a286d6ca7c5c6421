//! What is said of a connection that fails: where it went, and what can be done.

use std::io;
use std::time::Duration;

use fourfold_wire::auth::AuthError;
use fourfold_wire::frame::FrameError;
use fourfold_wire::talk::TalkError;

use super::CallError;
use crate::cluster::manager::Address;
use crate::error::{Error, ErrorKind};

/// Bytes that are none of this protocol, as a system call tells of them.
fn invalid(error: TalkError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn within(limit: Option<Duration>) -> String {
    limit.map_or_else(String::new, |limit| format!(" within {limit:?}"))
}

/// No connection was made.
pub(super) fn connecting(at: &Address, limit: Option<Duration>, error: io::Error) -> Error {
    use io::ErrorKind::{ConnectionRefused, NotFound, TimedOut};
    match error.kind() {
        TimedOut => Error::new(ErrorKind::TimedOut)
            .with_message(format!("no connection to {at}{}", within(limit))),
        ConnectionRefused | NotFound => {
            let what = format!("nobody serves at {at}; start the server, or mend the address");
            Error::from(error).with_message(what)
        }
        _ => Error::from(error).with_message(format!("no connection to {at}")),
    }
}

/// The socket failed before both ends had proved that they know the key.
pub(super) fn shaking_hands(at: &Address, limit: Option<Duration>, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            let what = format!("what listens at {at} did not prove its key{}", within(limit));
            Error::new(ErrorKind::TimedOut).with_message(what)
        }
        _ => {
            let what = format!("what listens at {at} ended the handshake; is it a manager?");
            Error::from(error).with_message(what)
        }
    }
}

/// The ends did not come to trust each other.
pub(super) fn not_trusted(at: &Address, error: TalkError) -> Error {
    let what = match &error {
        TalkError::Auth(AuthError::WrongKey | AuthError::Rejected) => {
            format!("the key is not the one of the server at {at}")
        }
        TalkError::Auth(AuthError::Md5Refused) => {
            format!("the server at {at} proves its key by MD5 alone, which allow_md5 forbids here")
        }
        _ => {
            let what = format!("what listens at {at} speaks another protocol than a manager");
            return Error::from(invalid(error)).with_message(what);
        }
    };
    Error::new(ErrorKind::Refused).with_message(what).with_source(error)
}

/// A request could not be said. Nothing of it was sent.
pub(super) fn asking(error: TalkError) -> CallError {
    match error {
        TalkError::Frame(FrameError::TooLong { length, limit }) => {
            let what = format!(
                "a message of {length} bytes is over the limit of {limit}; see \
                 ClientBuilder::message_limit, and the server has a limit too"
            );
            Error::invalid(what).into()
        }
        TalkError::Frame(error) => Error::invalid("the message").with_source(error).into(),
        TalkError::Pickle(error) => error.into(),
        error => Error::from(invalid(error)).with_message("the request").into(),
    }
}

/// The socket failed in a call.
pub(super) fn calling(at: &Address, limit: Option<Duration>, error: io::Error) -> Error {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
    match (error.kind(), limit) {
        (TimedOut, Some(limit)) => {
            let what = format!(
                "the server at {at} did not answer within {limit:?}; its connection is given up"
            );
            Error::new(ErrorKind::TimedOut).with_message(what)
        }
        (BrokenPipe | ConnectionReset | UnexpectedEof, _) => {
            Error::from(error).with_message(format!("the server at {at} closed the connection"))
        }
        _ => Error::from(error).with_message(format!("the connection to {at} failed")),
    }
}

/// A reply came that cannot be read.
pub(super) fn reading(at: &Address, error: TalkError) -> CallError {
    let what = match &error {
        TalkError::Pickle(_) => {
            return Error::new(ErrorKind::NotSerializable)
                .with_message(format!("the reply of the server at {at}"))
                .with_source(error)
                .into();
        }
        TalkError::Frame(FrameError::TooLong { .. }) => {
            format!("the reply of the server at {at} is too long; see ClientBuilder::message_limit")
        }
        _ => format!("the server at {at} does not speak as a manager does"),
    };
    Error::from(invalid(error)).with_message(what).into()
}
