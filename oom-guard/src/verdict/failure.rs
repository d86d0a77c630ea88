//! Failed allocations: which is the last, which ended the job, and which limit refused it.

use std::time::Duration;

use dumper::outcome::{Limit, LimitKind, ProcessName};
use recording::protocol::OnOom;

use super::observed::{FailedAllocation, Observed, ProcessFacts, ProcessState};
use crate::kernel::headroom::Bound;

/// A program that ends because of a failed allocation ends within this time, including its cleanup.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The last in any process.
pub fn last(observed: &Observed) -> Option<(&ProcessName, &FailedAllocation)> {
    let failures = observed
        .processes
        .iter()
        .filter_map(|facts| Some((&facts.name, facts.last_failure.as_ref()?)));
    failures.max_by_key(|(_, failure)| failure.time_ns)
}

/// The last of one process.
pub fn last_of<'a>(observed: &'a Observed, process: &ProcessName) -> Option<&'a FailedAllocation> {
    let of_process = observed.processes.iter().filter(|facts| facts.name.pid == process.pid);
    of_process
        .filter_map(|facts| facts.last_failure.as_ref())
        .max_by_key(|failure| failure.time_ns)
}

/// The failed allocation that ended the job, if it ended badly: of the first process or, if it has none, of a child.
pub fn fatal(observed: &Observed) -> Option<(&ProcessName, &FailedAllocation)> {
    let is_recent = |failure: &FailedAllocation| {
        let since = Duration::from_nanos(observed.ended_ns.saturating_sub(failure.time_ns));
        observed.ended_ns == 0 || since <= LAST_WORDS
    };
    let ended = observed
        .processes
        .iter()
        .filter(|facts| facts.state != ProcessState::Alive);
    let failures = ended.filter_map(|facts| Some((&facts.name, facts.last_failure.as_ref()?)));
    let recent = failures.filter(|(_, failure)| is_recent(failure));
    recent.max_by_key(|(process, failure)| (process.pid == observed.job.pid, failure.time_ns))
}

/// The process that ended first under `--on-oom=exit`: at a failed allocation, the job's first process before its children. If the
/// supervisor killed all, the one that held the most.
pub fn left(observed: &Observed) -> Option<&ProcessName> {
    let has_left = |facts: &&ProcessFacts| match facts.state {
        ProcessState::Left => observed.on_oom == OnOom::Exit,
        ProcessState::Cut => observed.was_ended,
        ProcessState::Alive | ProcessState::Ended => false,
    };
    let rank = |facts: &&ProcessFacts| {
        let is_first = !observed.was_ended && facts.name.pid == observed.job.pid;
        (facts.last_failure.is_some(), is_first, facts.live_bytes)
    };
    let process = observed.latest().filter(has_left).max_by_key(rank);
    let process = process.map(|facts| &facts.name);
    process.or(observed.was_ended.then_some(&observed.job))
}

/// The limit that made the allocation fail. Cgroups do not: they kill when memory is touched.
pub fn limit(observed: &Observed) -> Option<Limit> {
    let refuses = |bound: &&Bound| matches!(bound.kind, LimitKind::AddressSpace | LimitKind::Data);
    let refusing = observed.bounds.iter().filter(refuses);
    // The usage was read later, when the program may have freed memory.
    let limit = refusing.min_by_key(|bound| bound.left()).map(Bound::limit);
    limit.map(|limit| Limit { usage: None, ..limit })
}
