//! Source files with bytes in the margin.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lines::LineTotals;
use crate::source::Sources;
use crate::units::{self, Bytes, Share};

/// Files that are listed, those that hold the most.
const FILES: usize = 12;
/// Lines of one file that are marked, those that hold the most.
const MARKED: usize = 60;
/// Lines that are shown around one that holds memory.
const AROUND: u32 = 3;
/// Lines below one part in this many of the total are not marked.
const SMALL: u64 = 2000;

/// Some of a file's lines.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Listing {
    pub(in crate::report) file: String,
    /// What its lines are the nearest cause of.
    pub(in crate::report) bytes: String,
    pub(in crate::report) share: String,
    pub(in crate::report) rows: Vec<Row>,
}

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Row {
    pub(in crate::report) number: u32,
    pub(in crate::report) code: String,
    /// What it and what it called hold; empty for next to nothing.
    pub(in crate::report) total: String,
    /// What of that it allocated itself.
    pub(in crate::report) own: String,
    /// The total as a part of everything, in percent.
    pub(in crate::report) percent: u32,
    /// Whether lines have been left out before it.
    pub(in crate::report) follows_gap: bool,
}

#[derive(Clone, Copy, Default)]
struct LineBytes {
    own: u64,
    total: u64,
    caused: u64,
}

/// The files of the user's own code whose text can be had, the largest first. `all` is what everything holds.
pub(in crate::report) fn listings(
    lines: &[LineTotals],
    all: u64,
    sources: &mut Sources,
    directory: &str,
) -> Vec<Listing> {
    let mut files: BTreeMap<&str, BTreeMap<u32, LineBytes>> = BTreeMap::new();
    let mut short = BTreeMap::new();
    for line in lines.iter().filter(|line| is_listed(line)) {
        let held = files
            .entry(line.call.file)
            .or_default()
            .entry(line.call.line)
            .or_default();
        // A line that makes two functions is one line.
        held.own = held.own.saturating_add(line.own.requested.bytes);
        held.total = held.total.max(line.total.bytes);
        held.caused = held.caused.saturating_add(line.caused);
        short
            .entry(line.call.file)
            .or_insert_with(|| line.call.short_file(directory).into_owned());
    }
    let mut order: Vec<(u64, &str)> = files
        .iter()
        .map(|(file, lines)| (units::sum(lines.values().map(|held| held.caused)), *file))
        .collect();
    order.sort_by_key(|(bytes, file)| (Reverse(*bytes), *file));
    let listings = order.into_iter().filter(|(bytes, _)| *bytes > all / SMALL);
    let listings = listings.filter_map(|(bytes, file)| {
        let rows = rows(file, &files[file], all, sources);
        (!rows.is_empty()).then(|| Listing {
            file: short[file].clone(),
            bytes: Bytes(bytes).to_string(),
            share: Share::of(bytes, all).to_string(),
            rows,
        })
    });
    listings.take(FILES).collect()
}

fn is_listed(line: &LineTotals) -> bool {
    !line.call.file.is_empty() && line.call.line > 0 && !line.call.is_library()
}

fn rows(file: &str, held: &BTreeMap<u32, LineBytes>, all: u64, sources: &mut Sources) -> Vec<Row> {
    let mut marked: Vec<(u64, u32)> = held
        .iter()
        .filter(|(_, held)| held.total > all / SMALL)
        .map(|(line, held)| (held.total, *line))
        .collect();
    marked.sort_by_key(|(bytes, line)| (Reverse(*bytes), *line));
    marked.truncate(MARKED);
    let mut wanted: Vec<u32> = marked
        .iter()
        .flat_map(|(_, line)| line.saturating_sub(AROUND).max(1)..=line.saturating_add(AROUND))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut rows: Vec<Row> = Vec::new();
    for number in wanted {
        let Some(code) = sources.row(file, number) else {
            continue;
        };
        let is_marked = marked.iter().any(|(_, line)| *line == number);
        let held = held.get(&number).copied().filter(|_| is_marked).unwrap_or_default();
        let shown = |bytes: u64| match bytes {
            0 => String::new(),
            bytes => Bytes(bytes).to_string(),
        };
        rows.push(Row {
            number,
            code,
            total: shown(held.total),
            own: shown(held.own),
            percent: (Share::of(held.total, all).fraction() * 100.0).round() as u32,
            follows_gap: rows.last().is_some_and(|last| last.number + 1 < number),
        });
    }
    rows
}
