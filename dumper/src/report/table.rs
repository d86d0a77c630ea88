//! The call sites of one moment as CSV: all of them, the largest first.

use std::io::{self, Write};

use super::account::Shown;
use crate::call_tree::CallTree;
use crate::outlet::{Cell, Sheet};
use crate::recording::Tally;

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

/// About as long a table gets, in bytes: of a hundred thousand call sites it is a fifth of that. What the smallest hold that have no
/// room is the last row.
const LONGEST: usize = 64 << 20;
/// What a row has beside file and function, the caller among it.
const AROUND_NAMES: usize = 100;
const REST: &str = "[smaller call sites]";

/// Writes the table, with a first row of titles. `caller` is the line of the user's own code that a library's line held the most
/// of this for; what is not known is empty.
pub(super) fn write(out: &mut dyn Write, shown: &Shown, tree: &CallTree, directory: &str) -> io::Result<()> {
    let mut table = Sheet::new(out, &TITLES)?;
    let grown = tree.growth(shown.moment);
    let (mut room, mut rest) = (LONGEST, Tally::default());
    for site in tree.hottest(usize::MAX) {
        room = room.saturating_sub(site.call.file.len() + site.call.function.len() + AROUND_NAMES);
        if room == 0 {
            rest += site.held;
            continue;
        }
        let growth = grown.as_ref().map(|grown| grown.of(&site.call));
        let caller = site.on_behalf_of.map(|caller| caller.short(directory));
        table.put(&[
            Cell::Count(shown.facts.pid.into()),
            Cell::Text(site.call.file),
            match site.call.line {
                0 => Cell::Nothing,
                line => Cell::Count(line.into()),
            },
            Cell::Text(site.call.function),
            Cell::Count(site.held.bytes),
            Cell::Count(site.held.error()),
            Cell::Count(site.held.whole_blocks()),
            caller.as_deref().map_or(Cell::Nothing, Cell::Text),
            growth.map_or(Cell::Nothing, |growth| Cell::Change(growth.bytes)),
            growth.map_or(Cell::Nothing, |growth| Cell::Count(growth.error())),
            site.resident.map_or(Cell::Nothing, Cell::Count),
        ])?;
    }
    if rest.bytes > 0 {
        let mut row = [Cell::Nothing; TITLES.len()];
        row[0] = Cell::Count(shown.facts.pid.into());
        row[3] = Cell::Text(REST);
        row[4] = Cell::Count(rest.bytes);
        row[5] = Cell::Count(rest.error());
        row[6] = Cell::Count(rest.whole_blocks());
        table.put(&row)?;
    }
    table.finish()
}
