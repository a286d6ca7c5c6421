//! What proxies ask of a manager.

use super::{Arguments, Exception, Token};
use crate::Dialect;
use crate::pickle::{Error, NodeRef, Reader, Value, Writer};

/// A request as it came, to whoever it is.
#[derive(Clone, Debug)]
pub struct Request {
    /// The object that is asked, or the manager itself.
    pub target: Option<String>,
    /// What is asked of it.
    pub function: String,
    /// With what.
    pub arguments: Arguments,
}

/// The call of a method of one of the manager's objects.
#[derive(Clone, Debug)]
pub struct Call {
    /// The object's name in the manager.
    pub target: String,
    /// The method.
    pub method: String,
    /// Its arguments.
    pub arguments: Arguments,
}

/// What can be asked of the manager itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// `dummy`: whether somebody is there.
    Dummy,
    /// `create`: make an object, or find the shared one of that name. The reply is its name and its exposed methods.
    Create {
        /// The name under which the kind of object is registered.
        typeid: String,
        /// What its constructor takes.
        arguments: Arguments,
    },
    /// `incref`: one more proxy for the object.
    Incref(String),
    /// `decref`: one less.
    Decref(String),
    /// `get_methods`: the exposed methods of an object.
    GetMethods(Token),
    /// `debug_info`: a text about all objects.
    DebugInfo,
    /// `number_of_objects`
    NumberOfObjects,
    /// `accept_connection`: from now on calls come on this connection, from a thread of that name.
    Accept(String),
    /// `shutdown`
    Shutdown,
}

impl Request {
    /// Reads a request from its pickle.
    ///
    /// # Errors
    ///
    /// The pickle cannot be read, or is no request.
    pub fn read(reader: &Reader, pickle: &[u8]) -> Result<Request, Error> {
        let value = reader.read(pickle)?;
        let root = value.root();
        let wrong = || Error::unexpected("a request", root.node().type_name());
        let items: Vec<NodeRef<'_>> = root.items().ok_or_else(wrong)?.collect();
        let [target, function, args, kwargs] = items[..] else { return Err(wrong()) };
        let text = |node: NodeRef<'_>| node.as_str().map(str::to_owned).ok_or_else(wrong);
        let target = if target.is_none() { None } else { Some(text(target)?) };
        let function = text(function)?;
        let positional = args.items().ok_or_else(wrong)?.map(NodeRef::id).collect();
        let named = kwargs
            .entries()
            .ok_or_else(wrong)?
            .map(|(key, value)| Ok((text(key)?, value.id())))
            .collect::<Result<_, Error>>()?;
        Ok(Request { target, function, arguments: Arguments { value, positional, named } })
    }

    /// Appends the pickle of a request to `out`.
    ///
    /// # Errors
    ///
    /// An argument cannot be said in this dialect; `out` is then of no more use.
    pub fn write(
        target: Option<&str>,
        function: &str,
        args: &[Value],
        named: &[(&str, Value)],
        dialect: Dialect,
        out: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::with_buffer(dialect, out);
        writer.mark();
        match target {
            Some(target) => writer.native_str(target)?,
            None => writer.none(),
        }
        writer.native_str(function)?;
        writer.mark();
        for arg in args {
            writer.value(arg.root())?;
        }
        writer.tuple();
        writer.mark();
        for (name, value) in named {
            writer.native_str(name)?;
            writer.value(value.root())?;
        }
        writer.dict();
        writer.tuple();
        Ok(writer.finish())
    }

    /// The request as one to the manager itself.
    ///
    /// # Errors
    ///
    /// An exception to answer with: no such function, or other arguments than it takes.
    pub fn into_command(self) -> Result<Command, Exception> {
        let Request { function, mut arguments, .. } = self;
        let text = |arguments: &Arguments, name| -> Result<String, Exception> {
            let [id] = arguments.bind(&function, [name], 1)?;
            let node = arguments.node(id.expect("it is required"));
            node.as_str().map(str::to_owned).ok_or_else(|| {
                let what = format!("{function}() takes text, not {}", node.node().type_name());
                Exception::new("builtins", "TypeError").with(what)
            })
        };
        let none = |command| arguments.bind(&function, [], 0).map(|[]| command);
        match function.as_str() {
            "dummy" => none(Command::Dummy),
            "debug_info" => none(Command::DebugInfo),
            "number_of_objects" => none(Command::NumberOfObjects),
            "shutdown" => none(Command::Shutdown),
            "incref" => text(&arguments, "ident").map(Command::Incref),
            "decref" => text(&arguments, "ident").map(Command::Decref),
            "accept_connection" => text(&arguments, "name").map(Command::Accept),
            "get_methods" => {
                let [id] = arguments.bind(&function, ["token"], 1)?;
                Token::read(arguments.node(id.expect("it is required")))
                    .map(Command::GetMethods)
                    .map_err(|error| {
                        Exception::new("builtins", "TypeError").with(error.to_string())
                    })
            }
            "create" => {
                let typeid = arguments.get(0).and_then(|node| node.as_str()).map(str::to_owned);
                let typeid = typeid.ok_or_else(|| {
                    let what = "create() takes the name of a type first";
                    Exception::new("builtins", "TypeError").with(what)
                })?;
                arguments.positional.remove(0);
                Ok(Command::Create { typeid, arguments })
            }
            other => Err(Exception::new("builtins", "AssertionError")
                .with(format!("'{other}' unrecognized"))),
        }
    }

    /// The request as a call of an object's method; `Err` gives back one to the manager itself.
    ///
    /// # Errors
    ///
    /// It names no object.
    pub fn into_call(self) -> Result<Call, Box<Request>> {
        match self {
            Request { target: Some(target), function: method, arguments } => {
                Ok(Call { target, method, arguments })
            }
            request => Err(Box::new(request)),
        }
    }
}
