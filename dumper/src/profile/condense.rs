//! The tree without what would only make a picture of it deep.

use std::collections::HashMap;

use super::model::{IMPORTS, Node};
use super::tally::Weight;
use super::tree::CallTree;
use crate::origin::Origin;

/// How many frames a recursion may go through before it comes back to the same line. Longer ways around are not
/// recursion to a reader: a module that imports a module that imports a third is worth seeing.
const LONGEST_ROUND: usize = 4;

impl<'a> CallTree<'a> {
    /// The same bytes, where a call that comes back to a line just above it is counted in that line's node, and one frame stands for
    /// what runs an import and what that imports in turn. Callstacks a thousand deep become ones that can be drawn.
    pub fn condensed(self) -> CallTree<'a> {
        self.put_together(false)
    }

    /// As [`condensed`](Self::condensed), and all that is allocated while modules are imported counts in the frame of the import.
    pub fn with_imports_as_one(self) -> CallTree<'a> {
        self.put_together(true)
    }

    fn put_together(mut self, imports_are_one: bool) -> CallTree<'a> {
        let charges = self.charges();
        let mut known: HashMap<(u32, u32, u32), u32> = HashMap::new();
        let mut place = vec![0u32; self.nodes.len()];
        // A node never moves to a higher index, so what is kept can take the place of what has been dealt with.
        let mut kept = 1;
        for id in 1..self.nodes.len() {
            let mut node = self.nodes[id];
            let parent = place[node.parent as usize];
            let import = charges[id].import;
            let same = if import == id as u32 {
                (node.function, node.line) = IMPORTS;
                None
            } else if import > 0 && (imports_are_one || self.is_importing(&node)) {
                Some(parent)
            } else {
                self.came_back_to(parent, &node)
            };
            let mut fresh = 0;
            let index = same.unwrap_or_else(|| {
                let new = kept as u32;
                let index = *known.entry((parent, node.function, node.line)).or_insert(new);
                if index == new {
                    self.nodes[kept] = Node { parent, ..node };
                    // Its own may be at this very place, and is added below.
                    fresh = kept;
                    kept += 1;
                }
                index
            });
            place[id] = index;
            let held = self.held[id];
            if fresh > 0 {
                self.held[fresh] = Weight::default();
            }
            self.held[index as usize] += held;
        }
        self.nodes.truncate(kept);
        self.held.truncate(kept);
        self.totals = self.totals_by(self.rank);
        self
    }

    fn is_importing(&self, node: &Node) -> bool {
        let call = self.call(node);
        Origin::of(call.file, call.function) == Origin::Importer
    }

    /// The nearest of the last callers that is the same line of the same function.
    fn came_back_to(&self, parent: u32, node: &Node) -> Option<u32> {
        let mut at = parent;
        for _ in 0..LONGEST_ROUND {
            let caller = self.nodes.get(at as usize).filter(|_| at != 0)?;
            if (caller.function, caller.line) == (node.function, node.line) {
                return Some(at);
            }
            at = caller.parent;
        }
        None
    }
}
