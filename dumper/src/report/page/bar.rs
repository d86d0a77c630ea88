//! What the memory was made of: parts that add up to a whole.

use std::cmp::Reverse;

use super::chart;
use crate::allocator::Allocator;
use crate::ledger::{Counts, Group};
use crate::outcome::LimitKind;
use crate::profile::{Moment, State};
use crate::report::account::Account;
use crate::report::{choice, ledger};
use crate::timeline::Sample;
use crate::units::{self, Bytes};

/// Width of the bar, in its own units.
const WIDTH: f64 = 1000.0;
/// Seconds from a moment within which a sample is of it.
const NEAR: f64 = 0.5;
/// What is in no other part, and cannot be told apart.
const REST: &str =
    "everything else: the interpreter and libraries, stacks, what allocators keep free, the kernel's share";
/// The same of addresses.
const REST_OF_ADDRESSES: &str =
    "everything else: code and libraries, stacks, what allocators keep free, and what was left";

/// A whole and its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    /// What the whole is, in words.
    pub(super) of: String,
    pub(super) whole: u64,
    /// They add up to the whole.
    pub(super) parts: Vec<Part>,
    /// What is to be said of pages of some sorts, of allocators, and of a sum that is larger than the whole.
    pub(super) note: String,
}

/// A part, and where it is in the bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) class: &'static str,
    pub(super) begin: f64,
    pub(super) width: f64,
}

impl Part {
    pub(super) fn shown(&self) -> String {
        Bytes(self.bytes).to_string()
    }

    /// `81.8 %` of the bar.
    pub(super) fn share(&self) -> String {
        format!("{:.1} %", self.width / WIDTH * 100.0)
    }
}

impl Bar {
    pub(super) fn shown_whole(&self) -> String {
        Bytes(self.whole).to_string()
    }

    /// Of the moment that the report is about; none where no whole is known for it.
    pub(super) fn of(account: &Account) -> Option<Bar> {
        let timeline = account.timeline;
        let shown = account.foremost()?;
        if let Some(total) = shown.ledger.total {
            let lines = shown.ledger.lines.iter();
            let parts = lines.map(|line| (line.what.to_owned(), line.bytes, class(line.group)));
            let of = match shown.ledger.counts {
                Counts::Resident => "what was in memory",
                Counts::AddressSpace => "the address space in use",
            };
            let of = &match ledger::when(shown) {
                Some(when) => format!("{of}, {when}"),
                None => of.to_owned(),
            };
            let mut whole = Bar::add_up(of, total, parts.collect(), "not explained");
            let apart = [true, false]
                .into_iter()
                .filter_map(|is_counted| ledger::apart(&shown.ledger, is_counted));
            let known = apart.chain(shown.ledger.allocators.iter().map(Allocator::sentence));
            let notes: Vec<String> = known.chain([whole.note]).filter(|note| !note.is_empty()).collect();
            whole.note = notes.join(" ");
            return Some(whole);
        }
        let tracked = shown.weight.requested.bytes;
        let process = |process: &crate::Process| format!("allocated by {}", process.who());
        let mut parts = vec![(process(shown.process), tracked, "tracked")];
        let limit = account.judged().and_then(|outcome| outcome.limit.as_ref());
        let of_group = limit.filter(|limit| matches!(limit.kind, LimitKind::CgroupV1 | LimitKind::CgroupV2));
        let of_addresses = limit.filter(|limit| limit.kind == LimitKind::AddressSpace);
        let mut own = shown.facts().own_bytes;
        let (of, whole) = match (shown.moment, of_group, of_addresses) {
            (Moment::Live, Some(_), _) => {
                let last = timeline.iter().rev().find(|sample| sample.resident_bytes > 0)?;
                (
                    "what the cgroup had in use when that was last looked at",
                    last.cgroup_bytes?,
                )
            }
            (Moment::OutOfMemory, _, Some(addresses)) => {
                // Address space is of one process, and the stash counts.
                own = own.saturating_add(shown.facts().stash_bytes);
                parts.push(("fil-profile itself".into(), own, "ours"));
                let of = "the address space that one process may have (ulimit -v)";
                return Some(Bar::add_up(of, addresses.bytes, parts, REST_OF_ADDRESSES));
            }
            _ => {
                let time = match shown.moment {
                    Moment::Peak => shown.facts().peak_time_ns,
                    Moment::OutOfMemory => shown.facts().failure.as_ref()?.time_ns,
                    Moment::Live => u64::MAX,
                };
                let sample = sample_at(account, timeline, time, tracked)?;
                let others = sample.tracked_bytes.saturating_sub(tracked);
                if account.processes.len() > 1 {
                    parts.push(("allocated by other processes of the job".into(), others, "child"));
                }
                ("what the job had in memory at that time", sample.resident_bytes)
            }
        };
        let replaced = choice::replaced(account.processes);
        let others = account.processes.iter().zip(replaced).filter(|(other, is_replaced)| {
            let is_alive = other.facts.state == State::Running && shown.moment == Moment::Live;
            is_alive && !is_replaced && !std::ptr::eq(*other, shown.process)
        });
        for (other, _) in others {
            own = own.saturating_add(other.facts.own_bytes);
            parts.push((process(other), other.facts.live_bytes, "child"));
        }
        if shown.moment == Moment::Live && of_group.is_some() {
            for other in account.judged().iter().flat_map(|outcome| &outcome.others) {
                let name = format!(
                    "process {} ({}), not of the job",
                    other.pid,
                    super::super::words::program(&other.command)
                );
                parts.push((name, other.resident_bytes, "other"));
            }
        }
        parts.push(("fil-profile itself".into(), own, "ours"));
        Some(Bar::add_up(of, whole, parts, REST))
    }

    /// The largest parts by name, the rest of them in one, and what no part explains.
    fn add_up(of: &str, whole: u64, mut parts: Vec<(String, u64, &'static str)>, rest: &str) -> Bar {
        const NAMED: usize = 8;
        parts.retain(|(_, bytes, _)| *bytes > 0);
        parts.sort_by_key(|(_, bytes, _)| Reverse(*bytes));
        let sum = |parts: &[(String, u64, &'static str)]| units::sum(parts.iter().map(|part| part.1));
        if parts.len() > NAMED {
            let small = sum(&parts[NAMED - 1..]);
            let count = parts.len() - (NAMED - 1);
            parts.truncate(NAMED - 1);
            parts.push((format!("{count} more"), small, "other"));
        }
        let known = sum(&parts);
        let mut note = String::new();
        if known > whole {
            note = format!(
                "{} more were allocated than were in use: memory that has not been touched, or that processes share.",
                Bytes(known - whole)
            );
        } else if known < whole {
            parts.push((rest.into(), whole - known, "rest"));
        }
        let scale = WIDTH / known.max(whole).max(1) as f64;
        let mut begin = 0.0;
        let parts = parts.into_iter().map(|(name, bytes, class)| {
            let width = bytes as f64 * scale;
            let part = Part {
                name,
                bytes,
                class,
                begin,
                width,
            };
            begin += width;
            part
        });
        Bar {
            of: of.to_owned(),
            whole,
            parts: parts.collect(),
            note,
        }
    }
}

fn class(group: Group) -> &'static str {
    match group {
        Group::Held => "tracked",
        Group::Slack | Group::Stacks => "child",
        Group::Files | Group::Shared | Group::Kernel | Group::Others => "other",
        Group::Own => "ours",
        Group::Reserved => "rest",
    }
}

/// The sample that was taken nearest to a time, in nanoseconds since the Unix epoch; none where that was not near enough to have
/// seen nearly all of what was held.
fn sample_at<'a>(account: &Account, timeline: &'a [Sample], time_ns: u64, held: u64) -> Option<&'a Sample> {
    let begin = chart::began(account)?;
    let seconds = time_ns.saturating_sub(begin) as f64 / 1e9;
    let far = timeline.last()?.seconds / 50.0;
    let distance = |sample: &Sample| (sample.seconds - seconds).abs();
    let near = timeline.iter().filter(|sample| {
        let has_seen = sample.tracked_bytes >= held - held / 10 && sample.resident_bytes > 0;
        has_seen && distance(sample) <= far.max(NEAR)
    });
    near.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, bytes: u64) -> (String, u64, &'static str) {
        (name.into(), bytes, "tracked")
    }

    #[test]
    fn what_no_part_explains_is_a_part_and_all_add_up() {
        let ledger = Bar::add_up("memory", 1000, vec![part("a", 100), part("b", 600), part("c", 0)], REST);
        let parts: Vec<(&str, u64)> = ledger
            .parts
            .iter()
            .map(|part| (part.name.as_str(), part.bytes))
            .collect();
        assert_eq!(parts[..2], [("b", 600), ("a", 100)]);
        assert_eq!((parts.len(), parts[2].1), (3, 300));
        assert_eq!(ledger.parts.iter().map(|part| part.bytes).sum::<u64>(), ledger.whole);
        let end = ledger.parts.last().map(|part| part.begin + part.width);
        assert!((end.unwrap() - WIDTH).abs() < 1e-6);
        assert_eq!(ledger.note, "");
    }

    #[test]
    fn more_than_the_whole_is_said_and_fills_the_bar() {
        let ledger = Bar::add_up("memory", 1 << 20, vec![part("a", 3 << 20)], REST);
        assert_eq!(ledger.parts.len(), 1);
        assert!((ledger.parts[0].width - WIDTH).abs() < 1e-6);
        assert!(ledger.note.starts_with("2.0 MiB more"), "{}", ledger.note);
    }

    #[test]
    fn of_many_parts_the_small_ones_are_put_together() {
        let many = (1..=30).map(|bytes| part("p", bytes)).collect();
        let ledger = Bar::add_up("memory", 465, many, REST);
        assert_eq!(ledger.parts.len(), 8);
        assert_eq!(ledger.parts[7].name, "23 more");
        assert_eq!(ledger.parts.iter().map(|part| part.bytes).sum::<u64>(), 465);
    }
}
