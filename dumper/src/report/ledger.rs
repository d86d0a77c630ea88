//! The ledger in words.

use super::account::Shown;
use crate::allocator::Allocator;
use crate::ledger::{Counts, Entry, Group, Ledger};
use crate::profile::{Moment, Profile};
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
    let rest = units::sum(others.map(|line| line.bytes)) - sum;
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
    if let Some(line) = ledger.largest_unheld() {
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
    let age = |then: u64| format!("{:.1} s before", then.saturating_sub(measured) as f64 / 1e9);
    Some(match (shown.moment, shown.ended_ns) {
        (Moment::OutOfMemory, _) => format!("measured {occasion}"),
        (Moment::Live, Some(ended)) => format!("measured {occasion}, {} the end", age(ended)),
        (Moment::Peak, _) if measured < shown.facts().peak_time_ns => {
            format!("measured {occasion}, {} the peak", age(shown.facts().peak_time_ns))
        }
        _ => format!("measured {occasion}"),
    })
}

/// Nanoseconds since the Unix epoch of a time as run.json has it, `2026-01-31T14:05:09.123+01:00`.
pub(super) fn nanoseconds(time: &str) -> Option<u64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// The ledger of a moment. As long as the job runs, how things are now; and one of another moment says more than none.
pub(super) fn choose(profile: &Profile, moment: Moment, counts: Counts, is_running: bool) -> Ledger {
    let known = profile.measurements();
    let now = known.latest.as_ref().filter(|_| is_running && moment == Moment::Peak);
    let any = known.highest.as_ref().or(known.latest.as_ref());
    match now.or(profile.at(moment).measured()).or(any) {
        Some(measured) => Ledger::measured(measured, counts),
        None => Ledger::unmeasured(&profile.facts, moment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_run_json_has_them() {
        let second = 1_000_000_000;
        assert_eq!(nanoseconds("1970-01-01T00:00:00.000+00:00"), Some(0));
        assert_eq!(nanoseconds("2023-11-14T23:13:20+01:00"), Some(1_700_000_000 * second));
        assert_eq!(
            nanoseconds("2024-02-29T12:00:00.250-05:00"),
            Some(1_709_226_000 * second + second / 4)
        );
        assert_eq!(nanoseconds("2024-02-29T12:00:00Z"), Some(1_709_208_000 * second));
        assert_eq!(nanoseconds("yesterday"), None);
    }
}
