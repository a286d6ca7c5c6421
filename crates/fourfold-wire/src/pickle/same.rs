//! Whether two values are the same graph.

use std::collections::{HashMap, HashSet};

use super::{Made, Node, NodeId, Step, Value};

impl PartialEq for Value {
    /// Whether both are the same graph: equal contents, and what is mutable shared in the same places.
    ///
    /// Floats are compared by their bits. `Int` and `Long` of the same number are different.
    fn eq(&self, other: &Value) -> bool {
        let mut compare = Compare { forth: HashMap::new(), back: HashMap::new(), todo: Vec::new() };
        let mut seen = HashSet::new();
        compare.todo.push((self.root, other.root));
        while let Some((a, b)) = compare.todo.pop() {
            if seen.insert((a, b)) && !compare.nodes(&self.nodes, a, &other.nodes, b) {
                return false;
            }
        }
        true
    }
}

struct Compare {
    /// What each mutable node of one value is in the other, and the other way round.
    forth: HashMap<NodeId, NodeId>,
    back: HashMap<NodeId, NodeId>,
    todo: Vec<(NodeId, NodeId)>,
}

impl Compare {
    fn nodes(&mut self, of_a: &[Node], a: NodeId, of_b: &[Node], b: NodeId) -> bool {
        let (node_a, node_b) = (&of_a[a.index()], &of_b[b.index()]);
        if node_a.is_mutable()
            && (*self.forth.entry(a).or_insert(b) != b || *self.back.entry(b).or_insert(a) != a)
        {
            return false;
        }
        match (node_a, node_b) {
            (Node::None, Node::None) => true,
            (Node::Bool(a), Node::Bool(b)) => a == b,
            (Node::Int(a), Node::Int(b)) => a == b,
            (Node::Long(a), Node::Long(b)) => a == b,
            (Node::Float(a), Node::Float(b)) => a.to_bits() == b.to_bits(),
            (Node::Str(a), Node::Str(b)) | (Node::Unicode(a), Node::Unicode(b)) => a == b,
            (Node::ByteStr(a), Node::ByteStr(b))
            | (Node::Bytes(a), Node::Bytes(b))
            | (Node::ByteArray(a), Node::ByteArray(b)) => a == b,
            (Node::Tuple(a), Node::Tuple(b))
            | (Node::List(a), Node::List(b))
            | (Node::Set(a), Node::Set(b))
            | (Node::FrozenSet(a), Node::FrozenSet(b)) => self.items(a, b),
            (Node::Dict(a), Node::Dict(b)) => self.pairs(a, b),
            (Node::Global(a), Node::Global(b)) => a == b,
            (Node::Object(a), Node::Object(b)) => {
                self.made(a.made, b.made)
                    && a.steps.len() == b.steps.len()
                    && a.steps.iter().zip(&b.steps).all(|(a, b)| self.step(a, b))
            }
            _ => false,
        }
    }

    fn items(&mut self, a: &[NodeId], b: &[NodeId]) -> bool {
        self.todo.extend(a.iter().copied().zip(b.iter().copied()));
        a.len() == b.len()
    }

    fn pairs(&mut self, a: &[(NodeId, NodeId)], b: &[(NodeId, NodeId)]) -> bool {
        for (a, b) in a.iter().zip(b) {
            self.todo.extend([(a.0, b.0), (a.1, b.1)]);
        }
        a.len() == b.len()
    }

    fn made(&mut self, a: Made, b: Made) -> bool {
        if std::mem::discriminant(&a) != std::mem::discriminant(&b) {
            return false;
        }
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        a.for_each_part(|id| of_a.push(id));
        b.for_each_part(|id| of_b.push(id));
        self.items(&of_a, &of_b)
    }

    fn step(&mut self, a: &Step, b: &Step) -> bool {
        match (a, b) {
            (Step::Append(a), Step::Append(b)) | (Step::Add(a), Step::Add(b)) => self.items(a, b),
            (Step::SetItems(a), Step::SetItems(b)) => self.pairs(a, b),
            (Step::State(a), Step::State(b)) | (Step::Call(a), Step::Call(b)) => {
                self.items(&[*a], &[*b])
            }
            _ => false,
        }
    }
}
