//! An exception of Python, as data.

use std::fmt;

use crate::Peer;
use crate::pickle::{Builder, Error, Global, Made, NodeId, NodeRef, Value};

/// An exception of Python: its class and arguments. It is never raised here.
///
/// # Examples
///
/// ```
/// use fourfold_wire::talk::Exception;
///
/// let error = Exception::new("builtins", "ValueError").with("too many");
/// assert_eq!(error.to_string(), "ValueError: too many");
/// assert!(Exception::read(error.to_value().root())?.is("builtins", "ValueError"));
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    module: String,
    name: String,
    value: Value,
    /// What a peer gets that does not have this class.
    before_313: Option<Box<Exception>>,
}

impl Exception {
    /// An exception without arguments, by its class's module and name in Python 3.
    #[must_use]
    pub fn new(module: &str, name: &str) -> Exception {
        Exception::of(module, name, Vec::new())
    }

    fn of(module: &str, name: &str, args: Vec<Value>) -> Exception {
        let mut builder = Builder::new();
        let callable = builder.global(module, name);
        let args: Vec<NodeId> = args.into_iter().map(|arg| builder.value(arg)).collect();
        let args = builder.tuple(args);
        let root = builder.object(Made::Reduce { callable, args });
        let value = builder.finish(root);
        Exception { module: module.to_owned(), name: name.to_owned(), value, before_313: None }
    }

    /// With one more argument, mostly the message.
    #[must_use]
    pub fn with(self, argument: impl Into<Value>) -> Exception {
        let mut args: Vec<Value> = self
            .value
            .root()
            .made_with()
            .map_or_else(Vec::new, |args| args.map(NodeRef::to_value).collect());
        args.push(argument.into());
        Exception { before_313: self.before_313, ..Exception::of(&self.module, &self.name, args) }
    }

    /// With what a [`Server`](super::Server) sends in its place to a peer that is known to be older than CPython 3.13, and so does
    /// not have this class: `queue.ShutDown`.
    #[must_use]
    pub fn before_313(self, instead: Exception) -> Exception {
        Exception { before_313: Some(Box::new(instead)), ..self }
    }

    /// What this peer gets in its place.
    pub(super) fn instead_for(&self, peer: Peer) -> Option<&Exception> {
        self.before_313.as_deref().filter(|_| peer.is_before_313())
    }

    /// An exception that a peer sent.
    ///
    /// # Errors
    ///
    /// The value is no object of a named class.
    pub fn read(node: NodeRef<'_>) -> Result<Exception, Error> {
        let wrong = || Error::unexpected("an exception", node.node().type_name());
        // Python's own `raise` takes a class for an instance without arguments.
        let global: &Global = node.class().or(node.as_global()).ok_or_else(wrong)?;
        let (module, name) = global.python3();
        let (module, name) = (module.to_owned(), name.to_owned());
        Ok(Exception { module, name, value: node.to_value(), before_313: None })
    }

    /// Whether it is of that class, by its names in Python 3. Its bases are not known here.
    #[must_use]
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }

    /// The class's module in Python 3.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The class's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first argument where it is text: the message of most exceptions.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.value.root().made_with()?.next()?.as_str()
    }

    /// The exception as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.value.clone()
    }

    pub(crate) fn value(&self) -> NodeRef<'_> {
        self.value.root()
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module.as_str() {
            "builtins" => f.write_str(&self.name)?,
            module => write!(f, "{module}.{}", self.name)?,
        }
        match self.message() {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Exception {}
