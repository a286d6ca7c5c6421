//! The shared key, and the file it is kept in.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

pub use fourfold_wire::auth::Key;

use crate::error::{Error, Result};

/// How many random bytes a new key has.
const BYTES: usize = 32;

/// Reads a key from a file: its bytes without the white space around them.
///
/// A Python program reads the same by `open(path, 'rb').read().strip()`.
///
/// # Errors
///
/// The file cannot be read, is empty, or others than its owner may read it.
pub fn read_key(path: impl AsRef<Path>) -> Result<Key> {
    let path = path.as_ref();
    let told = |what: &str| Error::invalid(format!("key file {}: {what}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| told("cannot be read").with_source(error))?;
    if metadata.is_dir() {
        return Err(told("is a directory"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(told("others than its owner may use it; chmod 600 it"));
    }
    let bytes = fs::read(path).map_err(|error| told("cannot be read").with_source(error))?;
    match bytes.trim_ascii() {
        [] => Err(told("is empty")),
        key => Ok(Key::new(key)),
    }
}

/// Makes a key of 32 random bytes in a new file that only its owner may read, in hexadecimal.
///
/// # Errors
///
/// The file is there already, or cannot be made; the system has no random numbers.
///
/// # Examples
///
/// ```
/// use fourfold::cluster::manager::{read_key, write_new_key};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("queue.key");
/// write_new_key(&path)?;
/// read_key(&path)?;
/// assert!(write_new_key(&path).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_new_key(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut random = [0; BYTES];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(std::io::Error::from)?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let told = |error| Error::invalid(format!("key file {}", path.display())).with_source(error);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(told)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(told)?;
    Ok(())
}
