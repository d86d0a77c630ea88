//! What each line of code holds, alone and with what it calls, and for which line of the user's own.

use std::collections::HashMap;

use crate::label::Call;
use crate::profile::{CallTree, Charge, Rank, Tally, Weight};

/// One line of one function, with all its callers.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct LineTotals<'a> {
    pub(in crate::report) call: Call<'a>,
    /// What it allocated itself.
    pub(in crate::report) own: Weight,
    /// What it and everything that it called asked for; what a recursion comes back to is counted once.
    pub(in crate::report) total: Tally,
    /// What it holds for the user's purposes, by what the tree is ranked by: what no other line of the user's own code and no import is
    /// nearer to.
    pub(in crate::report) caused: u64,
}

/// All lines of a tree, in no order.
pub(in crate::report) fn lines<'a>(tree: &CallTree<'a>) -> Vec<LineTotals<'a>> {
    let mut known: HashMap<(u32, u32), usize> = HashMap::new();
    let charges = tree.charges();
    let mut lines: Vec<LineTotals> = Vec::new();
    // The line of each node that the walk has been at.
    let mut line_of = vec![0; tree.nodes().len()];
    // How often each line is among the callers of where the walk is, and which these are.
    let mut active: Vec<u32> = Vec::new();
    let mut callers: Vec<usize> = Vec::new();
    let totals = tree.totals_by(Rank::Requested);
    for (id, depth, node) in tree.walk() {
        while callers.len() >= depth {
            if let Some(line) = callers.pop() {
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
        line_of[id] = line;
        lines[line].own += tree.held(id);
        if active[line] == 0 {
            lines[line].total += totals[id];
        }
        if let Charge {
            own: own @ 1..,
            import: 0,
            ..
        } = charges[id]
        {
            let caused = &mut lines[line_of[own as usize]].caused;
            *caused = caused.saturating_add(tree.own(id).bytes);
        }
        active[line] += 1;
        callers.push(line);
    }
    lines
}
