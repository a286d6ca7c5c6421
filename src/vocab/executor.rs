//! What every executor does: take a function with its arguments, and give a handle at once.

use super::Handle;

/// Takes functions with their arguments and runs them on its workers.
///
/// Each scale's `Executor` has these methods itself; the trait is for code that is written once for several scales. What
/// may be submitted differs from scale to scale and is decided when the program compiles, so the function `F`, its
/// arguments `A` and a marker `M` (which is always inferred) are parameters of the trait.
///
/// A function of several parameters takes them as one tuple; of one parameter, the value itself; of none, `()`.
///
/// # Scales
///
/// | | `green` | `thread` | `process` |
/// | --- | --- | --- | --- |
/// | what may be submitted | any closure that is `Send + 'static` | any closure that is `Send + 'static` | a function, or a closure that captures nothing |
/// | arguments and values | `Send + 'static` | `Send + 'static` | [serde](https://serde.rs) types; descriptors in [`process::Fd`](crate::process::Fd) |
/// | what a capture sees | the one value, shared or moved | the one value, shared or moved | captures are refused when the program compiles |
/// | [`cancel`](Handle::cancel) of a waiting task | it is dropped | it is dropped | it is dropped |
/// | `cancel` of a running task | it is unwound where it waits, or at its next wait | it goes on; `cancel` returns `false` | its worker is killed and replaced |
/// | a timeout per task | [`green::timeout`](crate::green::timeout) in it, at its waits | none: a thread cannot be killed | `task_timeout`: the worker is killed and replaced |
/// | a memory limit per task | none: they share their memory | none: threads share their memory | `memory_limit`: of the worker's whole process tree |
/// | a panic | an error of that task | an error of that task | an error of that task |
/// | a segfault, an abort, an exit | ends this whole process | ends this whole process | an error of that task; the worker is replaced |
/// | a task that submits to its own executor and waits | through a clone; does not count as busy | through a clone; does not count as busy, up to 256 at a time | through [`process::Executor::current`](crate::process::Executor::current); does not count, up to 64 at a time |
/// | a callback runs | in the coroutine, at its end | in the worker thread | in this process, on a thread of the executor |
///
/// # Examples
///
/// ```
/// use fourfold::prelude::*;
///
/// fn total<E, F, M>(pool: &E, f: F) -> fourfold::Result<u64>
/// where
///     E: Executor<F, u64, M, Output = u64>,
///     F: Copy,
/// {
///     let handles: Vec<_> = (1..=3).map(|n| pool.submit(f, n)).collect();
///     handles.into_iter().map(Handle::join).sum()
/// }
///
/// let pool = thread::Executor::builder().workers(2).build()?;
/// assert_eq!(total(&pool, |n| n * n)?, 14);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub trait Executor<F, A, M> {
    /// What the function returns.
    type Output;

    /// Has a worker call `f` with `args`. Never blocks: whatever goes wrong is told by the handle.
    fn submit(&self, f: F, args: A) -> Handle<Self::Output>;

    /// Takes nothing new from here on, and waits until all that was submitted has finished.
    fn shutdown(&self);
}
