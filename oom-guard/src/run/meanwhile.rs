//! What is written while the job runs, each time by a process of its own: a report, or a measurement of what is in memory.

use std::cmp::Ordering;

use dumper::outcome::Outcome;
use dumper::report::{Line, charged_to, near_limit, text};
use dumper::run::Run;
use dumper::units::Bytes;

use crate::finish::material::Material;
use crate::finish::{Trigger, finish, from_disk};
use crate::folder::termination;
use crate::kernel::host::Host;
use crate::kernel::identity::OOM_GROUP;
use crate::run::killed_first;
use crate::run::measurer::Why;
use crate::run::record::Record;
use crate::run::reports::Wanted;
use crate::terminal::say::say;
use crate::verdict::observed::{AtFailure, Ending, Observed};
use crate::verdict::{facts, failed_in, judge, words};
use crate::watch::limit_poller::Near;
use crate::watch::measure::{self, Occasion};

/// Writes a report while the job runs, and returns an exit status.
pub fn report(record: &Record, wanted: &Wanted) -> i32 {
    killed_first::before_the_job();
    if matches!(wanted, Wanted::Near(_) | Wanted::Killed(_)) {
        killed_first::limit_processor_time();
    }
    super::status_of(try_report(record, wanted))
}

fn try_report(record: &Record, wanted: &Wanted) -> Result<(), String> {
    let (trigger, measured) = match wanted {
        Wanted::Near(_) => (Trigger::NearLimit, Some("close to the limit")),
        Wanted::Requested => (Trigger::Requested, Some("when a report was asked for")),
        Wanted::Terminating(_) => (Trigger::Terminating, Some("when a report was asked for")),
        // It is measured already: the process waits for that.
        Wanted::Failed(_) => (Trigger::AllocationFailed, None),
        Wanted::Killed(_) => (Trigger::Killed, Some("after a process was killed")),
    };
    let recordings = &record.scratch.folder;
    if let Some(says) = measured {
        let occasion = Occasion {
            says,
            failed: None,
            pages: true,
            holders: !record.run.no_holders,
        };
        measure::measure_processes(&Host::this(), recordings, occasion);
    }
    let material = Material::load(recordings)?;
    let mut run = Run {
        outcome: record.outcome(),
        ..record.run.clone()
    };
    match wanted {
        Wanted::Near(near) => tell_near(record, near, &material),
        Wanted::Terminating(sent) => record.save_with_signal(sent),
        Wanted::Requested if material.is_empty() => say("nothing has been recorded so far"),
        Wanted::Killed(outcome) => {
            let told = run
                .outcome
                .replace((**outcome).clone())
                .map_or(0, |told| told.killed.len());
            let is_all = tell_killed(&run, &material, told);
            record.save_while_running(run.outcome.clone(), None);
            if !is_all {
                return Ok(());
            }
        }
        Wanted::Failed(at_failures) => tell_failed(record, at_failures, &material),
        Wanted::Requested => {}
    }
    let folder = &record.folder;
    let finished = finish(trigger, folder, &folder.folder, run, &material)?;
    if let Wanted::Killed(outcome) = wanted {
        record.save_while_running(Some((**outcome).clone()), finished.headline);
    }
    Ok(())
}

/// As many killed processes are told of while the job runs, and have a report then.
const MOST_TOLD: usize = 5;

/// Prints which processes the kernel has killed, but for the first `told`. Returns false if there are too many to have a report.
fn tell_killed(run: &Run, material: &Material, told: usize) -> bool {
    let killed = run.outcome.iter().flat_map(|outcome| &outcome.killed);
    for (index, killed) in killed.enumerate().skip(told) {
        match index.cmp(&MOST_TOLD) {
            Ordering::Less => {
                let mut lines = vec![Line::Verdict(words::killed_now(killed))];
                lines.extend(charged_to(run, &material.processes, killed));
                text(&lines).iter().for_each(say);
            }
            Ordering::Equal => {
                say("the kernel goes on killing processes of this job; the report at its end counts them")
            }
            Ordering::Greater => {}
        }
    }
    told < MOST_TOLD
}

/// Prints which allocation has failed, at which limit.
fn tell_failed(record: &Record, at_failures: &[AtFailure], material: &Material) {
    let pid = at_failures.last().map_or(0, |then| then.pid);
    let observed = Observed {
        processes: facts::gather(
            &material.processes,
            from_disk::first(&record.run, &material.processes).pid,
            &record.run.directory,
        ),
        at_failures: at_failures.to_vec(),
        ..Observed::default()
    };
    if let Some((process, failure, limit)) = failed_in(&observed, pid) {
        let told = Line::Verdict(words::refused_now(process, failure, limit.as_ref()));
        text(&[told]).iter().for_each(say);
    }
}

/// Measures what is in memory or looks at who holds it, and returns an exit status.
pub fn measure(record: &Record, why: Why) -> i32 {
    killed_first::before_the_job();
    killed_first::limit_processor_time();
    let (says, failed) = match why {
        Why::Failed(pid) => ("when an allocation failed", Some(pid)),
        Why::Grown | Why::Held => ("in passing", None),
    };
    let occasion = Occasion {
        says,
        failed,
        pages: why != Why::Held,
        holders: why != Why::Grown && !record.run.no_holders,
    };
    measure::measure_processes(&Host::this(), &record.scratch.folder, occasion);
    0
}

/// Prints who holds the memory, before the report is written: these may be the last lines about the job.
fn tell_near(record: &Record, near: &Near, material: &Material) {
    let run = Run {
        outcome: Some(Outcome {
            limit: Some(near.bound.limit()),
            ..judge(&Observed {
                ending: Ending::Running,
                ..Observed::default()
            })
        }),
        ..record.run.clone()
    };
    let mut lines = near_limit(&run, &material.processes);
    if let Some(request) = near.request {
        let (asked, left, limit) = (Bytes(request.bytes), Bytes(near.bound.left()), Bytes(near.bound.bytes));
        let asks = format!(
            "Process {} asked for {asked}, and only {left} of {limit} are left",
            request.pid
        );
        // It says more than that a limit is close.
        lines.retain(|line| !matches!(line, Line::Verdict(_)));
        lines.insert(0, Line::Plain(asks));
    }
    let lines = text(&lines);
    lines.iter().for_each(say);
    // Without such a file there is nobody to read it.
    let _ = termination::set(&termination::file(), &lines);
    if record.run.identity.contains_key(OOM_GROUP) {
        killed_first::limit_memory(near.bound.left() / 2);
    }
}
