//! Which values can lie in memory that processes share.

use zerocopy::{FromBytes, IntoBytes};

/// A value that can lie in memory that several processes share: one for which every bit pattern is valid, and in which there is no
/// pointer, since what it points to would be elsewhere, or nowhere, in another process.
///
/// Numbers, arrays of them, and `()` are such; a struct of them is one that derives zerocopy's `FromBytes` and `IntoBytes`.
/// There is nothing to implement by hand.
///
/// # Examples
///
/// ```
/// use fourfold::process::Lock;
/// use zerocopy::{FromBytes, IntoBytes};
///
/// #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes)]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// let point = Lock::new(Point { x: 1.0, y: 2.0 })?;
/// point.lock()?.x = 3.0;
/// assert_eq!(*point.lock()?, Point { x: 3.0, y: 2.0 });
/// # Ok::<(), fourfold::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in memory that processes share",
    label = "may have a pointer in it, or bit patterns that are not valid",
    note = "numbers, arrays of them and `()` can; a `#[repr(C)]` struct of them if it derives `zerocopy::FromBytes` and \
            `zerocopy::IntoBytes`",
    note = "any serde type can go through a `process::Queue` or a `process::pipe`"
)]
pub trait Plain: FromBytes + IntoBytes + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: FromBytes + IntoBytes + Send + 'static> Plain for T {}
