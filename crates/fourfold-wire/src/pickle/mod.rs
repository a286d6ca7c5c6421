//! Pickle as data: a graph that is read and written, and never executed.
//!
//! A pickle is a program for a small stack machine. Python runs it, which imports modules and calls
//! what the pickle names. Here it is taken as a description: [`Reader`] turns it into a [`Value`],
//! a graph of [`Node`]s in which globals are names, calls are nodes of their own, and parts that
//! are shared or contain themselves stay so. [`Writer`] writes a value again in the [dialect]
//! of another interpreter, whose `loads` gives an equal object.
//!
//! What is refused is what a message between managers never has: persistent ids, the extension
//! registry, out-of-band buffers. All work is iterative and bounded by [`Limits`].
//!
//! ```
//! use fourfold_wire::{Dialect, pickle::Value};
//!
//! // {"answer": 42} by CPython 2.7, and what CPython 3 would read
//! let value = Value::read(b"\x80\x02}q\x01U\x06answerq\x02K*s.")?;
//! assert_eq!(value.root().get_key("answer").and_then(|node| node.as_i64()), Some(42));
//! assert_eq!(value.write(Dialect::Python3)?, b"\x80\x04}\x8c\x06answerK*s.");
//! # Ok::<(), fourfold_wire::pickle::Error>(())
//! ```
//!
//! [dialect]: crate::Dialect

mod builder;
mod cursor;
#[cfg(feature = "serde")]
mod de;
mod emit;
mod error;
mod globals;
mod graph;
mod literal;
mod long;
mod memo;
mod names;
mod node;
mod opcode;
mod parts;
mod plain;
mod reader;
mod repr;
mod repr_objects;
mod same;
#[cfg(feature = "serde")]
mod ser;
mod stack;
mod text;
mod value;
mod view;
mod writer;

pub use builder::Builder;
#[cfg(feature = "serde")]
pub use de::from_value;
pub use error::{Error, Limited};
pub use globals::Globals;
pub use long::Long;
pub use node::{Global, Made, Node, NodeId, Object, Step};
pub use parts::Parts;
pub use reader::{Limits, Reader};
#[cfg(feature = "serde")]
pub use ser::to_value;
pub use text::Text;
pub use value::Value;
pub use view::NodeRef;
pub use writer::Writer;
