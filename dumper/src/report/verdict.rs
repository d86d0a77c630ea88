//! The verdict in words: for the job's log, and for the page.

use std::fmt::Write;

use super::line::Line;
use super::words;
use crate::outcome::{Certainty, Evidence, Kind, Limit, LimitKind, Other, Outcome, ProcessName};
use crate::units::{self, Bytes};

/// Lines of evidence in the log; the page has more.
const EVIDENCE: usize = 3;
/// The source of what is known of the job's end.
const ENDING: &str = "wait4";

/// The verdict for the job's log: what happened, by which limit, and on which evidence. A run that went well needs none.
pub(super) fn lines(outcome: &Outcome) -> Vec<Line> {
    if !is_told(outcome) {
        return Vec::new();
    }
    let limit = outcome.limit.as_ref().map(|limit| Line::Limit(limited(limit)));
    let evidence = outcome.evidence.iter().filter(|evidence| is_news(outcome, evidence));
    let evidence = evidence
        .take(EVIDENCE)
        .map(|evidence| Line::Evidence(observed(evidence)));
    let verdict = Line::Verdict(outcome.sentence.clone());
    [verdict].into_iter().chain(limit).chain(evidence).collect()
}

/// The same in fewer words: the limit only if the sentence does not name it, and no evidence. A job that ended with a status of its own,
/// for which memory is no reason, needs no verdict: its user knows.
pub(super) fn brief(outcome: &Outcome) -> Vec<Line> {
    if !is_told(outcome) || outcome.kind == Kind::ExitedNonZero && outcome.killed.is_empty() {
        return Vec::new();
    }
    let sentence = &outcome.sentence;
    let limit = outcome.limit.as_ref();
    let limit = limit.filter(|limit| !sentence.contains(&limit.amount(limit.bytes)));
    let verdict = Line::Verdict(sentence.clone());
    [verdict]
        .into_iter()
        .chain(limit.map(|limit| Line::Limit(limit.amount(limit.bytes) + &name(limit))))
        .collect()
}

/// Whether there is something to tell of the end of the run.
fn is_told(outcome: &Outcome) -> bool {
    let is_well = match outcome.kind {
        Kind::Finished => true,
        Kind::Running => outcome.killed.is_empty(),
        _ => false,
    };
    !is_well && !outcome.sentence.is_empty()
}

/// Is it worth a line of the log? How the job ended, and in most cases which request failed, is in the sentence already.
fn is_news(outcome: &Outcome, evidence: &Evidence) -> bool {
    let request = outcome.failed_request.as_deref().filter(|request| !request.is_empty());
    let is_told = request.is_some_and(|request| outcome.sentence.contains(request) && evidence.says.contains(request));
    evidence.source != ENDING && !evidence.is_beside && !is_told
}

/// `Also in the cgroup: 3 processes with 1.2 GiB, of which 42 (rsync) has 1.0 GiB`.
pub(super) fn company(others: &[Other]) -> Option<String> {
    let largest = others.iter().max_by_key(|other| other.resident_bytes)?;
    let sum = units::sum(others.iter().map(|other| other.resident_bytes));
    let name = words::program(&largest.command);
    Some(match others.len() {
        1 => format!(
            "Also in the cgroup: process {} ({name}) with {}",
            largest.pid,
            Bytes(sum)
        ),
        count => format!(
            "Also in the cgroup: {count} processes with {}, of which {} ({name}) has {}",
            Bytes(sum),
            largest.pid,
            Bytes(largest.resident_bytes)
        ),
    })
}

/// `512.0 MiB for the cgroup /job (v2), of which 511.0 MiB in use`.
pub(super) fn limited(limit: &Limit) -> String {
    let name = name(limit);
    let most = limit.amount(limit.bytes);
    match limit.usage {
        Some(usage) => format!("{most}{name}; in use were {}", limit.amount(usage)),
        None => format!("{most}{name}"),
    }
}

/// What a limit is on, to be read after its bytes.
pub(super) fn name(limit: &Limit) -> String {
    match limit.kind {
        // Seen from inside a container.
        LimitKind::CgroupV1 | LimitKind::CgroupV2 if limit.path.ends_with("/..") => {
            " for a cgroup around this container".to_owned()
        }
        LimitKind::CgroupV1 => format!(" for the cgroup {} (v1)", limit.path),
        LimitKind::CgroupV2 => format!(" for the cgroup {} (v2)", limit.path),
        LimitKind::AddressSpace => " of address space (ulimit -v)".to_owned(),
        LimitKind::Data => " of data (ulimit -d)".to_owned(),
        LimitKind::Machine => ", all that the machine has".to_owned(),
        LimitKind::Commit => " that the machine promises in all (vm.overcommit_memory is 2)".to_owned(),
        LimitKind::Mappings => " mappings of a process (/proc/sys/vm/max_map_count)".to_owned(),
        LimitKind::LockedMemory => " of locked memory (ulimit -l)".to_owned(),
        LimitKind::HugePages => " of huge pages (/proc/sys/vm/nr_hugepages)".to_owned(),
        LimitKind::UserProcesses => " processes and threads of the user (ulimit -u)".to_owned(),
        LimitKind::CgroupProcesses => format!(" processes and threads in the cgroup {} (pids.max)", limit.path),
        LimitKind::FileSystem => format!(" for the file system {}", limit.path),
        LimitKind::Other => String::new(),
    }
}

/// What was observed, how far its counter moved, and where.
fn observed(evidence: &Evidence) -> String {
    let mut text = evidence.says.clone();
    // Writing to a string cannot fail.
    if let (Some(before), Some(after)) = (evidence.before, evidence.after)
        && before != after
    {
        let _ = write!(text, ", {before} → {after}");
    }
    if !evidence.source.is_empty() {
        let _ = write!(text, " ({})", evidence.source);
    }
    text
}

/// `4711 (python3 load.py), a child`.
pub(super) fn process(process: &ProcessName) -> String {
    let child = if process.is_child { ", a child of the job" } else { "" };
    format!("{} ({}){child}", process.pid, process.command)
}

/// How sure a verdict is, for a reader.
pub(super) fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
        Certainty::Unknown => "not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_moved_is_told_with_its_numbers() {
        let counted = |before, after| {
            observed(&Evidence {
                source: "/proc/vmstat".into(),
                says: "the OOM killer killed".into(),
                before,
                after,
                ..Evidence::default()
            })
        };
        assert_eq!(counted(Some(3), Some(4)), "the OOM killer killed, 3 → 4 (/proc/vmstat)");
        assert_eq!(counted(Some(3), Some(3)), "the OOM killer killed (/proc/vmstat)");
        assert_eq!(counted(None, Some(3)), "the OOM killer killed (/proc/vmstat)");
    }

    #[test]
    fn others_are_told_by_their_number_and_the_largest() {
        let other = |pid, command: &str, mib: u64| Other {
            pid,
            command: command.into(),
            resident_bytes: mib << 20,
        };
        assert_eq!(company(&[]), None);
        assert_eq!(
            company(&[other(7, "/usr/bin/rsync -a x y", 12)]).unwrap(),
            "Also in the cgroup: process 7 (rsync) with 12.0 MiB"
        );
        assert_eq!(
            company(&[other(7, "rsync", 12), other(8, "sh", 1)]).unwrap(),
            "Also in the cgroup: 2 processes with 13.0 MiB, of which 7 (rsync) has 12.0 MiB"
        );
    }
}
