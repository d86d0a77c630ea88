//! Which process the pictures show, and at which moment.

use std::collections::HashMap;

use super::Occasion;
use crate::outcome::{Kind, Outcome};
use crate::process::{self, Process};
use crate::profile::{Moment, State};
use crate::run::Run;

/// What `out-of-memory.*` shows, if anything ran out.
pub(super) fn out_of_memory<'a>(
    run: &Run,
    processes: &'a [Process],
    occasion: Occasion,
) -> Option<(&'a Process, Moment)> {
    let judged = occasion.verdict(run);
    let killed = judged.filter(|outcome| outcome.is_killed_for_memory());
    let victim = killed.and_then(|outcome| victim(outcome, processes));
    if let Some(victim) = victim {
        return Some((victim, Moment::Live));
    }
    let ran_out = judged.filter(|outcome| is_failure(outcome.kind));
    let named = ran_out.and_then(|outcome| named(outcome, processes));
    // A process that has gone on as another program has several recordings.
    let of_named = |process: &&Process| named.is_some_and(|named| named.facts.pid == process.facts.pid);
    let failed = last_to_fail(processes.iter().filter(of_named)).or_else(|| last_to_fail(processes.iter()));
    match failed {
        Some(failed) => Some((failed, Moment::OutOfMemory)),
        // It was made to leave (`--on-oom=exit`) before anything could fail.
        None => named.map(|process| (process, Moment::Live)),
    }
}

/// The moment that matters most: when it ran out, else the peak.
pub(crate) fn foremost<'a>(run: &Run, processes: &'a [Process], occasion: Occasion) -> Option<(&'a Process, Moment)> {
    let peak = || peak(processes).map(|process| (process, Moment::Peak));
    out_of_memory(run, processes, occasion).or_else(peak)
}

/// The process with the highest peak, by what was in memory.
pub(super) fn peak(processes: &[Process]) -> Option<&Process> {
    // What is written to a private mapping of a file, no process asks for.
    let has_any = |process: &&Process| process.facts.peak_bytes > 0 || process.present(Moment::Peak) > 0;
    process::most_present(processes.iter(), Moment::Peak).filter(has_any)
}

/// The process that holds the most of those that run, or did not come to say that they ended.
pub(super) fn largest_running(processes: &[Process]) -> Option<&Process> {
    let replaced = replaced(processes);
    let running = processes.iter().zip(replaced).filter(|(process, is_replaced)| {
        let is_running = process.facts.state == State::Running;
        is_running && !is_replaced
    });
    process::most_present(running.map(|(process, _)| process), Moment::Live)
}

/// For each recording, whether its process has gone on as another program, which has a recording of its own.
pub(super) fn replaced(processes: &[Process]) -> Vec<bool> {
    let mut last = HashMap::new();
    for process in processes {
        let last = last.entry(process.facts.pid).or_insert(process.generation());
        *last = process.generation().max(*last);
    }
    let is_replaced = |process: &Process| process.generation() < last[&process.facts.pid];
    processes.iter().map(is_replaced).collect()
}

fn is_failure(kind: Kind) -> bool {
    matches!(kind, Kind::AllocationFailedFatal | Kind::AllocationFailedRecovered)
}

fn victim<'a>(outcome: &Outcome, processes: &'a [Process]) -> Option<&'a Process> {
    // Where all were killed, the job's first process is named for all of them.
    let named = named(outcome, processes).filter(|_| outcome.kind != Kind::EverythingKilled);
    named.or_else(|| largest_running(processes))
}

/// The last recording of the process that the verdict names.
fn named<'a>(outcome: &Outcome, processes: &'a [Process]) -> Option<&'a Process> {
    let pid = outcome.process.as_ref()?.pid;
    let of_pid = processes.iter().filter(|process| process.facts.pid == pid);
    of_pid.max_by_key(|process| process.generation())
}

fn last_to_fail<'a>(processes: impl Iterator<Item = &'a Process>) -> Option<&'a Process> {
    let failed = processes.filter_map(|process| Some((process, process.facts.failure.as_ref()?)));
    failed
        .max_by_key(|(_, failure)| failure.time_ns)
        .map(|(process, _)| process)
}
