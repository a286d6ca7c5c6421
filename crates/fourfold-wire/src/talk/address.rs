//! Where a manager listens, as tokens say it.

use crate::pickle::{Builder, Error, Node, NodeId, NodeRef};

/// Where a manager listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A host, as name or number, and a port.
    Tcp(String, u16),
    /// The path of a Unix socket, as the bytes that the system has for it.
    Unix(Vec<u8>),
    /// The name of a Unix socket in Linux's abstract namespace, the leading zero byte included.
    Abstract(Vec<u8>),
}

impl Address {
    /// Adds the address to a graph as Python has it: a tuple, a text, or bytes.
    pub(crate) fn build(&self, builder: &mut Builder) -> NodeId {
        match self {
            Address::Tcp(host, port) => {
                let host = builder.str(host);
                let port = builder.push(Node::Int((*port).into()));
                builder.tuple([host, port])
            }
            Address::Unix(path) => match std::str::from_utf8(path) {
                Ok(text) => builder.str(text),
                Err(_) => builder.push(Node::Bytes(path.clone())),
            },
            Address::Abstract(name) => builder.push(Node::Bytes(name.clone())),
        }
    }

    pub(crate) fn read(node: NodeRef<'_>) -> Result<Address, Error> {
        let wrong = || Error::unexpected("an address", node.node().type_name());
        if let (Some(host), Some(port)) = (node.item(0), node.item(1)) {
            let host = host.as_str().ok_or_else(wrong)?.to_owned();
            let port = port.as_i64().and_then(|port| u16::try_from(port).ok()).ok_or_else(wrong)?;
            return Ok(Address::Tcp(host, port));
        }
        let bytes = match node.as_bytes() {
            Some(bytes) => bytes,
            None => node.as_str().ok_or_else(wrong)?.as_bytes(),
        };
        Ok(match bytes {
            [0, ..] => Address::Abstract(bytes.to_vec()),
            _ => Address::Unix(bytes.to_vec()),
        })
    }
}
