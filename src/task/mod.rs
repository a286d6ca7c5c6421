//! A function and its arguments: how both are called here, and how both travel.
//!
//! | item | what it is |
//! | --- | --- |
//! | [`Call`] | a function, a closure or a named task, called with its arguments as one value |
//! | [`Task`] | a function with a name that machines agree on, made by `#[fourfold::task]` |
//! | [`Stateless`] | a function that can run in another process: one that captures nothing |
//! | [`Payload`] | a value that can cross to another process: any serde type |

pub(crate) mod aside;
mod call;
pub(crate) mod catch;
pub(crate) mod codec;
pub(crate) mod envelope;
pub(crate) mod fd;
pub(crate) mod image;
pub(crate) mod packed;
mod payload;
mod stateless;
pub(crate) mod ticket;
pub(crate) mod travel;

pub use self::call::{Call, Task, marker};
pub use self::payload::Payload;
pub use self::stateless::Stateless;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number for a task, unique in this process.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only the uniqueness counts.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What to call a function in errors: its path, without the brackets of a closure.
pub(crate) fn name_of<F>() -> String {
    std::any::type_name::<F>().replace("::{{closure}}", "::{closure}")
}
