//! Which values can cross to another process.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can cross to another process or machine: any type that serde can write and read back.
///
/// Implemented for every such type; there is nothing to implement by hand. A socket, a file or a pipe crosses in a
/// [`process::Fd`](crate::process::Fd).
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// fn mirror(point: Point) -> Point {
///     Point { x: -point.x, ..point }
/// }
///
/// let mirrored = fourfold::process::spawn(mirror, Point { x: 1.0, y: 2.0 })?.join()?;
/// assert_eq!((mirrored.x, mirrored.y), (-1.0, 2.0));
/// # Ok::<(), fourfold::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross to another process",
    label = "not a serde type that owns its data",
    note = "arguments and values of a task at the process scale are written and read back by serde: derive \
            `serde::Serialize` and `serde::Deserialize`, and own the data (`String` for `&str`)",
    note = "a socket, a file or a pipe crosses in a `fourfold::process::Fd`",
    note = "at the thread scale any `Send` type goes: `thread::Executor`"
)]
pub trait Payload: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Payload for T {}
