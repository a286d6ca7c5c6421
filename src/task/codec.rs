//! How values are written as bytes and read back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// Writes a value. Struct fields go by name, so that skipped and flattened fields are read back as they were.
pub(crate) fn encode<T: Serialize>(value: &T, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    value.serialize(&mut serializer).map_err(|error| {
        Error::new(ErrorKind::NotSerializable)
            .with_message(format!("{what} of type {}", std::any::type_name::<T>()))
            .with_source(error)
    })?;
    Ok(bytes)
}

/// Reads a value back.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::NotSerializable)
            .with_message(format!(
                "{what} of type {} cannot be read back",
                std::any::type_name::<T>()
            ))
            .with_source(error)
    })
}
