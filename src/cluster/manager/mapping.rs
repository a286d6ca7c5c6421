//! Dicts, and the dicts of `collections`, by their entries.

use fourfold_wire::pickle::NodeRef;

/// The entries of a dict, or of one of the dicts of `collections`, and whether their order counts where two such
/// are compared. If a key is there more than once, the last one counts.
pub(super) fn entries<'a>(node: NodeRef<'a>) -> Option<(bool, Vec<(NodeRef<'a>, NodeRef<'a>)>)> {
    let ordered = ("collections", "OrderedDict");
    let is_ordered = node.class().is_some_and(|class| class.python3() == ordered);
    Some((is_ordered, node.mapping()?))
}
