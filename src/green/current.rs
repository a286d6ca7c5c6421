//! Who this coroutine is, and who else is there.

use std::cell::OnceCell;
use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};

use super::child::identity;
use super::control::{Control, Name, Place, Record};
use super::hub::{self, Hub, with_hub};
use super::shared_hub;

/// Who a coroutine is. Made by [`current()`] and [`enumerate`].
#[derive(Clone)]
pub struct Identity {
    control: Arc<Record>,
}

/// The calling coroutine. Outside of any it is the thread, in this one's place.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let child = green::spawn(|| green::current().id(), ())?;
/// let id = child.id();
/// assert_eq!(child.join()?, id);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn current() -> Identity {
    thread_local! {
        static THREAD: OnceCell<Arc<Record>> = const { OnceCell::new() };
    }
    let make = || {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        Record::alone(Control::new(
            Name::Given(name),
            None,
            true,
            Place::Elsewhere(OnceLock::new()),
        ))
    };
    let thread = || THREAD.try_with(|known| known.get_or_init(make).clone());
    Identity { control: hub::current().unwrap_or_else(|| thread().unwrap_or_else(|_| make())) }
}

/// The coroutines that are alive on the hub of this thread; without one, those on the shared hub. By their age.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// use std::time::Duration;
///
/// let parked = || green::sleep(Duration::MAX);
/// let child = green::Builder::new().name("parked").daemon(true).spawn(parked, ())?;
/// let names: Vec<_> = green::enumerate().iter().map(|one| one.name()).collect();
/// assert_eq!(names, ["parked"]);
/// # drop(child);
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn enumerate() -> Vec<Identity> {
    let mut list = with_hub(Hub::alive).unwrap_or_else(|| {
        let Some(remote) = shared_hub::present_hub() else { return Vec::new() };
        let (sender, receiver) = sync_channel(1);
        let ask = remote.ask(Box::new(move |hub: &Hub| {
            let _ = sender.send(hub.alive());
        }));
        // A hub that ends drops the question, and with it the sender.
        ask.ok().and_then(|()| receiver.recv().ok()).unwrap_or_default()
    });
    list.retain(|control| control.is_alive());
    list.sort_by_key(|control| control.id);
    list.into_iter().map(|control| Identity { control }).collect()
}

/// How many coroutines [`enumerate`] lists.
///
/// # Examples
///
/// ```
/// use fourfold::green;
///
/// let alive = green::run(|| -> fourfold::Result<_> {
///     let child = green::spawn(|| (), ())?;
///     let alive = green::active_count();
///     child.join()?;
///     Ok((alive, green::active_count()))
/// })??;
/// assert_eq!(alive, (2, 1));
/// # Ok::<(), fourfold::Error>(())
/// ```
pub fn active_count() -> usize {
    enumerate().len()
}

impl Identity {
    fn control(&self) -> &Control {
        &self.control
    }

    identity!();
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("alive", &self.is_alive())
            .finish()
    }
}
