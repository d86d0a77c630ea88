//! The tree without what would only make a picture of it deep.

use std::collections::HashMap;

use super::{CallTree, Node};

/// How many frames a recursion may go through before it comes back to the same line. Longer ways around are not
/// recursion to a reader: a module that imports a module that imports a third is worth seeing.
const LONGEST_ROUND: usize = 4;

impl<'a> CallTree<'a> {
    /// The same bytes, where a call that comes back to a line just above it is counted in that line's node, and the
    /// frames of one import in the first of them. Callstacks a thousand deep become ones that can be drawn.
    pub fn condensed(&self) -> CallTree<'a> {
        let mut nodes: Vec<Node> = vec![self.nodes[0]];
        nodes[0].total = nodes[0].own;
        let mut known: HashMap<(u32, u32, u32), u32> = HashMap::new();
        let mut place = vec![0u32; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate().skip(1) {
            let parent = place[node.parent as usize];
            let same = match self.is_importing(node) {
                // Not a recursion even if it comes back: which module imported which would be lost.
                true => Some(parent).filter(|parent| *parent != 0 && self.is_importing(&nodes[*parent as usize])),
                false => came_back_to(&nodes, parent, node),
            };
            let index = same.unwrap_or_else(|| {
                *known.entry((parent, node.function, node.line)).or_insert_with(|| {
                    nodes.push(Node {
                        parent,
                        own: Default::default(),
                        total: Default::default(),
                        ..*node
                    });
                    nodes.len() as u32 - 1
                })
            });
            place[id] = index;
            nodes[index as usize].own += node.own;
            nodes[index as usize].total += node.own;
        }
        let mut tree = CallTree {
            nodes,
            functions: self.functions.clone(),
        };
        tree.add_up();
        tree
    }

    fn is_importing(&self, node: &Node) -> bool {
        self.call(node).file.starts_with("<frozen importlib.")
    }
}

/// The nearest of the last callers that is the same line of the same function.
fn came_back_to(nodes: &[Node], parent: u32, node: &Node) -> Option<u32> {
    let mut at = parent;
    for _ in 0..LONGEST_ROUND {
        let caller = nodes.get(at as usize).filter(|_| at != 0)?;
        if (caller.function, caller.line) == (node.function, node.line) {
            return Some(at);
        }
        at = caller.parent;
    }
    None
}
