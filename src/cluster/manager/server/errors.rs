//! The exceptions that calls end in, worded as Python's own.

use fourfold_wire::talk::Exception;

use crate::words::{ArrayError, ListError};

fn builtin(name: &str, message: impl Into<String>) -> Exception {
    Exception::new("builtins", name).with(message.into())
}

pub(super) fn type_error(message: impl Into<String>) -> Exception {
    builtin("TypeError", message)
}

pub(super) fn value_error(message: impl Into<String>) -> Exception {
    builtin("ValueError", message)
}

pub(super) fn runtime_error(message: impl Into<String>) -> Exception {
    builtin("RuntimeError", message)
}

/// What is asked for takes more memory than one request may take.
pub(super) fn memory_error() -> Exception {
    builtin("MemoryError", "the request takes too much memory")
}

pub(super) fn attribute_error(message: impl Into<String>) -> Exception {
    builtin("AttributeError", message)
}

pub(super) fn no_order() -> Exception {
    type_error("'<' not supported between these items")
}

/// Comparing takes more than a call may take.
pub(super) fn too_large() -> Exception {
    runtime_error("the values are too large, too many or too deep to be compared here")
}

pub(super) fn list_error(error: ListError, what: &str) -> Exception {
    match error {
        ListError::OutOfRange => builtin("IndexError", format!("{what} index out of range")),
        ListError::NotFound => value_error("value is not in list"),
        ListError::NoOrder => no_order(),
        ListError::OtherSize { has, given } => value_error(format!(
            "attempt to assign sequence of size {given} to extended slice of size {has}"
        )),
        ListError::ZeroStep => value_error("slice step cannot be zero"),
        ListError::TooLong => memory_error(),
        ListError::TooLarge => too_large(),
    }
}

pub(super) fn array_error(error: ArrayError) -> Exception {
    match error {
        ArrayError::UnknownType => {
            value_error("bad typecode (must be b, B, u, w, h, H, i, I, l, L, q, Q, f or d)")
        }
        ArrayError::NotWhole => type_error("an integer is required"),
        ArrayError::NotANumber => type_error("must be real number, not str"),
        ArrayError::NotAChar => type_error("array item must be unicode character"),
        ArrayError::OutOfRange => {
            builtin("OverflowError", "number out of range of the array's type")
        }
        ArrayError::Place(error) => list_error(error, "array"),
    }
}
