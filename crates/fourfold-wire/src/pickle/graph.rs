//! Walks over a graph of nodes, without recursion.

use super::{Node, NodeId};

/// Visits each node that can be reached from `root` once, with how deep it lies where it is met first.
pub(crate) fn walk<E>(
    nodes: &[Node],
    root: NodeId,
    mut visit: impl FnMut(NodeId, usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut seen = vec![false; nodes.len()];
    let mut todo = vec![(root, 1)];
    while let Some((id, depth)) = todo.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        visit(id, depth)?;
        nodes[id.index()].for_each_part(|part| {
            if !seen[part.index()] {
                todo.push((part, depth + 1));
            }
        });
    }
    Ok(())
}

/// What a writer wants to know of a graph before it starts.
pub(crate) struct References {
    /// How often each node is referred to, where 2 means twice or more.
    pub(crate) counts: Vec<u8>,
    /// The number of references.
    pub(crate) edges: usize,
    /// Whether a node contains itself.
    pub(crate) cyclic: bool,
}

pub(crate) fn references(nodes: &[Node], root: NodeId) -> References {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        /// Its parts are being visited: what refers to it now is one of them.
        Open,
        Done,
    }
    let mut states = vec![State::New; nodes.len()];
    let mut found = References { counts: vec![0; nodes.len()], edges: 1, cyclic: false };
    found.counts[root.index()] = 1;
    // Nodes to visit, and nodes whose parts were visited.
    let mut todo = vec![(root, false)];
    while let Some((id, parts_are_done)) = todo.pop() {
        if parts_are_done {
            states[id.index()] = State::Done;
            continue;
        }
        if states[id.index()] != State::New {
            continue;
        }
        states[id.index()] = State::Open;
        todo.push((id, true));
        nodes[id.index()].for_each_part(|part| {
            found.edges += 1;
            let count = &mut found.counts[part.index()];
            *count = (*count + 1).min(2);
            match states[part.index()] {
                State::New => todo.push((part, false)),
                State::Open => found.cyclic = true,
                State::Done => {}
            }
        });
    }
    found
}

/// Which nodes can be reached from `root`, and the number of each when only those are kept.
pub(crate) fn part(nodes: &[Node], root: NodeId) -> (Vec<bool>, Vec<u32>) {
    let mut keep = vec![false; nodes.len()];
    let done: Result<(), std::convert::Infallible> = walk(nodes, root, |id, _| {
        keep[id.index()] = true;
        Ok(())
    });
    match done {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let mut next = 0;
    let numbers = keep
        .iter()
        .map(|&kept| {
            let number = next;
            next += u32::from(kept);
            number
        })
        .collect();
    (keep, numbers)
}
