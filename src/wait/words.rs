//! The words of one process, as things that can be waited for.

use super::waitable::{Waitable, Watch};
use crate::sync::{Duplex, Event, LifoQueue, Priority, PriorityQueue, Queue, Receiver, Sender};

macro_rules! words {
    ($($(#[$doc:meta])+ $type:ident<$($param:ident),*>;)+) => {$(
        $(#[$doc])+
        impl<$($param: Send),*> Waitable for $type<$($param),*>
        where
            Self: Sync,
        {
            fn watch(&self) -> Watch<'_> {
                Watch::poll_fn(self.look())
            }
        }
    )+};
}

words! {
    /// Ready when there is an item, or it was shut down.
    Queue<T>;
    /// Ready when there is an item, or it was shut down.
    LifoQueue<T>;
    /// Ready when there is a message, or the other end is closed.
    Receiver<T>;
    /// Ready when there is room, or the other end is closed.
    Sender<T>;
    /// Ready when there is a message, or the other end is closed.
    Duplex<A, B>;
    /// Ready when it is set, or was set for a moment during the wait.
    Event<>;
}

/// Ready when there is an item, or it was shut down.
impl<T: Send, P: Priority<T> + Send> Waitable for PriorityQueue<T, P>
where
    Self: Sync,
{
    fn watch(&self) -> Watch<'_> {
        Watch::poll_fn(self.look())
    }
}
