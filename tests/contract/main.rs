//! The contract of the shared words: one suite, run at every scale.
//!
//! `suite/` is written once, against a module `scale`, and compiled for each scale by a file of that scale's name. Since a
//! task may run in another process, what it does there is seen through sockets and files, and it takes plain values. What
//! only one scale can do is tested beside that scale's file.
#![allow(clippy::duplicate_mod)]

mod green;
mod mixed;
mod process;
mod served;
mod served_by_coroutines;
mod served_by_threads;
mod shared;
mod shared_by_coroutines;
mod shared_by_threads;
mod support;
mod thread;
mod waiting;
