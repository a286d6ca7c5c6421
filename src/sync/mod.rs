//! The words within one process, for threads, coroutines and futures alike, on one way to wait.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `park.rs` | how the caller waits: as a thread, or as the coroutine that runs on it |
//! | `primitive.rs` | what the words are made of: std's, or those of the model checker |

pub(crate) mod park;
pub(crate) mod primitive;
