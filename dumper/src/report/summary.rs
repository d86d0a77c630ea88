//! The report as a few lines for the job's log.

use super::{Findings, Occasion, Shown, words};
use crate::call_tree::Hot;
use crate::damage::Damage;
use crate::process::Process;
use crate::recording::Tally;
use crate::units::{Bytes, Share};

/// Call sites that are listed.
const LISTED: usize = 5;

/// The lines, without a prefix.
pub(super) fn lines(findings: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    match (&findings.out_of_memory, &findings.peak) {
        (Some(shown), _) => ran_out(findings, shown, &mut lines),
        (None, Some(shown)) => went_well(findings, shown, &mut lines),
        (None, None) => lines.push("No memory was recorded.".to_owned()),
    }
    for process in findings.processes {
        lines.extend(
            words::troubles(process)
                .into_iter()
                .map(|trouble| of_process(findings, process, &trouble)),
        );
        lines.extend(damage(findings, process));
    }
    for shown in [&findings.out_of_memory, &findings.peak].into_iter().flatten() {
        lines.push(format!("Wrote memory usage flamegraph to {}", shown.path.display()));
    }
    lines.dedup();
    lines
}

fn ran_out(findings: &Findings, shown: &Shown, lines: &mut Vec<String>) {
    let recording = &shown.process.recording;
    if let Some(failure) = &recording.failure {
        let failed = words::failed(recording, failure, findings.directory);
        lines.push(of_process(findings, shown.process, &failed));
        if recording.failures > 1 {
            lines.push(format!(
                "It was the last of {} allocations that failed.",
                recording.failures
            ));
        }
    }
    lines.push(words::aftermath(findings.run));
    lines.push(format!(
        "In use at that moment: {}{}",
        with_error(shown.total),
        colon(&shown.hottest)
    ));
    for hot in shown.hottest.iter().take(LISTED) {
        let share = Share::of(hot.held.bytes, shown.total.bytes);
        lines.push(format!(
            "{share:>8}  {:>10}  {}",
            Bytes(hot.held.bytes),
            site(hot, findings.directory)
        ));
    }
}

fn went_well(findings: &Findings, shown: &Shown, lines: &mut Vec<String>) {
    let so_far = if findings.occasion == Occasion::Ended {
        ""
    } else {
        " so far"
    };
    let mut peak = format!("Peak memory{so_far}: {}", with_error(shown.total));
    if let Some(hot) = shown.hottest.first() {
        let share = Share::of(hot.held.bytes, shown.total.bytes);
        peak = format!("{peak}, of which {share} at {}", site(hot, findings.directory));
    }
    lines.push(of_process(findings, shown.process, &peak));
}

fn colon(hottest: &[Hot]) -> &'static str {
    if hottest.is_empty() { "" } else { ", most of it at" }
}

fn site(hot: &Hot, directory: &str) -> String {
    match hot.on_behalf_of {
        Some(caller) => format!("{}, from {}", hot.call.short(directory), caller.short(directory)),
        None => hot.call.short(directory),
    }
}

/// `1.2 GiB ± 4.0 MiB`.
pub(super) fn with_error(held: Tally) -> String {
    match held.error() {
        0 => Bytes(held.bytes).to_string(),
        error => format!("{} ± {}", Bytes(held.bytes), Bytes(error)),
    }
}

fn damage(findings: &Findings, process: &Process) -> Option<String> {
    let is_worth_a_line = |damage: &&Damage| match damage {
        // One sample is nothing, and what changes while it is read does not add up.
        Damage::SampleInFlight => false,
        Damage::SumsDiffer { .. } => findings.occasion == Occasion::Ended,
        _ => true,
    };
    let first = process.damage.iter().find(is_worth_a_line)?;
    Some(of_process(
        findings,
        process,
        &format!("The recording is damaged: {first}."),
    ))
}

/// Says which process it was, where there are several.
fn of_process(findings: &Findings, process: &Process, sentence: &str) -> String {
    match findings.processes.len() {
        0 | 1 => sentence.to_owned(),
        _ => format!("process {} ({}): {sentence}", process.recording.pid, process.name()),
    }
}
