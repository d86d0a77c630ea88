//! Failed allocations: which is the last, which ended the job, and which limit refused it.

use std::time::Duration;

use dumper::outcome::{Limit, LimitKind, ProcessName};
use recording::AllocFunction;
use recording::protocol::OnOom;
use recording::protocol::message::Refusal;

use super::observed::{Ending, FailedAllocation, Observed, ProcessFacts, ProcessState, Raised};
use crate::kernel::headroom::Bound;

/// A program that ends because of a failed allocation ends within this time, including its cleanup.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is told of one call comes within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

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

/// Whether a program that ended because of something at this time would have ended when the job did.
pub fn is_last_word(observed: &Observed, time_ns: u64) -> bool {
    let since = Duration::from_nanos(observed.ended_ns.saturating_sub(time_ns));
    observed.ended_ns == 0 || since <= LAST_WORDS
}

/// The failed allocation that ended the job, if it ended badly, or a child: of the first process or, if it has none, of a child.
pub fn fatal(observed: &Observed) -> Option<(&ProcessName, &FailedAllocation)> {
    let ended = observed
        .processes
        .iter()
        .filter(|facts| facts.state != ProcessState::Alive);
    let failures = ended.filter_map(|facts| Some((facts, facts.last_failure.as_ref()?)));
    let fatal = failures.filter(|(facts, failure)| is_fatal(observed, facts, failure));
    let fatal = fatal.max_by_key(|(facts, failure)| (facts.name.pid == observed.job.pid, failure.time_ns));
    fatal.map(|(facts, failure)| (&facts.name, failure))
}

fn is_fatal(observed: &Observed, facts: &ProcessFacts, failure: &FailedAllocation) -> bool {
    let has_ended_well = matches!(observed.ending, Ending::Status(0) | Ending::Running);
    let is_last = !has_ended_well && is_last_word(observed, failure.time_ns);
    (is_last || bad_exit(observed, facts, failure).is_some()) && bears(observed, facts.name.pid, failure)
}

/// The status with which a child ended just after a failed allocation, if that is not 0.
fn bad_exit(observed: &Observed, facts: &ProcessFacts, failure: &FailedAllocation) -> Option<i32> {
    let (time_ns, status) = facts.exit.filter(|_| facts.name.pid != observed.job.pid)?;
    let since = Duration::from_nanos(time_ns.saturating_sub(failure.time_ns));
    (status != 0 && since <= LAST_WORDS).then_some(status)
}

/// The status of a child that ended badly just after an allocation had failed in it.
pub fn exit_of(observed: &Observed, process: &ProcessName) -> Option<i32> {
    let facts = observed.processes.iter().rfind(|facts| facts.name.pid == process.pid)?;
    bad_exit(observed, facts, facts.last_failure.as_ref()?)
}

/// Not if the process has printed another exception later: then it had coped with this.
fn bears(observed: &Observed, pid: u32, failure: &FailedAllocation) -> bool {
    let is_later = |raised: &&Raised| raised.pid == pid && raised.time_ns >= failure.time_ns;
    let raised = observed.raised.iter().rfind(is_later);
    raised.is_none_or(|raised| {
        raised.is_about_memory || Duration::from_nanos(raised.time_ns - failure.time_ns) <= AT_ONCE
    })
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

/// The limit that made this allocation of a process fail. Cgroups do not: they kill when memory is touched.
pub fn limit(observed: &Observed, process: &ProcessName, failure: &FailedAllocation) -> Option<Limit> {
    // Only the process itself knows that it asked for huge pages.
    let of_huge_pages = observed.refused.iter().find(|refused| {
        let is_same = refused.time_ns.abs_diff(failure.time_ns) < AT_ONCE.as_nanos() as u64;
        refused.what == Refusal::HugePages && refused.process.pid == process.pid && is_same
    });
    if let Some(refused) = of_huge_pages {
        return refused.limit.clone();
    }
    let then = observed.at_failures.iter().find(|then| then.pid == process.pid);
    let bounds = then.map_or(&observed.bounds, |then| &then.bounds);
    let limit = refusing(bounds, failure.bytes)?.limit();
    // The addresses that the program has in use include what is released for the work after a failure.
    let usage = limit.usage.filter(|_| !limit.kind.counts_addresses());
    Some(Limit { usage, ..limit })
}

/// Mappings that are not in /proc/PID/maps, or that an allocation needs beside its own.
const FEW: u64 = 8;

fn refusing(bounds: &[Bound], bytes: u64) -> Option<&Bound> {
    let own = bounds
        .iter()
        .filter(|bound| bound.kind.counts_addresses())
        .min_by_key(|bound| bound.left());
    let is_used_up = |bound: &&Bound| match bound.kind {
        LimitKind::Mappings => bound.left() <= FEW,
        LimitKind::LockedMemory => bound.used > 0 && bound.left() < bytes,
        LimitKind::Commit => bound.left() < bytes,
        _ => false,
    };
    own.filter(|own| own.left() < bytes)
        .or(bounds.iter().find(is_used_up))
        .or(own)
}

/// Why no freeing would have helped: the request alone is more than there can be.
pub fn is_impossible(observed: &Observed, failure: &FailedAllocation, limit: Option<&Limit>) -> Option<TooMuch> {
    let machine = observed.bounds.iter().find(|bound| bound.kind == LimitKind::Machine);
    let asked = failure.bytes;
    let limit = limit.filter(|limit| !limit.kind.is_number() && asked > limit.bytes);
    // A product that is too large for 64 bits is recorded as the largest number.
    let is_product = matches!(
        failure.function,
        Some(AllocFunction::Calloc | AllocFunction::ReallocArray)
    );
    let negative = asked
        .cast_signed()
        .checked_neg()
        .filter(|size| *size > 0 && !is_product);
    if let Some(size) = negative {
        Some(TooMuch::Negative(size.unsigned_abs()))
    } else if asked >= ADDRESSES {
        Some(TooMuch::Addresses)
    } else if let Some(limit) = limit {
        Some(TooMuch::Limit(limit.clone()))
    } else {
        machine
            .filter(|machine| asked > machine.bytes)
            .map(|machine| TooMuch::Machine(machine.bytes))
    }
}

/// What a process can address on x86-64, unless it asks for the pages of five levels.
const ADDRESSES: u64 = 1 << 47;

/// See [`is_impossible`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// It is a negative size, without its sign.
    Negative(u64),
    /// More than a process can address.
    Addresses,
    /// More than a limit allows in all.
    Limit(Limit),
    /// More than the machine has in memory and swap.
    Machine(u64),
}
