//! Plain values that old protocols write as calls.

use super::{Node, NodeId, Text};

/// What a call makes, where it is one of those by which protocols 0 to 3 write a `bytes`, a
/// `bytearray`, a `set` or a `frozenset`.
///
/// `copies` bounds what is copied from the arguments; a call that exceeds it stays a call, which
/// loses nothing.
pub(super) fn from_call(
    nodes: &[Node],
    callable: NodeId,
    args: NodeId,
    copies: &mut usize,
) -> Option<Node> {
    let Node::Global(global) = &nodes[callable.index()] else { return None };
    let Node::Tuple(args) = &nodes[args.index()] else { return None };
    let arg = |index: usize| args.get(index).map(|id| &nodes[id.index()]);
    let latin1 = |copies: &mut usize| match (arg(0)?, arg(1)?) {
        (Node::Str(text) | Node::Unicode(text), encoding) if is_latin1(encoding) => {
            charge(copies, text.as_bytes().len())?;
            text.to_latin1()
        }
        _ => None,
    };
    match (global.module.as_str(), global.name.as_str()) {
        ("_codecs", "encode") if args.len() == 2 => latin1(copies).map(Node::Bytes),
        ("__builtin__" | "builtins", name) => match (name, args.len()) {
            ("bytes", 0) => Some(Node::Bytes(Vec::new())),
            ("bytearray", 0) => Some(Node::ByteArray(Vec::new())),
            ("bytearray", 1) => match arg(0)? {
                Node::Bytes(bytes) => {
                    charge(copies, bytes.len())?;
                    Some(Node::ByteArray(bytes.clone()))
                }
                _ => None,
            },
            ("bytearray", 2) => latin1(copies).map(Node::ByteArray),
            ("set", 1) => items(arg(0)?, copies).map(Node::Set),
            ("frozenset", 1) => items(arg(0)?, copies).map(Node::FrozenSet),
            _ => None,
        },
        _ => None,
    }
}

fn items(node: &Node, copies: &mut usize) -> Option<Vec<NodeId>> {
    match node {
        Node::List(items) | Node::Tuple(items) => {
            charge(copies, items.len())?;
            Some(items.clone())
        }
        _ => None,
    }
}

fn is_latin1(encoding: &Node) -> bool {
    let name = match encoding {
        Node::Str(text) | Node::Unicode(text) => Text::as_bytes(text),
        Node::ByteStr(bytes) => bytes,
        _ => return false,
    };
    matches!(name, b"latin1" | b"latin-1")
}

fn charge(copies: &mut usize, size: usize) -> Option<()> {
    *copies = copies.checked_sub(size)?;
    Some(())
}
