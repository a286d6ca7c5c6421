//! Values as the keys of dicts and the members of sets: bytes that equal values have in common.

use std::sync::Arc;

use fourfold_wire::Dialect;
use fourfold_wire::pickle::{Node, NodeRef, Parts};

use super::item::{DEPTH, Item, Kind, kind};
use super::mapping::entries;
use super::moment::Moment;
use super::number::counted;

/// What makes two keys of a dict the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(Arc<[u8]>);

/// Why a value is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// It is of a type that cannot be one.
    Unhashable(&'static str),
    /// It is too large or nested too deep, or would be with all that it shares written out.
    TooLarge,
}

/// The key of a value.
pub(super) fn key_of(item: &Item) -> Result<Key, NoKey> {
    Keys::default().of(item)
}

/// The keys of the values of one call. Shared parts are written each time: what that takes beyond the values themselves is
/// bounded for all together.
pub(super) struct Keys {
    left: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Keys { left: KEY_BYTES }
    }
}

impl Keys {
    pub(super) fn of(&mut self, item: &Item) -> Result<Key, NoKey> {
        let own = OVERHEAD * item.root().whole().node_count() + item.root().whole().size();
        let mut writer = KeyWriter::within(item.root(), self.left.saturating_add(own));
        let key = writer.key(item.root())?;
        self.left = self.left.saturating_sub(writer.written().saturating_sub(own));
        Ok(key)
    }
}

/// How many bytes the keys of one call may take beyond their values.
const KEY_BYTES: usize = 64 << 20;

/// What is counted for each part of a key, in bytes.
const OVERHEAD: usize = 32;

/// Writes bytes that are the same for two values if and only if they are equal.
pub(super) struct KeyWriter<'a> {
    parts: Parts<'a>,
    written: usize,
}

impl<'a> KeyWriter<'a> {
    /// For the values that are parts of what this is a part of, up to so many bytes.
    pub(super) fn within(node: NodeRef<'a>, limit: usize) -> KeyWriter<'a> {
        KeyWriter { parts: Parts::new(node.whole(), limit), written: 0 }
    }

    /// How many bytes were written, or more.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    pub(super) fn key(&mut self, node: NodeRef<'_>) -> Result<Key, NoKey> {
        let mut out = Vec::new();
        self.write(node, DEPTH, &mut out)?;
        Ok(Key(out.into()))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), NoKey> {
        self.written += bytes;
        self.parts.charge(bytes).ok_or(NoKey::TooLarge)
    }

    fn write(&mut self, node: NodeRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), NoKey> {
        let depth = depth.checked_sub(1).ok_or(NoKey::TooLarge)?;
        self.charge(OVERHEAD)?;
        match kind(node) {
            Kind::Num(num) => {
                self.charge(num.cost())?;
                num.write_key(out).ok_or(NoKey::TooLarge)?;
            }
            Kind::Bytes(_) if matches!(node.node(), Node::ByteArray(_)) => {
                return Err(NoKey::Unhashable("bytearray"));
            }
            Kind::Text(bytes) => {
                self.charge(bytes.len())?;
                counted(b't', bytes, out);
            }
            Kind::Bytes(bytes) => {
                self.charge(bytes.len())?;
                counted(b'b', bytes, out);
            }
            Kind::Other => self.write_other(node, depth, out)?,
        }
        Ok(())
    }

    fn write_other(
        &mut self,
        node: NodeRef<'_>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), NoKey> {
        match node.node() {
            Node::None => out.push(b'n'),
            Node::Tuple(items) => {
                out.push(b'(');
                out.extend_from_slice(&(items.len() as u64).to_le_bytes());
                for &item in items {
                    self.write(node.at(item), depth, out)?;
                }
            }
            Node::Set(_) => return Err(NoKey::Unhashable("set")),
            Node::FrozenSet(items) => {
                let mut keys = Vec::new();
                for &item in items {
                    let mut one = Vec::new();
                    self.write(node.at(item), depth, &mut one)?;
                    keys.push(one);
                }
                keys.sort();
                keys.dedup();
                out.push(b's');
                out.extend_from_slice(&(keys.len() as u64).to_le_bytes());
                out.extend(keys.into_iter().flatten());
            }
            Node::Global(global) => {
                let (module, name) = global.python3();
                counted(b'g', format!("{module}\0{name}").as_bytes(), out);
            }
            Node::Object(_) if entries(node).is_some() => return Err(NoKey::Unhashable("dict")),
            Node::Object(_) => match Moment::of(node) {
                Some(moment) => {
                    if let Some(zone) = moment.write_key(out) {
                        self.write(zone, depth, out)?;
                    }
                }
                // How the value of an object is compared, only its class would know: the same parts are equal.
                None => {
                    let part = self.parts.take(node.id()).ok_or(NoKey::TooLarge)?;
                    let bytes = part.write(Dialect::Python3);
                    let bytes = bytes.map_err(|_| NoKey::Unhashable("object"))?;
                    self.charge(bytes.len())?;
                    counted(b'o', &bytes, out);
                }
            },
            other => return Err(NoKey::Unhashable(other.type_name())),
        }
        Ok(())
    }
}
