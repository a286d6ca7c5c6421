//! The server: one thread, an epoll loop, and the words as state machines behind it.
//!
//! `reactor` looks for what there is to do; `connection` is one socket with its conversation; `perform` carries out
//! requests, and `deliver` brings replies to those who are due one; `objects` are the words by name, with reference
//! counts as a stock server has them; `calls`, `lists`, `arrays` and `dicts` are the methods.

mod args;
mod arrays;
mod builder;
mod calls;
mod connection;
mod crowd;
mod deadlines;
mod deliver;
mod dicts;
mod errors;
mod handle;
mod iterable;
mod listener;
mod lists;
mod objects;
mod options;
mod perform;
mod process;
mod reactor;
mod settings;
mod thing;
mod told;

pub use self::builder::ServerBuilder;
pub use self::handle::{Server, Stopper};
pub use self::options::{HandBack, QueueOptions};
pub use self::process::ServerProcess;
