//! The facts about each process that the verdict needs, from the recordings.

use std::path::Path;

use dumper::outcome::ProcessName;
use dumper::process::Process;
use dumper::profile::State;
use dumper::units::Bytes;

use crate::folder::recordings::{is_in_use, is_replaced};
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
