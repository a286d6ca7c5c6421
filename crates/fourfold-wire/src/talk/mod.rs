//! The conversation between proxies and a manager, as state machines that are fed with bytes.
//!
//! [`Server`] is one connection at the end of the manager: it authenticates the peer, gives each request as it
//! comes, and puts replies into the words of the Python at the other end. [`Client`] is the other end. Neither
//! reads or writes: bytes go in by `space` and `filled`, and out by `output` and `sent`.
//!
//! A connection starts with one request to the manager itself, a [`Command`]. It ends with the reply, unless it is
//! [`Command::Accept`]: from then on each request is a [`Call`] of a method of one of the manager's objects.
//!
//! | kind of reply | what follows | what a proxy makes of it |
//! | --- | --- | --- |
//! | `#RETURN` | the value | it returns it |
//! | `#ERROR` | an exception | it raises it |
//! | `#TRACEBACK` | text | it raises `RemoteError` with that text |
//! | `#UNSERIALIZABLE` | text | the same |
//! | `#PROXY` | exposed names and a [`Token`] | it makes a proxy, and gives the token's reference back |

mod address;
mod arguments;
mod client;
mod error;
mod exception;
mod reply;
mod request;
mod server;
mod token;

pub use address::Address;
pub use arguments::Arguments;
pub use client::{Client, ClientOptions};
pub use error::TalkError;
pub use exception::Exception;
pub use reply::Reply;
pub use request::{Call, Command, Request};
pub use server::{Server, ServerOptions};
pub use token::Token;
