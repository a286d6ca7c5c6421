//! Handles as arguments, values and items.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::object::{Attached, ObjectKind, TicketNumber, return_ticket, sent, type_mark};
use super::plain::Plain;
use super::queue::Bounded;
use super::{Array, Event, Lock, Semaphore, SharedBuffer, Value};
use crate::error::Result;
use crate::task::ticket::{self, NOWHERE, Number, Ticket};

/// A reference that is under way, at who sends it. The sender's own keeps the word while the bytes may be read again.
struct Sent {
    attached: Arc<Attached>,
    number: TicketNumber,
}

impl Ticket for Sent {
    fn give_back(&self) {
        return_ticket(self.attached.enter().0, &self.number);
    }

    fn number(&self) -> Option<Number> {
        Some(self.number.parts())
    }

    fn sent(&self) {
        sent(self.attached.enter().0, &self.number);
    }
}

pub(super) fn serialize<S: Serializer>(
    attached: &Arc<Attached>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    if !ticket::is_writing() {
        return Err(S::Error::custom(NOWHERE));
    }
    let number = attached.ticket().map_err(S::Error::custom)?;
    ticket::keep(Sent { attached: attached.clone(), number });
    number.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
    kind: ObjectKind,
    mark: u64,
) -> std::result::Result<Arc<Attached>, D::Error> {
    let number = TicketNumber::deserialize(deserializer)?;
    redeem(number, kind, mark).map_err(D::Error::custom)
}

pub(super) fn redeem(number: TicketNumber, kind: ObjectKind, mark: u64) -> Result<Arc<Attached>> {
    let arena = super::arena()?;
    Attached::redeem(arena, number, kind, mark, ticket::are_kept())
}

macro_rules! travels {
    ($name:ident $(<$param:ident: $bound:tt>)?, $kind:expr, $mark:expr) => {
        impl $(<$param: $bound>)? Serialize for $name $(<$param>)? {
            fn serialize<S: Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serialize(self.attached(), serializer)
            }
        }

        impl<'de $(, $param: $bound)?> Deserialize<'de> for $name $(<$param>)? {
            fn deserialize<D: Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                deserialize(deserializer, $kind, $mark).map($name::of)
            }
        }
    };
}

travels!(Lock<T: Plain>, ObjectKind::Lock, type_mark::<T>());
travels!(Array<T: Plain>, ObjectKind::Array, type_mark::<T>());
travels!(Event, ObjectKind::Event, 0);
travels!(Semaphore, ObjectKind::Semaphore, 0);
// Not for payloads only: so that a struct with a queue in it needs no bound of ours to be written and read.
travels!(Bounded<T: 'static>, ObjectKind::Queue, type_mark::<T>());

/// As the lock that it is made of.
impl<T: Plain> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.as_lock().serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Value<T>, D::Error> {
        Lock::deserialize(deserializer).map(Value::from)
    }
}

impl Serialize for SharedBuffer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serialize(self.attached(), serializer)
    }
}

impl<'de> Deserialize<'de> for SharedBuffer {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<SharedBuffer, D::Error> {
        let attached = deserialize(deserializer, ObjectKind::Buffer, 0)?;
        SharedBuffer::of(attached).map_err(D::Error::custom)
    }
}
