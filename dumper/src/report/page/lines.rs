//! What each line of code holds, alone and with what it calls, and for which line of the user's own.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::weight::{requested, requested_totals, resident};
use crate::call_tree::CallTree;
use crate::label::Call;
use crate::recording::Tally;

/// One line of one function, whoever called it.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Line<'a> {
    pub(in crate::report) call: Call<'a>,
    /// What it allocated itself.
    pub(in crate::report) own: Tally,
    /// What it and everything that it called allocated; what a recursion comes back to is counted once.
    pub(in crate::report) total: Tally,
    /// How much of what it allocated itself is in memory, where that was measured.
    pub(in crate::report) resident: Option<u64>,
    /// What it holds for the user's purposes, by what the tree is ranked by: what no other line of the user's own code is nearer to.
    pub(in crate::report) caused: u64,
}

/// All lines of a tree, in no order.
pub(in crate::report) fn lines<'a>(tree: &CallTree<'a>) -> Vec<Line<'a>> {
    let mut known: HashMap<(u32, u32), usize> = HashMap::new();
    let mut is_own: HashMap<u32, bool> = HashMap::new();
    let mut lines: Vec<Line> = Vec::new();
    // How often each line is among the callers of where the walk is, and which these are, with the nearest own line.
    let mut active: Vec<u32> = Vec::new();
    let mut callers: Vec<(usize, Option<usize>)> = Vec::new();
    let totals = requested_totals(tree);
    for (id, depth, node) in tree.walk() {
        while callers.len() >= depth {
            if let Some((line, _)) = callers.pop() {
                active[line] -= 1;
            }
        }
        let line = *known.entry((node.function, node.line)).or_insert_with(|| {
            lines.push(Line {
                call: tree.call(node),
                own: Tally::default(),
                total: Tally::default(),
                resident: None,
                caused: 0,
            });
            active.push(0);
            lines.len() - 1
        });
        let call = lines[line].call;
        let is_own = *is_own
            .entry(node.function)
            .or_insert_with(|| !call.file.is_empty() && !call.file.starts_with('[') && !call.is_library());
        let nearest = match is_own {
            true => Some(line),
            false => callers.last().and_then(|(_, nearest)| *nearest),
        };
        lines[line].own += requested(node);
        if active[line] == 0 {
            lines[line].total += totals[id];
        }
        if let Some(there) = resident(node) {
            lines[line].resident = Some(lines[line].resident.unwrap_or(0).saturating_add(there));
        }
        if let Some(nearest) = nearest {
            lines[nearest].caused = lines[nearest].caused.saturating_add(node.own.bytes);
        }
        active[line] += 1;
        callers.push((line, nearest));
    }
    lines
}

/// The line of the user's own code that holds the most, for itself or through libraries.
pub(in crate::report) fn culprit<'a, 'b>(lines: &'b [Line<'a>]) -> Option<&'b Line<'a>> {
    let largest = lines.iter().max_by_key(|line| (line.caused, Reverse(line.call)));
    largest.filter(|line| line.caused > 0)
}
