//! The arguments of a call, and how they are bound to parameters.

use super::{Exception, Token};
use crate::pickle::{Builder, NodeId, NodeRef, Value};

/// The arguments of a call: some by position, some by name.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub(super) value: Value,
    pub(super) positional: Vec<NodeId>,
    pub(super) named: Vec<(String, NodeId)>,
}

impl Arguments {
    /// The number of arguments by position.
    #[must_use]
    pub fn len(&self) -> usize {
        self.positional.len()
    }

    /// Whether there is no argument at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.named.is_empty()
    }

    /// An argument by its position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<NodeRef<'_>> {
        self.positional.get(index).map(|&id| self.value.node(id))
    }

    /// The arguments by position.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.positional.iter().map(|&id| self.value.node(id))
    }

    /// The arguments by name.
    pub fn named(&self) -> impl ExactSizeIterator<Item = (&str, NodeRef<'_>)> {
        self.named.iter().map(|(name, id)| (name.as_str(), self.value.node(*id)))
    }

    /// All that the arguments are made of, for looking through it.
    pub fn roots(&self) -> impl Iterator<Item = NodeRef<'_>> {
        self.iter().chain(self.named().map(|(_, node)| node))
    }

    /// The identities of all objects of managers that the arguments name, as the proxies among them do.
    #[must_use]
    pub fn identities(&self) -> Vec<String> {
        // Mostly there are none, and that is cheap to find out.
        if !self.value.names_module(super::token::MODULE) {
            return Vec::new();
        }
        Token::identities(self.value.root())
    }

    /// Binds the arguments to parameters by their names, in the order of their positions; the first `required` of
    /// them have no default.
    ///
    /// # Errors
    ///
    /// The `TypeError` that Python would raise: too many, too few, an unknown name, one given twice.
    pub fn bind<const N: usize>(
        &self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<NodeId>; N], Exception> {
        let wrong = |what: String| Exception::new("builtins", "TypeError").with(what);
        if self.positional.len() > N {
            let given = self.positional.len();
            return Err(wrong(format!("{function}() takes at most {N} arguments ({given} given)")));
        }
        let mut bound = [None; N];
        for (slot, &id) in bound.iter_mut().zip(&self.positional) {
            *slot = Some(id);
        }
        for (name, id) in &self.named {
            let Some(at) = names.iter().position(|known| known == name) else {
                let what = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(wrong(what));
            };
            if bound[at].replace(*id).is_some() {
                let what = format!("{function}() got multiple values for argument '{name}'");
                return Err(wrong(what));
            }
        }
        match bound[..required].iter().position(Option::is_none) {
            None => Ok(bound),
            Some(at) => {
                let name = names[at];
                Err(wrong(format!("{function}() missing required argument: '{name}'")))
            }
        }
    }

    /// A bound argument.
    #[must_use]
    pub fn node(&self, id: NodeId) -> NodeRef<'_> {
        self.value.node(id)
    }

    /// Puts a value in the place of an argument by position.
    pub fn replace(&mut self, index: usize, value: Value) {
        let Some(slot) = self.positional.get_mut(index) else { return };
        let nodes = std::mem::take(&mut self.value.nodes);
        let root = self.value.root;
        let mut builder = Builder { nodes };
        *slot = builder.value(value);
        self.value = builder.finish(root);
    }

    /// One argument as a value of its own, the others dropped.
    #[must_use]
    pub fn into_value(self, id: NodeId) -> Value {
        self.value.into_part(id)
    }
}
