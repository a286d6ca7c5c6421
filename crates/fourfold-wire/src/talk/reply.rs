//! What a manager answers.

use super::{Exception, Token};
use crate::Dialect;
use crate::pickle::{Error, NodeRef, Reader, Value, Writer};

/// What a manager answers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// `#RETURN`: the value of a call.
    Return(Value),
    /// `#ERROR`: a call raised this.
    Error(Exception),
    /// `#TRACEBACK`: the manager itself could not do what it was asked, and says why.
    Traceback(String),
    /// `#UNSERIALIZABLE`: the value of a call could not be pickled.
    Unserializable(String),
    /// `#PROXY`: the value of a call stays with the manager, as a new object with one reference to give back.
    Proxy {
        /// The methods that can be called.
        exposed: Vec<String>,
        /// The new object.
        token: Token,
    },
}

impl Reply {
    /// `#RETURN` of `None`.
    #[must_use]
    pub fn none() -> Reply {
        Reply::Return(Value::none())
    }

    /// Appends the pickle of the reply to `out`.
    ///
    /// # Errors
    ///
    /// The value cannot be said in this dialect; `out` is then of no more use.
    pub fn write(&self, dialect: Dialect, out: Vec<u8>) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::with_buffer(dialect, out);
        match self {
            Reply::Return(value) => {
                writer.native_str("#RETURN")?;
                writer.value(value.root())?;
            }
            Reply::Error(exception) => {
                writer.native_str("#ERROR")?;
                writer.value(exception.value())?;
            }
            Reply::Traceback(text) => {
                writer.native_str("#TRACEBACK")?;
                writer.native_str(text)?;
            }
            Reply::Unserializable(text) => {
                writer.native_str("#UNSERIALIZABLE")?;
                writer.native_str(text)?;
            }
            Reply::Proxy { exposed, token } => {
                writer.native_str("#PROXY")?;
                let names = Value::tuple(exposed.iter().map(|name| Value::from(name.as_str())));
                writer.value(names.root())?;
                writer.value(token.to_value().root())?;
                writer.tuple2();
            }
        }
        writer.tuple2();
        Ok(writer.finish())
    }

    /// Appends the pickle of a `#RETURN` to `out`, as [`write`](Reply::write) does.
    pub(super) fn write_return(
        value: NodeRef<'_>,
        dialect: Dialect,
        out: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::with_buffer(dialect, out);
        writer.native_str("#RETURN")?;
        writer.value(value)?;
        writer.tuple2();
        Ok(writer.finish())
    }

    /// Reads a reply from its pickle.
    ///
    /// # Errors
    ///
    /// The pickle cannot be read, or is no reply.
    pub fn read(reader: &Reader, pickle: &[u8]) -> Result<Reply, Error> {
        let value = reader.read(pickle)?;
        let root = value.root();
        let wrong = || Error::unexpected("a reply", root.node().type_name());
        let items: Vec<NodeRef<'_>> = root.items().ok_or_else(wrong)?.collect();
        let [kind, result] = items[..] else { return Err(wrong()) };
        let text = || result.as_str().map(str::to_owned).ok_or_else(wrong);
        match kind.as_str() {
            Some("#RETURN") => {
                let id = result.id();
                Ok(Reply::Return(value.into_part(id)))
            }
            Some("#ERROR") => Exception::read(result).map(Reply::Error),
            Some("#TRACEBACK") => text().map(Reply::Traceback),
            Some("#UNSERIALIZABLE") => text().map(Reply::Unserializable),
            Some("#PROXY") => {
                let (names, token) = (result.item(0), result.item(1));
                let names = names.and_then(NodeRef::items).ok_or_else(wrong)?;
                let exposed = names
                    .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
                    .collect::<Result<_, Error>>()?;
                let token = Token::read(token.ok_or_else(wrong)?)?;
                Ok(Reply::Proxy { exposed, token })
            }
            _ => Err(wrong()),
        }
    }
}
