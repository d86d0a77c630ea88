//! Which callstacks a text has room for. Each repeats all of its callers, so that a recording of 16 MiB can be ten times as much
//! of them; of so many only the largest are kept.

use std::cmp::Reverse;
use std::io;

use crate::call_tree::{CallTree, Node};
use crate::recording::Tally;

/// What stands for all callstacks that are left out.
pub(super) const REST: &str = "[smaller callstacks]";

/// By node: whether the callstack that ends there is kept, and whether it is in one that is.
pub(super) struct Selection {
    pub(super) kept: Vec<bool>,
    pub(super) on_the_way: Vec<bool>,
}

impl Selection {
    /// All callstacks, or if they were longer than `limit` together, those that hold the most themselves. `length` is that
    /// of one frame.
    pub(super) fn of(tree: &CallTree, limit: u64, length: impl Fn(&Node) -> u64) -> Selection {
        let nodes = tree.nodes();
        let mut lengths = vec![0u32; nodes.len()];
        let mut sum = 0u64;
        for (id, node) in nodes.iter().enumerate().skip(1) {
            let whole = u64::from(lengths[node.parent as usize]) + length(node);
            lengths[id] = u32::try_from(whole).unwrap_or(u32::MAX);
            if node.own.bytes > 0 {
                sum = sum.saturating_add(whole);
            }
        }
        if sum <= limit {
            return Selection {
                kept: vec![true; nodes.len()],
                on_the_way: vec![true; nodes.len()],
            };
        }
        let mut largest: Vec<u32> = (1..nodes.len() as u32)
            .filter(|id| nodes[*id as usize].own.bytes > 0)
            .collect();
        largest.sort_unstable_by_key(|id| (Reverse(nodes[*id as usize].own.bytes), *id));
        let mut kept = vec![false; nodes.len()];
        let mut room = limit;
        for id in largest {
            let Some(left) = room.checked_sub(u64::from(lengths[id as usize])) else {
                break;
            };
            room = left;
            kept[id as usize] = true;
        }
        let mut on_the_way = kept.clone();
        for id in (1..nodes.len()).rev() {
            if on_the_way[id] {
                on_the_way[nodes[id].parent as usize] = true;
            }
        }
        Selection { kept, on_the_way }
    }

    /// Hands out each callstack that is kept and holds anything: its nodes, root first, and what the last of them holds. Returns
    /// what all others hold.
    pub(super) fn each(
        &self,
        tree: &CallTree,
        mut write: impl FnMut(&[Node], Tally) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut stack: Vec<Node> = Vec::new();
        let mut rest = Tally::default();
        for (id, depth, node) in tree.walk() {
            if !self.kept[id] {
                rest += node.own;
            }
            if !self.on_the_way[id] {
                continue;
            }
            stack.truncate(depth - 1);
            stack.push(*node);
            if self.kept[id] && node.own.bytes > 0 {
                write(&stack, node.own)?;
            }
        }
        Ok(rest)
    }
}
