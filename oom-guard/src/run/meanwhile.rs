//! What is written while the job runs, each time by a process of its own: a report, or a measurement of what is in memory.

use dumper::outcome::Outcome;
use dumper::report::{Line, near_limit, text};
use dumper::run::Run;
use dumper::units::Bytes;

use crate::finish::material::Material;
use crate::finish::{Trigger, finish};
use crate::folder::termination;
use crate::kernel::host::Host;
use crate::kernel::identity::OOM_GROUP;
use crate::run::killed_first;
use crate::run::measurer::Why;
use crate::run::record::Record;
use crate::run::reports::Wanted;
use crate::terminal::say::say;
use crate::verdict::judge;
use crate::verdict::observed::{Ending, Observed};
use crate::watch::limit_poller::Near;
use crate::watch::measure;

/// Writes a report while the job runs, and returns an exit status.
pub fn report(record: &Record, wanted: &Wanted) -> i32 {
    killed_first::before_the_job();
    if matches!(wanted, Wanted::Near(_)) {
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
        Wanted::Failed => (Trigger::AllocationFailed, None),
    };
    let recordings = &record.scratch.folder;
    measured.inspect(|why| measure::measure_processes(&Host::this(), recordings, why, None));
    let material = Material::load(recordings)?;
    match wanted {
        Wanted::Near(near) => tell_near(record, near, &material),
        Wanted::Terminating(sent) => record.save_with_signal(sent),
        Wanted::Requested if material.is_empty() => say("nothing has been recorded so far"),
        Wanted::Requested | Wanted::Failed => {}
    }
    let folder = &record.folder;
    finish(trigger, folder, &folder.folder, record.run.clone(), &material).map(drop)
}

/// Measures what is in memory, and returns an exit status.
pub fn measure(record: &Record, why: Why) -> i32 {
    killed_first::before_the_job();
    killed_first::limit_processor_time();
    let (occasion, failed) = match why {
        Why::Failed(pid) => ("when an allocation failed", Some(pid)),
        Why::Grown => ("in passing", None),
    };
    measure::measure_processes(&Host::this(), &record.scratch.folder, occasion, failed);
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
        lines.insert(0, Line::Row(asks));
    }
    let lines = text(&lines);
    lines.iter().for_each(say);
    // Without such a file there is nobody to read it.
    let _ = termination::set(&termination::file(), &lines);
    if record.run.identity.contains_key(OOM_GROUP) {
        killed_first::limit_memory(near.bound.left() / 2);
    }
}
