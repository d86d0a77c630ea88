//! The ledger in words.

use super::account::Shown;
use crate::allocator::Allocator;
use crate::ledger::{Counts, Entry, Group, Ledger};
use crate::profile::Moment;
use crate::units::{self, Bytes, Share};

/// Lines that are named, beside what the call sites hold.
const NAMED: usize = 6;
/// What is less than this part of the total is not.
const SMALL: u64 = 100;

/// What the limit counts, and who has it, in a sentence or two; nothing where it was not measured.
pub(super) fn sentences(shown: &Shown) -> Vec<String> {
    let ledger = &shown.ledger;
    let (Some(total), Some(explained)) = (ledger.total, ledger.explained()) else {
        return Vec::new();
    };
    let counted = match ledger.counts {
        Counts::Resident => "In memory",
        Counts::AddressSpace => "Address space",
    };
    let held = ledger.held();
    let mut text = format!("{counted}: {} = {} held by call sites", Bytes(total), Bytes(held));
    let others = ledger.lines.iter().filter(|line| line.group != Group::Held);
    let named: Vec<&Entry> = others
        .clone()
        .filter(|line| line.bytes >= total / SMALL)
        .take(NAMED)
        .collect();
    for line in &named {
        text += &format!(" + {} {}", Bytes(line.bytes), line.what);
    }
    let sum = units::sum(named.iter().map(|line| line.bytes));
    let rest = units::sum(others.map(|line| line.bytes)).saturating_sub(sum);
    if rest > 0 {
        text += &format!(" + {} other", Bytes(rest));
    }
    let sign = if ledger.unexplained < 0 { '−' } else { '+' };
    let unexplained = Bytes(ledger.unexplained.unsigned_abs());
    let explained = Share::of((explained * 1e6) as u64, 1_000_000);
    text += &format!(" {sign} {unexplained} unexplained: {explained} explained");
    if let Some(when) = when(shown) {
        text += &format!(" ({when})");
    }
    let mut sentences = vec![text];
    // Of another moment it may be what the program has just freed.
    if let Some(line) = ledger.largest_unheld().filter(|_| shown.is_measured()) {
        let share = Share::of(line.bytes, total);
        let hint = match line.group {
            Group::Slack => ". It is no object's, but between objects that are",
            _ => "",
        };
        sentences.push(format!("{share} of that is {}{hint}.", line.what));
    }
    sentences.extend(apart(ledger, false));
    sentences.extend(ledger.allocators.iter().map(Allocator::sentence));
    sentences
}

/// `Beside that: 16.0 MiB in swap.`, or `Of that: …` for what the total has: what is not small of either.
pub(super) fn apart(ledger: &Ledger, is_counted: bool) -> Option<String> {
    let least = ledger.total? / SMALL;
    let sorts = ledger.apart.iter();
    let sorts = sorts.filter(|sort| sort.is_counted == is_counted && sort.bytes > least);
    let named: Vec<_> = sorts
        .map(|sort| format!("{} {}", Bytes(sort.bytes), sort.what))
        .collect();
    let begin = if is_counted { "Of that" } else { "Beside that" };
    (!named.is_empty()).then(|| format!("{begin}: {}.", named.join(", ")))
}

/// How old the measurement is.
pub(super) fn when(shown: &Shown) -> Option<String> {
    let ledger = &shown.ledger;
    let measured = ledger.time_ns?;
    let occasion = ledger.occasion.as_deref().unwrap_or_default();
    let peak = shown.facts().peak_time_ns;
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
    let failed = shown.facts().failure.as_ref().map(|failure| failure.time_ns);
    let mut when = match (shown.moment, shown.ended_ns) {
        (Moment::OutOfMemory, _) if !shown.is_measured() => match failed.unwrap_or(0) {
            failed if measured < failed => {
                format!(
                    "measured {occasion}, {:.1} s before that moment",
                    seconds(measured, failed)
                )
            }
            failed => format!(
                "measured {occasion}, {:.1} s after that moment",
                seconds(failed, measured)
            ),
        },
        (Moment::Live, Some(ended)) => format!("measured {occasion}, {:.1} s before the end", seconds(measured, ended)),
        (Moment::Peak, _) if measured < peak => {
            format!("measured {occasion}, {:.1} s before the peak", seconds(measured, peak))
        }
        (Moment::Peak, _) if !shown.is_measured() => {
            format!("measured {occasion}, {:.1} s after the peak", seconds(peak, measured))
        }
        _ => format!("measured {occasion}"),
    };
    if ledger.added > 0 {
        when += &format!("; {} became resident after that", Bytes(ledger.added));
    }
    Some(when)
}
