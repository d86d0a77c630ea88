//! The verdict on a run whose supervisor did not live to give one, from what it left on disk.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use dumper::Outcome;
use dumper::folder::Place;
use dumper::label::command_line;
use dumper::outcome::{Certainty, Evidence, Kind, Limit, LimitKind, ProcessName};
use dumper::process::Process;
use dumper::run::Run;
use dumper::timeline;

use crate::folder::recordings::is_in_use;
use crate::folder::{RunFolder, lock};
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::identity::OOM_GROUP;
use crate::kernel::procfs::{self, VMSTAT};
use crate::verdict::evidence::{self, Change, Counted};
use crate::verdict::facts::gather;
use crate::verdict::judge;
use crate::verdict::observed::{Ending, Observed, Sent};

/// Whether a process of the job still runs.
pub fn is_running(processes: &[Process]) -> bool {
    processes.iter().any(|process| is_in_use(&process.path))
}

/// What `run.json` says at the start of a run, for a later command that has to judge without a supervisor.
pub fn outcome_at_start(evidence: &evidence::CountersAtStart) -> Outcome {
    let kills = Evidence {
        source: VMSTAT.to_owned(),
        says: "oom_kill, when the job began".to_owned(),
        before: evidence.machine_kills,
        ..Evidence::default()
    };
    Outcome {
        kind: Kind::Running,
        certainty: Certainty::Certain,
        evidence: vec![kills],
        ..Outcome::default()
    }
}

/// Gives a run a verdict, as far as that is still possible, if it has none. A folder in which no run has left anything but a
/// `run.json` without a verdict says nothing about an end.
pub fn judge_if_unjudged(run: &mut Run, folder: &RunFolder, processes: &[Process]) {
    let is_run =
        run.outcome.is_some() || run.ending.is_some() || !processes.is_empty() || lock::is_there(&folder.folder);
    if is_run && run.outcome.as_ref().is_none_or(|outcome| outcome.kind == Kind::Running) {
        run.outcome = Some(outcome(run, folder, processes));
    }
}

fn outcome(run: &Run, folder: &RunFolder, processes: &[Process]) -> Outcome {
    let job = first(run, processes);
    let bounds = last_bounds(run, folder);
    let near = bounds.iter().find(|bound| bound.is_near(0)).cloned();
    judge(&Observed {
        signals: signals(run).into_iter().collect(),
        counted: counted(run, folder, near.is_some()),
        ending: ending(run),
        ended_ns: last_sign_of_life(processes),
        processes: gather(processes, job.pid, &run.directory),
        job,
        is_killed_as_group: run.identity.contains_key(OOM_GROUP),
        bounds,
        near,
        on_oom: run.on_oom,
        killed: run
            .outcome
            .as_ref()
            .map_or(Vec::new(), |outcome| outcome.killed.clone()),
        ended: run.ending.as_ref().map_or(String::new(), |ending| ending.ended.clone()),
        ..Observed::default()
    })
}

/// The supervisor's child.
pub fn first(run: &Run, processes: &[Process]) -> ProcessName {
    let child = processes.iter().find(|process| process.facts.ppid == run.supervisor);
    let pid = child.or(processes.first()).map_or(0, |process| process.facts.pid);
    ProcessName {
        pid,
        command: command_line(&run.command),
        is_child: false,
    }
}

fn ending(run: &Run) -> Ending {
    match &run.ending {
        Some(ending) => match (ending.status, ending.signal) {
            (Some(status), _) => Ending::Status(status),
            (None, Some(signal)) => Ending::Signal(signal),
            (None, None) => Ending::Unseen,
        },
        None => Ending::Unseen,
    }
}

/// The signal that came before the end, as noted at its arrival.
fn signals(run: &Run) -> Option<Sent> {
    let outcome = run.outcome.as_ref()?;
    Some(Sent {
        signal: outcome.signal?,
        sender: outcome.sender.clone()?,
    })
}

/// A kill on this machine since the start may be the job's, if memory was short.
fn counted(run: &Run, folder: &RunFolder, was_short: bool) -> Counted {
    let mut counted = Counted::default();
    if was_short && lock::is_of_this_boot(&folder.folder) {
        let evidence = run.outcome.iter().flat_map(|outcome| &outcome.evidence);
        let kills = evidence.into_iter().find(|evidence| evidence.source == VMSTAT);
        counted.machine_kills = Change {
            before: kills.and_then(|kills| kills.before),
            after: procfs::machine_kills(&Host::this()),
        };
    }
    counted
}

/// The limits at the start, with what the timeline says last of the tightest.
fn last_bounds(run: &Run, folder: &RunFolder) -> Vec<Bound> {
    let samples = timeline::load(&folder.folder).unwrap_or_default();
    let last = samples.last();
    let used = |limit: &Limit| {
        let sample = last.filter(|sample| sample.limit_bytes == Some(limit.bytes))?;
        sample.cgroup_bytes.filter(|_| is_of_cgroup(limit))
    };
    let bound = |limit: &Limit| Bound {
        kind: limit.kind,
        path: limit.path.clone(),
        bytes: limit.bytes,
        used: used(limit).unwrap_or(0),
        swappable: 0,
    };
    run.limits.iter().map(bound).collect()
}

fn is_of_cgroup(limit: &Limit) -> bool {
    matches!(limit.kind, LimitKind::CgroupV1 | LimitKind::CgroupV2)
}

fn last_change(recording: &Place) -> io::Result<SystemTime> {
    recording.file(u64::MAX)?.metadata()?.modified()
}

/// When a recording was last written to; the kernel notes that for a mapped file when it writes it out.
fn last_sign_of_life(processes: &[Process]) -> u64 {
    let written = |process: &Process| last_change(&process.path).ok();
    let last = processes.iter().filter_map(written).max();
    let since = last.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}
