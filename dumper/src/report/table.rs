//! The call sites of one moment as CSV: all of them, the largest first.

use std::io::{self, Write};

use super::account::Shown;
use crate::call_tree::CallTree;

const TITLES: [&str; 11] = [
    "process",
    "file",
    "line",
    "function",
    "bytes",
    "error_bytes",
    "blocks",
    "caller",
    "growth_bytes",
    "growth_error_bytes",
    "resident_bytes",
];

/// Writes the table, with a first row of titles. `caller` is the line of the user's own code that a library's line held the most
/// of this for; what is not known is empty.
pub(super) fn write(out: &mut dyn Write, shown: &Shown, tree: &CallTree, directory: &str) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record(TITLES)?;
    let grown = tree.growth(shown.moment);
    for site in tree.hottest(usize::MAX) {
        let growth = grown.as_ref().map(|grown| grown.of(&site.call));
        let line = match site.call.line {
            0 => String::new(),
            line => line.to_string(),
        };
        let caller = site.on_behalf_of.map(|caller| caller.short(directory));
        table.write_record([
            &*shown.facts.pid.to_string(),
            site.call.file,
            &line,
            site.call.function,
            &site.held.bytes.to_string(),
            &site.held.error().to_string(),
            &site.held.whole_blocks().to_string(),
            &caller.unwrap_or_default(),
            &growth.map(|growth| growth.bytes.to_string()).unwrap_or_default(),
            &growth.map(|growth| growth.error().to_string()).unwrap_or_default(),
            &site.resident.map(|bytes| bytes.to_string()).unwrap_or_default(),
        ])?;
    }
    table.flush()
}
