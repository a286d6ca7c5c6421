//! A flag in shared memory that can be waited for.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::atomic::{Number64, Ordering};
use super::gate::Gate;
use super::object::{Attached, ObjectKind};
use super::wait::{self, Watch};
use crate::error::Result;
use crate::sync::park::{Wait, after};
use crate::wait::Waitable;

/// What lies in shared memory.
#[repr(C)]
struct Body {
    /// Whether it is set, and above that how often it was.
    state: Number64,
    gate: Gate,
}

/// The flag.
const SET: u64 = 1;
/// Once set.
const ONCE: u64 = 2;

/// A flag between processes that can be waited for.
///
/// All who wait when it is set go on, also if it is cleared right after. A handle to it is small, and goes wherever an argument or
/// an item goes. One that dies as it sets the flag holds up nobody for more than a twentieth of a second.
///
/// # Scales
///
/// | scale | what differs |
/// | --- | --- |
/// | `green`, `thread` | no call can fail |
/// | `process` | it can lack room when it is made |
/// | `cluster` | on a server: each call can fail |
///
/// # Examples
///
/// ```
/// use fourfold::process::{self, Event};
///
/// let ready = Event::new()?;
/// let child = process::spawn(|ready: Event| ready.wait(), ready.clone())?;
/// ready.set();
/// child.join()?;
/// # Ok::<(), fourfold::Error>(())
/// ```
#[derive(Clone)]
pub struct Event {
    attached: Arc<Attached>,
    body: &'static Body,
}

impl Event {
    /// An event that is not set.
    ///
    /// # Errors
    ///
    /// There is no room for it in the memory that processes share: [`ErrorKind::OutOfMemory`](crate::ErrorKind::OutOfMemory).
    pub fn new() -> Result<Event> {
        let size = size_of::<Body>() as u64;
        Attached::create(super::arena()?, ObjectKind::Event, 0, size, |_| ()).map(Event::of)
    }

    pub(super) fn of(attached: Arc<Attached>) -> Event {
        // SAFETY: a `Body` is atomics only.
        let body = unsafe { attached.enter().0.get(attached.body()) };
        Event { attached, body }
    }

    pub(super) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// Sets the flag, which lets go of all who wait.
    pub fn set(&self) {
        let (arena, _) = self.attached.enter();
        let mut seen = self.body.state.load(Ordering::Relaxed);
        // Release: who sees the flag sees what was done before it was set. SeqCst for the gate.
        while let Err(now) = self.body.state.exchange(seen, (seen | SET) + ONCE, Ordering::SeqCst) {
            seen = now;
        }
        self.body.gate.open_fenced(arena, u32::MAX);
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.attached.enter();
        self.body.state.fetch_and(!SET, Ordering::AcqRel);
    }

    /// Whether the flag is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.body.state.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until the flag is set.
    #[track_caller]
    pub fn wait(&self) {
        self.wait_for(&Wait { what: "Event::wait", place: Location::caller() }, None);
    }

    /// Waits until the flag is set, or so long, and says whether it was set.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event = fourfold::process::Event::new()?;
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// # Ok::<(), fourfold::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let wait = Wait { what: "Event::wait_timeout", place: Location::caller() };
        self.wait_for(&wait, Some(limit))
    }

    /// Waits until the flag is set, for a future.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let event = fourfold::process::Event::new().unwrap();
    /// event.set();
    /// event.wait_async().await;
    /// # });
    /// ```
    pub async fn wait_async(&self) {
        let before = self.body.state.load(Ordering::Acquire);
        let mut watch = Watch::new(&self.attached, &self.body.gate);
        std::future::poll_fn(|context| watch.poll(context, |_| self.since(before))).await;
    }

    fn wait_for(&self, wait: &Wait, limit: Option<Duration>) -> bool {
        let before = self.body.state.load(Ordering::Acquire);
        before & SET != 0 || {
            let deadline = limit.and_then(after);
            wait::wait(&self.attached, &self.body.gate, wait, deadline, |_| self.since(before))
                .is_some()
        }
    }

    /// Whether it is set, or has been since its state was `before`.
    fn since(&self, before: u64) -> Option<()> {
        let now = self.body.state.load(Ordering::Acquire);
        (now & SET != 0 || now / ONCE != before / ONCE).then_some(())
    }
}

/// Ready when it is set, or was set for a moment during the wait.
impl Waitable for Event {
    fn watch(&self) -> crate::wait::Watch<'_> {
        let before = self.body.state.load(Ordering::Acquire);
        let mut watch = Watch::new(&self.attached, &self.body.gate);
        crate::wait::Watch::poll_fn(move |context| watch.poll(context, |_| self.since(before)))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish()
    }
}
