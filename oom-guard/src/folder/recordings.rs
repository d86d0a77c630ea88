//! Tells whether a process still writes to its recording.

use std::fs;
use std::path::Path;

use dumper::process::Process;
use dumper::profile::State;
use recording::protocol::RecordingName;

use crate::kernel::host::Host;

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
