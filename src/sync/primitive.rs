//! What the words are made of: std's types, or loom's, which try each order of events.

#[cfg(not(all(loom, test)))]
pub(crate) use std::{
    sync::{Arc, Mutex, MutexGuard, atomic},
    thread::{self, Thread},
};

#[cfg(all(loom, test))]
pub(crate) use loom::{
    sync::{Arc, Mutex, MutexGuard, atomic},
    thread::{self, Thread},
};
