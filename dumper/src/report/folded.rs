//! A call tree as folded stacks: every callstack exactly, `file:line (function);file:line (function) BYTES`.
//!
//! The format has no way to escape its separators. So a `;` within a name becomes `:`, and characters that would end the
//! line are written as in Rust, `\n`.

use std::io::{self, Write};

use crate::call_tree::CallTree;

/// One line for each node that holds anything itself, root first.
pub(super) fn write(out: &mut dyn Write, tree: &CallTree) -> io::Result<()> {
    let mut stack = String::new();
    // Where the names of each depth end in `stack`.
    let mut ends = vec![0];
    for (depth, node) in tree.walk() {
        ends.truncate(depth);
        stack.truncate(ends[depth - 1]);
        if depth > 1 {
            stack.push(';');
        }
        stack.push_str(&tree.call(node).exact().replace(';', ":"));
        ends.push(stack.len());
        if node.own.bytes > 0 {
            writeln!(out, "{stack} {}", node.own.bytes)?;
        }
    }
    Ok(())
}
