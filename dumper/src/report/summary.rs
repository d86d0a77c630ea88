//! The report as a few lines for the job's log.

use super::{Account, Occasion, Shown, words};
use crate::call_tree::Hot;
use crate::damage::Damage;
use crate::process::Process;
use crate::recording::Tally;
use crate::units::{Bytes, Share};

/// Call sites that are listed.
const LISTED: usize = 5;

/// The lines, without a prefix.
pub(super) fn lines(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    match (&account.out_of_memory, &account.peak) {
        (Some(shown), _) => ran_out(account, shown, &mut lines),
        (None, Some(shown)) => went_well(account, shown, &mut lines),
        (None, None) => lines.push("No memory was recorded.".to_owned()),
    }
    for process in account.processes {
        lines.extend(
            words::troubles(process)
                .into_iter()
                .map(|trouble| of_process(account, process, &trouble)),
        );
        lines.extend(damage(account, process));
    }
    for shown in [&account.out_of_memory, &account.peak].into_iter().flatten() {
        lines.push(format!("Wrote memory usage flamegraph to {}", shown.path.display()));
    }
    lines.dedup();
    lines
}

fn ran_out(account: &Account, shown: &Shown, lines: &mut Vec<String>) {
    let recording = &shown.process.recording;
    if let Some(failure) = &recording.failure {
        let failed = words::failed(recording, failure, account.directory);
        lines.push(of_process(account, shown.process, &failed));
        if recording.failures > 1 {
            lines.push(format!(
                "It was the last of {} allocations that failed.",
                recording.failures
            ));
        }
    }
    lines.push(words::aftermath(account.run));
    lines.push(format!(
        "In use at that moment: {}{}",
        with_error(shown.total),
        colon(&shown.hottest)
    ));
    for hot in shown.hottest.iter().take(LISTED) {
        let share = Share::of(hot.held.bytes, shown.total.bytes);
        lines.push(format!(
            "{share:>7} {:>10}  {}",
            Bytes(hot.held.bytes),
            site(hot, account.directory)
        ));
    }
}

fn went_well(account: &Account, shown: &Shown, lines: &mut Vec<String>) {
    let so_far = if account.occasion == Occasion::Ended {
        ""
    } else {
        " so far"
    };
    let mut peak = format!("Peak memory{so_far}: {}", with_error(shown.total));
    if let Some(hot) = shown.hottest.first() {
        let share = Share::of(hot.held.bytes, shown.total.bytes);
        peak = format!("{peak}, of which {share} at {}", site(hot, account.directory));
    }
    lines.push(of_process(account, shown.process, &peak));
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

fn damage(account: &Account, process: &Process) -> Option<String> {
    let is_worth_a_line = |damage: &&Damage| match damage {
        // One sample is nothing, and what changes while it is read does not add up.
        Damage::SampleInFlight => false,
        Damage::SumsDiffer { .. } => account.occasion == Occasion::Ended,
        _ => true,
    };
    let first = process.damage.iter().find(is_worth_a_line)?;
    Some(of_process(
        account,
        process,
        &format!("The recording is damaged: {first}."),
    ))
}

/// Says which process it was, where there are several.
fn of_process(account: &Account, process: &Process, sentence: &str) -> String {
    match account.processes.len() {
        0 | 1 => sentence.to_owned(),
        _ => format!("process {} ({}): {sentence}", process.recording.pid, process.name()),
    }
}
