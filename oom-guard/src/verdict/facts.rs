//! The facts about each process that the verdict needs, from the recordings.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use dumper::label::command_line;
use dumper::outcome::ProcessName;
use dumper::process::{self, Process};
use dumper::profile::{Moment, Profile, State};
use dumper::units::Bytes;

use crate::folder::recordings::{is_in_use, is_replaced};
use crate::terminal::local_time;
use crate::verdict::observed::{FailedAllocation, Observed, ProcessFacts, ProcessState};
use crate::verdict::role::Role;

/// The facts about the processes of a job, whose first process is `job`. Paths are relative to `directory`. If a process has executed
/// another program, as shells do, the earlier program is listed only if an allocation failed in it.
pub fn gather(processes: &[Process], job: u32, directory: &Path) -> Vec<ProcessFacts> {
    let has_a_word = |process: &&Process| process.facts.failures > 0 || !is_replaced(process, processes);
    let state = |process: &Process| match process.facts.state {
        State::Ended => ProcessState::Ended,
        State::Left => ProcessState::Left,
        State::Running if is_in_use(&process.path) => ProcessState::Alive,
        State::Running => ProcessState::Cut,
    };
    let processes: Vec<_> = processes
        .iter()
        .filter(has_a_word)
        .map(|process| (process, state(process)))
        .collect();
    let children = processes
        .iter()
        .filter(|(process, state)| *state == ProcessState::Cut && process.facts.pid != job);
    let largest = process::most_present(children.map(|(process, _)| *process), Moment::Live);
    let facts = |(process, state): (&Process, ProcessState)| ProcessFacts {
        name: ProcessName {
            pid: process.facts.pid,
            command: command_line(&process.facts.command),
            is_child: process.facts.pid != job,
        },
        state,
        failures: process.facts.failures,
        last_failure: failure(process, directory),
        live_bytes: process.facts.live_bytes,
        is_largest: largest.is_some_and(|largest| std::ptr::eq(largest, process)),
        exit: process.facts.exit(),
    };
    processes.into_iter().map(facts).collect()
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
        time: local_time::of(failure.time_ns),
        bytes: failure.request_bytes,
        function: failure.function,
        request,
    })
}

/// The innermost line of the user's own code that asked or, if there is none, of any code. A program without Python has no lines.
fn place(process: &Process, directory: &Path) -> Option<String> {
    let (recording, _) = process.read().ok()?;
    let node = recording.facts.failure.as_ref()?.node;
    line(&recording, node, directory)
}

fn line(recording: &Profile, node: u32, directory: &Path) -> Option<String> {
    let any = || recording.stack(node).find(|call| !call.file.is_empty());
    let call = recording.own_line(node).or_else(any)?;
    Some(call.short(directory.to_str().unwrap_or_default()))
}

/// Looks up who was refused something, and who has ended another process: the name, where the process had ended before it could be asked
/// for, and the line.
pub fn locate(observed: &mut Observed, processes: &[Process], directory: &Path) {
    let job = observed.job.pid;
    let known = |pid: u32| processes.iter().rfind(|process| process.facts.pid == pid);
    let name = |name: &mut ProcessName| {
        name.is_child = name.pid != job;
        // By now it may have ended, and then /proc had its short name at most.
        if let Some(process) = known(name.pid) {
            name.command = command_line(&process.facts.command);
        }
    };
    observed.died.iter_mut().for_each(|died| name(&mut died.process));
    // Each is read once: it may be large.
    let mut read: HashMap<u32, Option<Arc<Profile>>> = HashMap::new();
    let mut recording = |pid| {
        let read = read.entry(pid);
        read.or_insert_with(|| Some(known(pid)?.read().ok()?.0)).clone()
    };
    for refused in &mut observed.refused {
        name(&mut refused.process);
        let recording = recording(refused.process.pid);
        refused.place = recording.and_then(|recording| line(&recording, refused.node, directory));
    }
    for kill in &mut observed.kills_within {
        name(&mut kill.sender);
        name(&mut kill.victim);
        let recording = recording(kill.sender.pid);
        let stack: Vec<_> = recording
            .iter()
            .flat_map(|recording| recording.stack(kill.node))
            .collect();
        kill.role = Role::of(&kill.sender.command, stack.iter().map(|call| call.file));
        kill.place = recording
            .as_ref()
            .and_then(|recording| line(recording, kill.node, directory));
    }
}
