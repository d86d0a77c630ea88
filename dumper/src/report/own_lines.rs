//! What each line of the user's own files holds, as a table for the terminal: `fil-profile run --text`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::account::{Account, Shown};
use super::line::Line;
use super::site::OwnLine;
use super::words;
use crate::source::Sources;
use crate::units::{self, Bytes, Share};

/// Files that are shown, those that hold the most.
const FILES: usize = 20;
/// Lines that are shown of each.
const LINES: usize = 100;
/// What holds less than this part of the total has no line of its own.
const LEAST: u64 = 2000;

/// The table, of the moment that matters most.
pub(super) fn lines(account: &Account, sources: &mut Sources) -> Vec<Line> {
    let Some(shown) = account.foremost() else {
        return Vec::new();
    };
    let moment = words::moment(shown.moment, account.run);
    let total = shown.ranked();
    let mut table = vec![Line::Plain(format!(
        "{moment} {} were in use; of your own files, with what libraries held for each line:",
        shown.held()
    ))];
    let mut files = by_file(shown);
    let more = files.len().saturating_sub(FILES);
    files.truncate(FILES);
    for (held, lines) in files {
        let Some(first) = lines.first() else { continue };
        let (share, bytes) = (Share::of(held, total), Bytes(held));
        table.push(Line::Plain(format!("{share} {bytes:>10} {}", first.name)));
        let (worth, rest): (Vec<&&OwnLine>, Vec<&&OwnLine>) = lines
            .iter()
            .partition(|line| line.held.bytes.saturating_mul(LEAST) >= total);
        for line in worth.iter().take(LINES) {
            let code = sources.line(&line.file, line.line).unwrap_or_default();
            let (share, bytes) = (Share::of(line.held.bytes, total), Bytes(line.held.bytes));
            let row = format!("{:>6} {share:>8} {bytes:>10}  {code}", line.line);
            table.push(Line::Plain(row.trim_end().to_owned()));
        }
        let left_out = worth.iter().skip(LINES).chain(&rest);
        let left_out = units::sum(left_out.map(|line| line.held.bytes));
        if left_out > 0 {
            let (share, bytes) = (Share::of(left_out, total), Bytes(left_out));
            table.push(Line::Plain(format!(
                "{:>6} {share:>8} {bytes:>10}  in other lines",
                "…"
            )));
        }
    }
    for imports in shown.charged.iter().filter(|charged| charged.is_import) {
        let bytes = Bytes(imports.ranked);
        table.push(Line::Plain(format!(
            "{} {bytes:>10} {}",
            imports.share,
            imports.place()
        )));
    }
    if more > 0 {
        table.push(Line::Plain(format!("and {more} files that hold less")));
    }
    table
}

/// The lines of each file and their sum, the largest first.
fn by_file<'a>(shown: &'a Shown) -> Vec<(u64, Vec<&'a OwnLine>)> {
    let mut files: BTreeMap<&str, (u64, Vec<&'a OwnLine>)> = BTreeMap::new();
    for line in &shown.own_lines {
        let file = files.entry(&line.file).or_default();
        file.0 = file.0.saturating_add(line.held.bytes);
        file.1.push(line);
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort_by_key(|(held, _)| Reverse(*held));
    files
}
