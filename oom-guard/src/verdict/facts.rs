//! What the recordings say of each process, as the verdict has it.

use std::fs;
use std::path::Path;

use dumper::outcome::ProcessName;
use dumper::process::Process;
use dumper::profile::State;
use dumper::units::Bytes;

use crate::verdict::observed::{Facts, Failure, Progress};

/// The facts of the processes of a job, whose first process is `job`. Paths are shown relative to `directory`. Of programs
/// that have made way for another in the same process, as shells do, there are only those that failed to allocate.
pub fn gather(processes: &[Process], job: u32, directory: &Path) -> Vec<Facts> {
    let facts = |process: &Process| Facts {
        name: ProcessName {
            pid: process.facts.pid,
            command: process.facts.command.join(" "),
            is_child: process.facts.pid != job,
        },
        state: match process.facts.state {
            State::Ended => Progress::Ended,
            State::Left => Progress::Left,
            State::Running if is_in_use(&process.path) => Progress::Alive,
            State::Running => Progress::Cut,
        },
        failures: process.facts.failures,
        last_failure: failure(process, directory),
        live_bytes: process.facts.live_bytes,
    };
    let has_a_word = |process: &&Process| process.facts.failures > 0 || !is_replaced(process, processes);
    processes.iter().filter(has_a_word).map(facts).collect()
}

/// Whether the process has gone on as another program.
pub fn is_replaced(process: &Process, processes: &[Process]) -> bool {
    let (pid, started) = (process.facts.pid, process.facts.started_ns);
    let is_later = |other: &Process| other.facts.pid == pid && other.facts.started_ns > started;
    process.facts.state == State::Running && processes.iter().any(is_later)
}

/// Whether the process that a recording `<pid>-<n>.recording` is named for still has it mapped.
pub fn is_in_use(recording: &Path) -> bool {
    let name = recording.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let maps = name
        .split_once('-')
        .and_then(|(pid, _)| fs::read_to_string(format!("/proc/{pid}/maps")).ok());
    name.ends_with(".recording") && maps.is_some_and(|maps| maps.contains(name))
}

fn failure(process: &Process, directory: &Path) -> Option<Failure> {
    let failure = process.facts.failure.as_ref()?;
    let mut request = Bytes(failure.request_bytes).to_string();
    if let Some(function) = failure.function {
        request.push_str(&format!(" by {}", function.name()));
    }
    if let Some(place) = place(process, directory) {
        request.push_str(&format!(" at {place}"));
    }
    Some(Failure {
        time_ns: failure.time_ns,
        request,
    })
}

/// The line of the user's own code that asked, or where there is none, the innermost.
fn place(process: &Process, directory: &Path) -> Option<String> {
    let (recording, _) = process.read().ok()?;
    let own = recording.failed_stack().find(|call| !call.is_library());
    let call = own.or_else(|| recording.failed_stack().next())?;
    Some(call.short(directory.to_str().unwrap_or_default()))
}
