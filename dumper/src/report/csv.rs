//! The call sites of one moment as CSV: all of them, the largest first.

use std::io::{self, Write};

use super::format::{About, Format, Input, Needs};
use crate::outlet::{Cell, Sheet};
use crate::profile::{CallTree, Grown, Tally};

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

/// A row for each call site.
pub(super) struct Csv;

impl Format for Csv {
    fn about(&self) -> About {
        About::new("csv", ".csv", Needs::Moment, "A table of the call sites")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let shown = input.shown()?;
        let grown = shown.profile.at(shown.moment).growth();
        let pid = shown.facts().pid.into();
        write(out, pid, input.tree()?, grown.as_ref(), input.account.directory)
    }
}

/// Writes the table, with a first row of titles. `caller` is the line of the user's own code that a library's line held this for; of what
/// imports hold, the line that imports. What is not known is empty.
fn write(out: &mut dyn Write, pid: u64, tree: &CallTree, grown: Option<&Grown>, directory: &str) -> io::Result<()> {
    let mut table = Sheet::new(out, &TITLES)?;
    let (mut room, mut rest) = (LONGEST, Tally::default());
    for (call, caller, held) in tree.parts_of_sites() {
        room = room.saturating_sub(call.file.len() + call.function.len() + AROUND_NAMES);
        let requested = held.requested;
        if room == 0 {
            rest += requested;
            continue;
        }
        let growth = grown.map(|grown| grown.part(call, caller));
        let caller = caller.map(|caller| caller.short(directory));
        table.put(&[
            Cell::Count(pid),
            Cell::Text(call.file),
            match call.line {
                0 => Cell::Nothing,
                line => Cell::Count(line.into()),
            },
            Cell::Text(call.function),
            Cell::Count(requested.bytes),
            Cell::Count(requested.error()),
            Cell::Count(requested.whole_blocks()),
            caller.as_deref().map_or(Cell::Nothing, Cell::Text),
            growth.map_or(Cell::Nothing, |growth| Cell::Change(growth.bytes)),
            growth.map_or(Cell::Nothing, |growth| Cell::Count(growth.error())),
            held.resident.map_or(Cell::Nothing, Cell::Count),
        ])?;
    }
    if rest.bytes > 0 {
        let mut row = [Cell::Nothing; TITLES.len()];
        row[0] = Cell::Count(pid);
        row[3] = Cell::Text(REST);
        row[4] = Cell::Count(rest.bytes);
        row[5] = Cell::Count(rest.error());
        row[6] = Cell::Count(rest.whole_blocks());
        table.put(&row)?;
    }
    table.finish()
}
