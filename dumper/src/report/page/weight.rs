//! What a node of a tree weighs: as it was asked for, and what of that is in memory.

use crate::call_tree::{CallTree, Node};
use crate::recording::Tally;

/// What a node itself has asked for.
pub(super) fn requested(node: &Node) -> Tally {
    node.requested
}

/// How much of that is in memory; none where that was not measured.
pub(super) fn resident(node: &Node) -> Option<u64> {
    node.resident
}

/// What each node and all that it called have asked for.
pub(super) fn requested_totals(tree: &CallTree) -> Vec<Tally> {
    let mut totals: Vec<Tally> = tree.nodes().iter().map(requested).collect();
    for id in (1..totals.len()).rev() {
        let total = totals[id];
        totals[tree.nodes()[id].parent as usize] += total;
    }
    totals
}
