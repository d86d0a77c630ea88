//! A difference in words.

use super::{About, Diff, SiteChange};
use crate::label::{cut, printable};
use crate::profile::Rank;
use crate::report::words;
use crate::units::{Bytes, Share};

/// Call sites that are listed of each kind.
const LISTED: usize = 10;
/// Columns of a terminal.
const COLUMNS: usize = 80;

pub(super) fn lines(diff: &Diff) -> Vec<String> {
    let mut lines = vec![headline(diff)];
    lines.push(about("old", &diff.old));
    lines.push(about("new", &diff.new));
    let (old, new) = diff.totals();
    let (real, rest): (Vec<&SiteChange>, Vec<&SiteChange>) =
        diff.changes.iter().partition(|change| change.is_real(old.max(new)));
    let (grew, shrank): (Vec<&SiteChange>, Vec<&SiteChange>) = real.iter().partition(|change| change.bytes() > 0);
    list("Grew:", &grew, diff, &mut lines);
    list("Shrank:", &shrank, diff, &mut lines);
    if real.is_empty() {
        lines.push("No call site changed by as much as matters.".to_owned());
    } else if !rest.is_empty() {
        let same = rest.len();
        lines.push(format!(
            "{same} more call {} as before, or so little off that it may be chance.",
            if same == 1 { "site is" } else { "sites are" }
        ));
    }
    lines
}

/// `Peak memory: 1.0 GiB → 1.5 GiB, +512.0 MiB (+50.0 %)`.
pub(super) fn headline(diff: &Diff) -> String {
    let (old, new) = diff.totals();
    let [was, is] = [&diff.old, &diff.new].map(|about| words::with_error(about.total));
    let what = match diff.rank {
        Rank::Requested => "Peak memory",
        Rank::Resident => "Resident at the peak",
    };
    let whole = format!("{what}: {was} → {is}, {}", change(old, new));
    match whole.chars().count() <= COLUMNS {
        true => whole,
        false => format!("{what}: {} → {}, {}", Bytes(old), Bytes(new), change(old, new)),
    }
}

/// `+512.0 MiB (+50.0 %)`, `new`, `gone` or `as before`.
pub(super) fn change(old: u64, new: u64) -> String {
    let sign = if new < old { '-' } else { '+' };
    let by = new.abs_diff(old);
    match (old, new) {
        (old, new) if old == new => "as before".to_owned(),
        (0, _) => "new".to_owned(),
        (_, 0) => "gone".to_owned(),
        _ => format!("{sign}{} ({sign}{})", Bytes(by), Share::of(by, old)),
    }
}

fn about(which: &str, about: &About) -> String {
    let process = match about.command.contains(&about.process) {
        true => String::new(),
        false => format!(" ({})", about.process),
    };
    let started = about.started.get(..19).unwrap_or(&about.started).replace('T', " ");
    let line = format!("{which}: {started}  {}{process}", printable(&about.command));
    cut(&line, COLUMNS).into_owned()
}

fn list(title: &str, changes: &[&SiteChange], diff: &Diff, lines: &mut Vec<String>) {
    if changes.is_empty() {
        return;
    }
    lines.push(title.to_owned());
    for change in changes.iter().take(LISTED) {
        let sign = if change.bytes() < 0 { "-" } else { "+" };
        let by = u64::try_from(change.bytes().unsigned_abs()).unwrap_or(u64::MAX);
        let by = format!("{sign}{}", Bytes(by));
        let both = match (change.old.bytes, change.new.bytes) {
            (0, _) => "new".to_owned(),
            (_, 0) => "gone".to_owned(),
            (old, new) => format!("{} → {}", Bytes(old), Bytes(new)),
        };
        let place = diff.pairs.label(change.key);
        let place = match diff.pairs.pair(change.key).was() {
            Some(was) => format!("{place}, was line {was}"),
            None => place,
        };
        let line = format!("{by:>12}  {place}");
        let whole = format!("{line}  {both}");
        if whole.chars().count() <= COLUMNS {
            lines.push(whole);
        } else {
            lines.push(line);
            lines.push(format!("{:>14}{both}", ""));
        }
    }
    if let Some(more @ 1..) = changes.len().checked_sub(LISTED) {
        let rest = changes[LISTED..].iter().map(|change| change.bytes().unsigned_abs());
        let rest = u64::try_from(rest.sum::<u128>()).unwrap_or(u64::MAX);
        lines.push(format!("{:>12}  in {more} more", Bytes(rest)));
    }
}
