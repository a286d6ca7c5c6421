//! Handles as arguments, values and items.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::object::{Attached, ObjectKind, TicketNumber, return_ticket, sent, type_mark};
use super::plain::Plain;
use super::queue::Bounded;
use super::{Event, Lock, Semaphore};
use crate::task::Payload;
use crate::task::ticket::{self, NOWHERE, Ticket};

/// A reference that is under way, at who sends it. The sender's own keeps the word while the bytes may be read again.
struct Sent {
    attached: Arc<Attached>,
    number: TicketNumber,
}

impl Ticket for Sent {
    fn give_back(&self) {
        return_ticket(self.attached.enter().0, &self.number);
    }

    fn sent(&self) {
        sent(self.attached.enter().0, &self.number);
    }
}

pub(super) fn serialize<S: Serializer>(
    attached: &Arc<Attached>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
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
) -> Result<Arc<Attached>, D::Error> {
    let number = TicketNumber::deserialize(deserializer)?;
    let arena = super::arena().map_err(D::Error::custom)?;
    Attached::redeem(arena, number, kind, mark).map_err(D::Error::custom)
}

macro_rules! travels {
    ($name:ident $(<$param:ident: $bound:path>)?, $kind:expr, $mark:expr) => {
        impl $(<$param: $bound>)? Serialize for $name $(<$param>)? {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize(self.attached(), serializer)
            }
        }

        impl<'de $(, $param: $bound)?> Deserialize<'de> for $name $(<$param>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize(deserializer, $kind, $mark).map($name::of)
            }
        }
    };
}

travels!(Lock<T: Plain>, ObjectKind::Lock, type_mark::<T>());
travels!(Event, ObjectKind::Event, 0);
travels!(Semaphore, ObjectKind::Semaphore, 0);
travels!(Bounded<T: Payload>, ObjectKind::Queue, type_mark::<T>());
