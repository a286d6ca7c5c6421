//! A value that travels within another and is not read on its way: who has it hands it on, or reads it where it is needed.

use std::fmt;
use std::os::fd::OwnedFd;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Payload;
use super::envelope::Envelope;
use super::fd::Fd;
use super::ticket::Tickets;
use crate::error::Result;

/// A value as an envelope, without its tickets: those are kept by who has packed it, until it has been read or never will be.
#[derive(Debug)]
pub(crate) struct Packed {
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
    /// Whether there are tickets: then somebody wants to know when it is over with the value.
    pub(crate) has_tickets: bool,
}

impl Packed {
    /// Writes a value, with what it is called in errors.
    pub(crate) fn of<T: Payload>(value: &T, what: &str) -> Result<(Packed, Tickets)> {
        let Envelope { body, fds, tickets } = Envelope::pack(value, what)?;
        let has_tickets = !tickets.is_empty();
        Ok((Packed { body, fds, has_tickets }, tickets))
    }

    pub(crate) fn fd_count(&self) -> usize {
        self.fds.len()
    }

    /// Reads the value back.
    pub(crate) fn open<T: Payload>(self, what: &str) -> Result<T> {
        let Packed { body, fds, .. } = self;
        Envelope { body, fds, ..Envelope::default() }.unpack(what)
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let fds: Vec<Fd<&OwnedFd>> = self.fds.iter().map(Fd).collect();
        (Bytes(&self.body), fds, self.has_tickets).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Packed, D::Error> {
        type Parts = (Bytes<Vec<u8>>, Vec<Fd<OwnedFd>>, bool);
        let (Bytes(body), fds, has_tickets) = Parts::deserialize(deserializer)?;
        let fds = fds.into_iter().map(|Fd(fd)| fd).collect();
        Ok(Packed { body, fds, has_tickets })
    }
}

/// Bytes in one piece, not as a sequence of numbers.
struct Bytes<B>(B);

impl Serialize for Bytes<&Vec<u8>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes<Vec<u8>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct All;
        impl Visitor<'_> for All {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(
                self,
                bytes: &[u8],
            ) -> std::result::Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(All).map(Bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn packed<T: Payload>(value: &T) -> Packed {
        let (packed, tickets) = Packed::of(value, "value").unwrap();
        assert!(tickets.is_empty() && !packed.has_tickets);
        packed
    }

    /// Through a whole message and back.
    fn sent(packed: Packed) -> Packed {
        let envelope = Envelope::pack(&(1_u8, packed, 2_u8), "message").unwrap();
        let (one, packed, two) = envelope.unpack::<(u8, Packed, u8)>("message").unwrap();
        assert_eq!((one, two), (1, 2));
        packed
    }

    #[test]
    fn it_comes_out_as_it_went_in_however_often_it_is_handed_on() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let value = ("x".repeat(100_000), Fd(OwnedFd::from(reader)), vec![Some(1.5), None]);
        let packed = packed(&value);
        drop(value);
        type Value = (String, Fd<OwnedFd>, Vec<Option<f64>>);
        let (text, Fd(reader), numbers) = sent(sent(packed)).open::<Value>("value").unwrap();
        assert_eq!((text.len(), &numbers[..]), (100_000, &[Some(1.5), None][..]));
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut said = String::new();
        std::fs::File::from(reader).read_to_string(&mut said).unwrap();
        assert_eq!(said, "through");
    }

    #[test]
    fn nothing_is_a_value_too_and_another_type_is_refused() {
        sent(packed(&())).open::<()>("value").unwrap();
        let packed = sent(packed(&7_u8));
        assert!(packed.open::<(String, String)>("value").is_err());
    }
}
