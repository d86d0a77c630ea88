//! Which process the pictures show, and at which moment.

use super::Occasion;
use crate::call_tree::Moment;
use crate::outcome::{Kind, Outcome};
use crate::process::Process;
use crate::recording::State;
use crate::run::Run;

/// What `out-of-memory.*` shows, if anything ran out.
pub(super) fn out_of_memory<'a>(
    run: &Run,
    processes: &'a [Process],
    occasion: Occasion,
) -> Option<(&'a Process, Moment)> {
    let judged = run.outcome.as_ref().filter(|_| occasion == Occasion::Ended);
    let killed = judged
        .filter(|outcome| outcome.is_killed_for_memory())
        .and_then(|outcome| victim(outcome, processes))
        .map(|process| (process, Moment::Live));
    let failed = || {
        let named = judged
            .filter(|outcome| {
                matches!(
                    outcome.kind,
                    Kind::AllocationFailedFatal | Kind::AllocationFailedRecovered
                )
            })
            .and_then(|outcome| named(outcome, processes))
            .filter(|process| process.facts.failure.is_some());
        let process = named.or_else(|| last_to_fail(processes));
        process.map(|process| (process, Moment::OutOfMemory))
    };
    killed.or_else(failed)
}

/// The process with the highest peak.
pub(super) fn peak(processes: &[Process]) -> Option<&Process> {
    let recorded = processes.iter().filter(|process| process.facts.peak_bytes > 0);
    recorded.max_by_key(|process| process.facts.peak_bytes)
}

/// The process that holds the most of those that run, or did not come to say that they ended.
pub(super) fn largest_running(processes: &[Process]) -> Option<&Process> {
    let running = processes.iter().filter(|process| process.facts.state == State::Running);
    running.max_by_key(|process| process.facts.live_bytes)
}

fn victim<'a>(outcome: &Outcome, processes: &'a [Process]) -> Option<&'a Process> {
    named(outcome, processes).or_else(|| largest_running(processes))
}

/// The last recording of the process that the verdict names.
fn named<'a>(outcome: &Outcome, processes: &'a [Process]) -> Option<&'a Process> {
    let pid = outcome.process.as_ref()?.pid;
    let of_pid = processes.iter().filter(|process| process.facts.pid == pid);
    of_pid.max_by_key(|process| process.generation())
}

fn last_to_fail(processes: &[Process]) -> Option<&Process> {
    let failed = processes
        .iter()
        .filter_map(|process| Some((process, process.facts.failure.as_ref()?)));
    failed
        .max_by_key(|(_, failure)| failure.time_ns)
        .map(|(process, _)| process)
}
