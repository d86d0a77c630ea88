//! A call tree as folded stacks: every callstack exactly, `file:line (function);file:line (function) BYTES`.
//!
//! The format has no way to escape its separators. So a `;` within a name becomes `:`, and characters that would end the
//! line are written as in Rust, `\n`.
//!
//! Each line repeats all of its callers: a recording of 16 MiB can be 180 MiB of text. Of so many stacks only the largest are
//! written, and what the others hold is the last line.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::call_tree::CallTree;

/// About as long a text gets, in bytes.
const LONGEST: u64 = 16 << 20;
/// What a frame has beside its two names: a line number, a space, brackets and the separators.
const AROUND_NAMES: u64 = 12;
/// What stands for all that is left out.
const REST: &str = "[smaller callstacks]";

/// One line for each node that holds anything itself, root first.
pub(super) fn write(out: &mut dyn Write, tree: &CallTree) -> io::Result<()> {
    let Selection { kept, on_the_way } = select(tree);
    let mut stack = String::new();
    // Where the names of each depth end in `stack`.
    let mut ends = vec![0];
    let mut rest = 0u64;
    for (id, depth, node) in tree.walk() {
        if !kept[id] {
            rest = rest.saturating_add(node.own.bytes);
        }
        if !on_the_way[id] {
            continue;
        }
        ends.truncate(depth);
        stack.truncate(ends[depth - 1]);
        if depth > 1 {
            stack.push(';');
        }
        let label = tree.call(node).exact();
        match label.contains(';') {
            true => stack.push_str(&label.replace(';', ":")),
            false => stack.push_str(&label),
        }
        ends.push(stack.len());
        if kept[id] && node.own.bytes > 0 {
            writeln!(out, "{stack} {}", node.own.bytes)?;
        }
    }
    match rest {
        0 => Ok(()),
        rest => writeln!(out, "{REST} {rest}"),
    }
}

/// By node: whether it has a line, and whether it is in one.
struct Selection {
    kept: Vec<bool>,
    on_the_way: Vec<bool>,
}

/// All nodes, or if that were too much text, those that hold the most themselves.
fn select(tree: &CallTree) -> Selection {
    let nodes = tree.nodes();
    let all = || Selection {
        kept: vec![true; nodes.len()],
        on_the_way: vec![true; nodes.len()],
    };
    let mut lengths = vec![0u32; nodes.len()];
    let mut sum = 0u64;
    for (id, node) in nodes.iter().enumerate().skip(1) {
        let call = tree.call(node);
        let own = (call.file.len() + call.function.len()) as u64 + AROUND_NAMES;
        let length = u64::from(lengths[node.parent as usize]) + own;
        lengths[id] = u32::try_from(length).unwrap_or(u32::MAX);
        if node.own.bytes > 0 {
            sum = sum.saturating_add(length);
        }
    }
    if sum <= LONGEST {
        return all();
    }
    let mut largest: Vec<u32> = (1..nodes.len() as u32)
        .filter(|id| nodes[*id as usize].own.bytes > 0)
        .collect();
    largest.sort_unstable_by_key(|id| (Reverse(nodes[*id as usize].own.bytes), *id));
    let mut kept = vec![false; nodes.len()];
    let mut room = LONGEST;
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
