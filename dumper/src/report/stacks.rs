//! Which callstacks a text has room for. Each repeats all of its callers, so that a recording of 16 MiB can be ten times as much
//! of them; of so many only the largest are kept.

use std::cmp::Reverse;
use std::io;

use crate::profile::prune::{self, Limits};
use crate::profile::{CallTree, Node, Tally};

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
    pub(super) fn choose(tree: &CallTree, limit: u64, length: impl Fn(&Node) -> u64) -> Selection {
        let nodes = tree.nodes();
        let mut lengths = vec![0u32; nodes.len()];
        let mut sum = 0u64;
        for (id, node) in nodes.iter().enumerate().skip(1) {
            let whole = u64::from(lengths[node.parent as usize]) + length(node);
            lengths[id] = u32::try_from(whole).unwrap_or(u32::MAX);
            if tree.own(id).bytes > 0 {
                sum = sum.saturating_add(whole);
            }
        }
        if sum <= limit {
            return Selection {
                kept: vec![true; nodes.len()],
                on_the_way: vec![true; nodes.len()],
            };
        }
        let own = |id: u32| tree.own(id as usize).bytes;
        let holders = (1..nodes.len() as u32).filter(|id| own(*id) > 0).collect();
        let limits = Limits {
            most: usize::MAX,
            room: limit,
        };
        let largest = prune::keep(
            holders,
            limits,
            |id: &u32| (Reverse(own(*id)), *id),
            |id| lengths[*id as usize].into(),
        );
        let kept = prune::flags(nodes.len(), largest);
        let mut on_the_way = kept.clone();
        for id in (1..nodes.len()).rev() {
            if on_the_way[id] {
                on_the_way[nodes[id].parent as usize] = true;
            }
        }
        Selection { kept, on_the_way }
    }

    /// Hands out each callstack that is kept and holds anything: its nodes, root first, and the index of the last. Returns what
    /// all others hold.
    pub(super) fn each(
        &self,
        tree: &CallTree,
        mut write: impl FnMut(&[Node], usize) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut stack: Vec<Node> = Vec::new();
        let mut rest = Tally::default();
        for (id, depth, node) in tree.walk() {
            let own = tree.own(id);
            if !self.kept[id] {
                rest += own;
            }
            if !self.on_the_way[id] {
                continue;
            }
            stack.truncate(depth - 1);
            stack.push(*node);
            if self.kept[id] && own.bytes > 0 {
                write(&stack, id)?;
            }
        }
        Ok(rest)
    }
}
