//! Dicts, and the dicts of `collections`, by their entries.

use fourfold_wire::pickle::{Made, NodeRef, Step};

/// The entries of a dict, or of one of the dicts of `collections`, and whether their order counts where two such
/// are compared. If a key is there more than once, the last one counts.
pub(super) fn entries<'a>(node: NodeRef<'a>) -> Option<(bool, Vec<(NodeRef<'a>, NodeRef<'a>)>)> {
    if let Some(entries) = node.entries() {
        return Some((false, entries.collect()));
    }
    let object = node.as_object()?;
    let name = match node.class()?.python3() {
        ("collections", name @ ("OrderedDict" | "Counter" | "defaultdict")) => name,
        _ => return None,
    };
    let Made::Reduce { .. } = object.made else { return None };
    let args: Vec<NodeRef<'a>> = node.made_with()?.take(2).collect();
    let mut found: Vec<_> = match (name, &args[..]) {
        (_, []) | ("defaultdict", [_]) => Vec::new(),
        ("Counter", [from]) => from.entries()?.collect(),
        // As Python 2 has it: from a list of pairs.
        ("OrderedDict", [from]) => {
            let pair = |pair: NodeRef<'a>| Some((pair.item(0)?, pair.item(1)?));
            from.items()?.map(pair).collect::<Option<_>>()?
        }
        _ => return None,
    };
    for step in &object.steps {
        match step {
            Step::SetItems(pairs) => {
                found.extend(pairs.iter().map(|&(key, value)| (node.at(key), node.at(value))));
            }
            Step::State(_) => {}
            _ => return None,
        }
    }
    Some((name == "OrderedDict", found))
}
