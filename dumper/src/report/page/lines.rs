//! What each line of code holds, alone and with what it calls, and for which line of the user's own.

use std::collections::HashMap;

use crate::label::Call;
use crate::profile::{CallTree, Rank, Tally, Weight};

/// One line of one function, with all its callers.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct LineTotals<'a> {
    pub(in crate::report) call: Call<'a>,
    /// What it allocated itself.
    pub(in crate::report) own: Weight,
    /// What it and everything that it called asked for; what a recursion comes back to is counted once.
    pub(in crate::report) total: Tally,
    /// What it holds for the user's purposes, by what the tree is ranked by: what no other line of the user's own code is nearer to.
    pub(in crate::report) caused: u64,
}

/// All lines of a tree, in no order.
pub(in crate::report) fn lines<'a>(tree: &CallTree<'a>) -> Vec<LineTotals<'a>> {
    let mut known: HashMap<(u32, u32), usize> = HashMap::new();
    let mut is_own: HashMap<u32, bool> = HashMap::new();
    let mut lines: Vec<LineTotals> = Vec::new();
    // How often each line is among the callers of where the walk is, and which these are, with the nearest own line.
    let mut active: Vec<u32> = Vec::new();
    let mut callers: Vec<(usize, Option<usize>)> = Vec::new();
    let totals = tree.totals_by(Rank::Requested);
    for (id, depth, node) in tree.walk() {
        while callers.len() >= depth {
            if let Some((line, _)) = callers.pop() {
                active[line] -= 1;
            }
        }
        let line = *known.entry((node.function, node.line)).or_insert_with(|| {
            lines.push(LineTotals {
                call: tree.call(node),
                own: Weight::default(),
                total: Tally::default(),
                caused: 0,
            });
            active.push(0);
            lines.len() - 1
        });
        let call = lines[line].call;
        let is_own = *is_own.entry(node.function).or_insert_with(|| call.is_own());
        let nearest = match is_own {
            true => Some(line),
            false => callers.last().and_then(|(_, nearest)| *nearest),
        };
        lines[line].own += tree.held(id);
        if active[line] == 0 {
            lines[line].total += totals[id];
        }
        if let Some(nearest) = nearest {
            lines[nearest].caused = lines[nearest].caused.saturating_add(tree.own(id).bytes);
        }
        active[line] += 1;
        callers.push((line, nearest));
    }
    lines
}
