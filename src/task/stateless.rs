//! Which functions can run in another process.

/// A function, or a closure that captures nothing: all that there is of it is its code, which every process that runs this
/// executable has.
///
/// Implemented for these; there is nothing to implement by hand. That a closure captures nothing is seen by its size, which is
/// looked at where the task is submitted, when the program compiles.
///
/// # Examples
///
/// ```
/// use fourfold::process;
/// use fourfold::task::{Call, Payload, Stateless};
///
/// /// Calls a function in another process, and waits for what it gives.
/// fn aside<F, A, M>(f: F, args: A) -> fourfold::Outcome<F::Output>
/// where
///     F: Call<A, M> + Stateless,
///     A: Payload,
///     F::Output: Payload,
/// {
///     process::spawn(f, args)?.join()
/// }
///
/// assert_eq!(aside(|a: u32, b: u32| a * b, (2, 3))?, 6);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` captures something, which cannot cross to another process",
    label = "captures something",
    note = "only a function or a closure that captures nothing can run in another process: pass what it needs as an \
            argument",
    note = "at the thread scale a closure may capture: `thread::spawn`, `thread::Executor`"
)]
pub trait Stateless: Copy + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<F: Copy + Send + Sync + 'static> Stateless for F {}
