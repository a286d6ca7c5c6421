#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
compile_error!("fourfold runs on Linux only (x86-64 and aarch64, kernel 5.10 or newer)");

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod error;
pub mod green;
pub mod prelude;
pub mod process;
pub mod server;
mod sync;
mod system;
pub mod task;
pub mod thread;
pub mod vocab;
pub mod wait;
// Not all of them are served to processes.
#[cfg_attr(not(feature = "cluster"), allow(dead_code, unused_imports))]
mod words;

pub use error::{Error, ErrorKind, Outcome, Result, Scale};
pub use fourfold_macros::{main, task};
pub use vocab::{Handle, TaskState, as_completed};
pub use wait::{WaitSet, wait_any};

/// Makes this process serve, and never returns, if it was started to run a task; otherwise does nothing.
///
/// `#[fourfold::main]` calls it. Without that attribute a worker begins by itself before `main`; calling this first thing in
/// `main` covers a program whose linker has dropped the entry for that. Calling it late, twice or in a worker is harmless.
///
/// # Examples
///
/// ```
/// fourfold::init();
/// assert_eq!(fourfold::process::spawn(|| 1 + 1, ())?.join()?, 2);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn init() {
    process::entry::serve_if_child();
}

/// What the attributes expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    /// Serves if this is a child; else runs the body of `main`, and waits for what it has started.
    pub fn main<R>(body: fn() -> R) -> R {
        crate::init();
        let _end = EndOfMain;
        body()
    }

    /// Notes, before `main`, that there is a `#[fourfold::main]` in this module. Only that in the root of the crate is the
    /// program's; another one is the example of a doc test, say, that was put into one program with others.
    pub fn note_main(module: &str) {
        if !module.contains("::") {
            crate::process::entry::note_main();
        }
    }

    /// Also when the body panics.
    struct EndOfMain;

    impl Drop for EndOfMain {
        fn drop(&mut self) {
            crate::wait_for_foreground();
            crate::process::end_of_main();
        }
    }
}

/// Waits for the threads and coroutines that the end of `main` waits for.
fn wait_for_foreground() {
    // Either may start the other: until nothing has begun between two looks.
    let mut seen = None;
    loop {
        thread::wait_for_foreground();
        let started = green::wait_for_foreground();
        if seen.replace(started) == Some(started) {
            return;
        }
    }
}
