//! The facts about each process that the verdict needs, from the recordings.

use std::fs;
use std::path::Path;

use dumper::outcome::ProcessName;
use dumper::process::Process;
use dumper::recording::State;
use dumper::units::Bytes;
use recording::protocol::RecordingName;

use crate::kernel::host::Host;
use crate::verdict::observed::{FailedAllocation, ProcessFacts, ProcessState};

/// The facts about the processes of a job, whose first process is `job`. Paths are relative to `directory`. If a process has executed
/// another program, as shells do, the earlier program is listed only if an allocation failed in it.
pub fn gather(processes: &[Process], job: u32, directory: &Path) -> Vec<ProcessFacts> {
    let facts = |process: &Process| ProcessFacts {
        name: ProcessName {
            pid: process.facts.pid,
            command: process.facts.command.join(" "),
            is_child: process.facts.pid != job,
        },
        state: match process.facts.state {
            State::Ended => ProcessState::Ended,
            State::Left => ProcessState::Left,
            State::Running if is_in_use(&process.path) => ProcessState::Alive,
            State::Running => ProcessState::Cut,
        },
        failures: process.facts.failures,
        last_failure: failure(process, directory),
        live_bytes: process.facts.live_bytes,
    };
    let has_a_word = |process: &&Process| process.facts.failures > 0 || !is_replaced(process, processes);
    processes.iter().filter(has_a_word).map(facts).collect()
}

/// Whether the process has executed another program since.
pub fn is_replaced(process: &Process, processes: &[Process]) -> bool {
    let (pid, started) = (process.facts.pid, process.facts.started_ns);
    let is_later = |other: &Process| other.facts.pid == pid && other.facts.started_ns > started;
    process.facts.state == State::Running && processes.iter().any(is_later)
}

/// Whether the process that a recording `<pid>-<n>.recording` is named for still has it mapped.
pub fn is_in_use(recording: &Path) -> bool {
    let name = recording.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    RecordingName::parse(name).is_some_and(|RecordingName { pid, .. }| {
        let maps = fs::read_to_string(Host::this().of_process(pid, "maps"));
        maps.is_ok_and(|maps| maps.contains(name))
    })
}

fn failure(process: &Process, directory: &Path) -> Option<FailedAllocation> {
    let failure = process.facts.failure.as_ref()?;
    let mut request = Bytes(failure.request_bytes).to_string();
    if let Some(function) = failure.function {
        request.push_str(&format!(" by {}", function.name()));
    }
    if let Some(place) = place(process, directory) {
        request.push_str(&format!(" at {place}"));
    }
    Some(FailedAllocation {
        time_ns: failure.time_ns,
        request,
    })
}

/// The innermost line of the user's own code that asked or, if there is none, of any code.
fn place(process: &Process, directory: &Path) -> Option<String> {
    let (recording, _) = process.read().ok()?;
    let own = recording.failed_stack().find(|call| !call.is_library());
    let call = own.or_else(|| recording.failed_stack().next())?;
    Some(call.short(directory.to_str().unwrap_or_default()))
}
