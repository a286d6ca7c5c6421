//! What most programs want: `use fourfold::prelude::*`.
//!
//! The scales as modules, so that the path says at which one a word is meant, the words themselves, and
//! [`Duration`], which every time is given in.

pub use crate::vocab::{Executor, Handle, TaskState, as_completed};
pub use crate::wait::{WaitSet, wait_any};
pub use crate::{green, process, thread};
pub use std::time::Duration;
