//! Words and work shared between machines.
//!
//! [`manager`] is the embedded server and its client: queues, locks, lists and the rest of the vocabulary, served to
//! any machine in the protocol of Python's `multiprocessing.managers`, so that stock Python programs take part.

pub mod manager;
