//! Futures inside coroutines, and waiting for several things.

use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;

use crate::error::Outcome;
use crate::sync::park::{Wait, block};
use crate::vocab::Handle;

/// Waits for a future: in a coroutine others run meanwhile, in a thread the thread sleeps.
///
/// The future is polled here, so one that needs a runtime finds that of this thread: with tokio, enter it first with
/// `Handle::enter`, or take a future that is driven elsewhere, such as a `JoinHandle`.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let sum = green::run(|| {
///     let child = green::spawn(|| 20, ())?;
///     green::block_on(async move { Ok::<u32, fourfold::Error>(child.await? + 1) })
/// })??;
/// assert_eq!(sum, 21);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let wait = Wait { what: "a future", place: Location::caller() };
    let mut future = pin!(future);
    block(&wait, None, |context| future.as_mut().poll(context))
        .expect("a wait without a deadline ends with a value")
}

/// Waits for all of them, and gives their outcomes in their order.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let children = (1..=3).map(|n| green::spawn(|n: u32| n * n, n)).collect::<Result<Vec<_>, _>>()?;
/// let squares: Result<Vec<u32>, _> =
///     green::join_all(children.into_iter().map(green::Child::into_handle)).into_iter().collect();
/// assert_eq!(squares?, [1, 4, 9]);
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn join_all<T: Send + 'static>(
    handles: impl IntoIterator<Item = Handle<T>>,
) -> Vec<Outcome<T>> {
    // All are there before the first is waited for.
    let handles: Vec<_> = handles.into_iter().collect();
    let mut outcomes = Vec::with_capacity(handles.len());
    // No closure, in which the caller would not be known.
    for handle in handles {
        outcomes.push(handle.join());
    }
    outcomes
}

/// Waits until one of the futures has a value, and gives its index with it. The futures stay: those of handles and coroutines
/// can be waited for again.
///
/// If several are ready, it is the first of them. Futures of different types go in as `&mut dyn Future<Output = T> + Unpin`.
///
/// # Panics
///
/// If there is no future at all.
///
/// # Examples
///
/// ```
/// use fourfold::green;
/// use std::time::Duration;
///
/// let nap = |millis: u64| green::sleep(Duration::from_millis(millis));
/// let (slow, quick) = (green::spawn(nap, 10_000)?, green::spawn(nap, 1)?);
/// let mut racers = [slow, quick];
/// let (winner, outcome) = green::select(&mut racers);
/// outcome?;
/// assert_eq!(winner, 1);
/// racers[0].cancel();
/// # Ok::<(), fourfold::Error>(())
/// ```
#[track_caller]
pub fn select<F: Future + Unpin>(futures: &mut [F]) -> (usize, F::Output) {
    assert!(!futures.is_empty(), "`select` of nothing would wait for ever");
    let wait = Wait { what: "green::select", place: Location::caller() };
    let first = |context: &mut std::task::Context<'_>| {
        for (index, future) in futures.iter_mut().enumerate() {
            if let Poll::Ready(value) = pin!(future).poll(context) {
                return Poll::Ready((index, value));
            }
        }
        Poll::Pending
    };
    block(&wait, None, first).expect("a wait without a deadline ends with a value")
}
