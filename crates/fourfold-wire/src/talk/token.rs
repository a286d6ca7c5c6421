//! The name of one object of one manager, as proxies carry it.

use super::Address;
use crate::pickle::{Builder, Error, Made, NodeId, NodeRef, Value};

/// The name of one object of one manager.
///
/// # Examples
///
/// ```
/// use fourfold_wire::talk::{Address, Token};
///
/// let address = Address::Tcp("127.0.0.1".into(), 5000);
/// let token = Token { typeid: "Queue".into(), address, id: "7f63f01c1a90".into() };
/// assert_eq!(Token::read(token.to_value().root())?, token);
/// # Ok::<(), fourfold_wire::pickle::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The name under which the manager registered the kind of object.
    pub typeid: String,
    /// Where the manager listens.
    pub address: Address,
    /// The object's name in the manager.
    pub id: String,
}

pub(super) const MODULE: &str = "multiprocessing.managers";

impl Token {
    /// The token as a value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut builder = Builder::new();
        let root = self.build(&mut builder);
        builder.finish(root)
    }

    pub(crate) fn build(&self, builder: &mut Builder) -> NodeId {
        let class = builder.global(MODULE, "Token");
        let args = builder.tuple([]);
        let token = builder.object(Made::New { class, args });
        let typeid = builder.str(&self.typeid);
        let address = self.address.build(builder);
        let id = builder.str(&self.id);
        let state = builder.tuple([typeid, address, id]);
        builder.set_state(token, state).expect("it was just made as an object");
        token
    }

    /// Reads a token from a value.
    ///
    /// # Errors
    ///
    /// The value is something else.
    pub fn read(node: NodeRef<'_>) -> Result<Token, Error> {
        let wrong = || Error::unexpected("a token", node.node().type_name());
        let class = node.class().ok_or_else(wrong)?;
        if class.python3() != (MODULE, "Token") {
            return Err(wrong());
        }
        let state = node.state().ok_or_else(wrong)?;
        let part = |index| state.item(index).ok_or_else(wrong);
        let text = |index| Ok(part(index)?.as_str().ok_or_else(wrong)?.to_owned());
        Ok(Token { typeid: text(0)?, address: Address::read(part(1)?)?, id: text(2)? })
    }

    /// The token of a proxy that was itself sent.
    #[must_use]
    pub fn of_proxy(node: NodeRef<'_>) -> Option<Token> {
        if node.class()?.python3() != (MODULE, "RebuildProxy") {
            return None;
        }
        Token::read(node.made_with()?.nth(1)?).ok()
    }

    /// The identities of all objects that tokens within a value name.
    ///
    /// Proxies that are put into a queue or a dict keep what they stand for alive; this says what that is.
    pub(super) fn identities(value: NodeRef<'_>) -> Vec<String> {
        value.all_parts().filter_map(|node| Token::read(node).ok()).map(|token| token.id).collect()
    }
}
