//! A call tree as folded stacks: every callstack exactly, `file:line (function);file:line (function) BYTES`.
//!
//! The format has no way to escape its separators. So a `;` within a name becomes `:`, and characters that would end the
//! line are written as in Rust, `\n`.
//!
//! Each line repeats all of its callers: a recording of 16 MiB can be 180 MiB of text. Of so many stacks only the largest are
//! written, and what the others hold is the last line.

use std::io::{self, Write};

use super::format::{About, Format, Input, Needs};
use super::stacks::{REST, Selection};
use crate::outlet::Lines;
use crate::profile::CallTree;

/// About as long a text gets, in bytes.
const LONGEST: u64 = 16 << 20;
/// What a frame has beside its two names: a line number, a space, brackets and the separators.
const AROUND_NAMES: u64 = 12;

/// Callstacks as text.
pub(super) struct Folded;

impl Format for Folded {
    fn about(&self) -> About {
        About::new(
            "folded",
            ".prof",
            Needs::Moment,
            "One line for each callstack, for programs that draw flame graphs",
        )
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        write(out, input.tree()?)
    }
}

/// One line for each node that holds anything itself, root first.
pub(super) fn write(out: &mut dyn Write, tree: &CallTree) -> io::Result<()> {
    let Selection { kept, on_the_way } = Selection::choose(tree, LONGEST, |node| {
        let call = tree.call(node);
        (call.file.len() + call.function.len()) as u64 + AROUND_NAMES
    });
    let mut lines = Lines::new(out);
    let mut stack = String::new();
    // Where the names of each depth end in `stack`.
    let mut ends = vec![0];
    let mut rest = 0u64;
    for (id, depth, node) in tree.walk() {
        let own = tree.own(id).bytes;
        if !kept[id] {
            rest = rest.saturating_add(own);
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
        if kept[id] && own > 0 {
            lines.put(&format!("{stack} {own}"))?;
        }
    }
    match rest {
        0 => Ok(()),
        rest => lines.put(&format!("{REST} {rest}")),
    }
}
