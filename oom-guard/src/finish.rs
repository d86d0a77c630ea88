//! The end of a run, and every report before and after it: one sequence of steps.
//!
//! A report is written for different reasons ([`Trigger`]): by the supervisor when its job ends, by the next run, by a command, or while the
//! job still runs. Each trigger does a subset of these steps ([`Trigger::does`]), always in this order:
//!
//! | step | what it does | if it fails |
//! |---|---|---|
//! | judge | decides why the job ended, if its supervisor has not decided that | cannot fail: the verdict may be `Unknown` |
//! | save | writes the verdict to `run.json`, before anything large is written | is said; the report may still fit |
//! | notify | writes the verdict to the termination log of Kubernetes | ignored: there may be no such file |
//! | write | writes the pictures, `report.json` and `index.html` | the file is named; see below |
//! | tell | prints what the report says | a closed stderr is ignored |
//! | link | points `out-of-memory.svg` at this run | ignored |
//! | flush | puts the whole folder on disk, while memory is short | is said |
//! | prune | removes recordings of small processes that ended well | ignored: the files stay |
//! | bundle | writes `profile.fil`, then removes the recordings that it holds | is said; the recordings stay |
//! | settle | marks the run as reported, moves recordings into the run folder, removes the lock | is said |
//!
//! If a file of the report cannot be written, it is named, and the recordings stay. The run is not settled, so that the next `fil-profile
//! run` or `fil-profile report` tries again. The next run tries once only: it settles the run whatever happens. While the job runs, such a
//! report counts as failed, and the steps after *write* are left out: the next one may be complete.
//!
//! If nothing was recorded and the verdict is not worth a report, the steps from *write* to *bundle* are left out.

pub mod from_disk;
pub mod material;
pub mod orphans;
pub mod source;
pub mod tell;

mod settle;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use dumper::outcome::Kind;
use dumper::report::{self, Written};
use dumper::run::{Headline, Run};
use dumper::{Folder, Unrecorded, bundle, timeline};

use crate::folder::{RunFolder, termination, tidy};
use crate::terminal::progress::Progress;
use crate::terminal::say::say;
use crate::verdict::consequences::{is_about_memory, is_worth_a_report};

use material::Material;

/// Why a report is written, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The supervisor's job has ended.
    JobEnded,
    /// The next `fil-profile run` has found a run that ended without a report.
    LeftBehind,
    /// `fil-profile report` of a run that has ended; it `settles` the run if no supervisor will do so.
    Command { settles: bool },
    /// The run folder must not be changed, or only a part of the run is shown: the folder of somebody else, a copy, a bundle, a single
    /// recording, a snapshot. The report goes elsewhere.
    ReadOnly { is_running: bool },
    /// A running job is close to a limit.
    NearLimit,
    /// An allocation has failed in a running job.
    AllocationFailed,
    /// A running job has got SIGTERM.
    Terminating,
    /// Somebody asks for a report of a running job.
    Requested,
    /// The kernel has killed a process of a running job.
    Killed,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Judge,
    Save,
    Notify,
    Write,
    Tell,
    Link,
    Flush,
    Prune,
    Bundle,
    Settle,
}

/// What has been done.
#[derive(Debug)]
pub struct Finished {
    /// `index.html`; none if there was nothing to report.
    pub page: Option<PathBuf>,
    /// The most that fits a line; none if nothing was recorded.
    pub headline: Option<Headline>,
    /// A line for each file of the report that could not be written.
    pub failed: Vec<String>,
    /// The steps, in the order in which they were done.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests check the order"))]
    pub steps: Vec<Step>,
}

impl Trigger {
    /// Whether a step belongs to this trigger.
    fn does(self, step: Step) -> bool {
        use Step::{Bundle, Flush, Judge, Link, Notify, Prune, Save, Settle, Tell, Write};
        match (step, self) {
            (Write | Tell, _) => true,
            (Judge, _) => !self.is_running(),
            (Notify, Self::JobEnded) => true,
            (Save | Prune | Settle, Self::JobEnded | Self::LeftBehind | Self::Command { settles: true }) => true,
            (Link, Self::ReadOnly { .. }) => false,
            (Link, _) => true,
            (Flush, Self::NearLimit | Self::AllocationFailed | Self::Killed) => true,
            (Bundle, Self::JobEnded | Self::LeftBehind | Self::Command { .. }) => true,
            (Save | Notify | Flush | Prune | Bundle | Settle, _) => false,
        }
    }

    fn is_running(self) -> bool {
        match self {
            Self::JobEnded | Self::LeftBehind | Self::Command { .. } => false,
            Self::ReadOnly { is_running } => is_running,
            Self::NearLimit | Self::AllocationFailed | Self::Terminating | Self::Requested | Self::Killed => true,
        }
    }

    /// As the report names it.
    fn in_the_report(self) -> report::Occasion {
        match self {
            _ if !self.is_running() => report::Occasion::Ended,
            Self::NearLimit => report::Occasion::NearLimit,
            Self::AllocationFailed => report::Occasion::AllocationFailed,
            _ => report::Occasion::Requested,
        }
    }
}

/// Keeps account of the steps of one trigger.
struct Steps {
    trigger: Trigger,
    done: Vec<Step>,
}

impl Steps {
    /// Whether this step is to be done now.
    fn begin(&mut self, step: Step) -> bool {
        let is_due = self.trigger.does(step);
        if is_due {
            self.done.push(step);
        }
        is_due
    }
}

/// Does the steps of `trigger` for `run`, whose folder is `home`. The report goes into the folder `into`.
///
/// # Errors
///
/// The job runs, and a file of the report cannot be written: the next report may be complete.
pub fn finish(
    trigger: Trigger,
    home: &RunFolder,
    into: &Folder,
    mut run: Run,
    material: &Material,
) -> Result<Finished, String> {
    let mut steps = Steps {
        trigger,
        done: Vec::new(),
    };
    if steps.begin(Step::Judge) {
        from_disk::judge_if_unjudged(&mut run, home, &material.processes);
    }
    // A job that ended well has no verdict that must not be lost.
    let ended_well = run
        .outcome
        .as_ref()
        .is_some_and(|outcome| outcome.kind == Kind::Finished);
    if !ended_well && steps.begin(Step::Save) {
        save(&run, home);
    }
    if steps.begin(Step::Notify) {
        notify(&run, material);
    }
    let is_worth_a_report = !material.is_empty() || is_worth_a_report(&run);
    let writes = is_worth_a_report && steps.begin(Step::Write);
    let written = writes.then(|| write(trigger, into, &run, material));
    let page = written.as_ref().map(|written| written.index.clone());
    let failed = written.as_ref().map_or(Vec::new(), |written| written.failed.clone());
    if trigger.is_running() && !failed.is_empty() {
        return Err(failed.join("; "));
    }
    if let Some(written) = written {
        run.headline.clone_from(&written.headline);
        if steps.begin(Step::Tell) {
            tell::tell(trigger, &run, &written);
        }
        if steps.begin(Step::Link) && written.out_of_memory.is_some() {
            let _ = home.link_out_of_memory();
        }
        if steps.begin(Step::Flush) {
            settle::flush(home);
        }
        if steps.begin(Step::Prune) {
            tidy::remove_small(&material.processes, &home.folder);
        }
        if steps.begin(Step::Bundle) {
            let removes = failed.is_empty() && !run.keep_recording && trigger.does(Step::Settle);
            write_bundle(home, &run, material, removes, written);
        }
    }
    let headline = run.headline.clone();
    if failed.is_empty() || trigger == Trigger::LeftBehind {
        if steps.begin(Step::Settle) {
            settle::settle(run, home);
        }
    } else if trigger.does(Step::Save) {
        save(&run, home);
    }
    Ok(Finished {
        page,
        headline,
        failed,
        steps: steps.done,
    })
}

fn save(run: &Run, home: &RunFolder) {
    if let Err(error) = run.save(&home.folder) {
        say(error);
    }
}

/// Sets the message for Kubernetes; empty if the job did not run out of memory.
fn notify(run: &Run, material: &Material) {
    let log = termination::file();
    if !log.exists() {
        return;
    }
    let message = match is_about_memory(run) {
        true => report::termination_message(run, &material.processes),
        false => String::new(),
    };
    let _ = termination::set(&log, &message.lines().collect::<Vec<_>>());
}

fn write(trigger: Trigger, into: &Folder, run: &Run, material: &Material) -> Written {
    let _progress = Progress::show("writing the report");
    if !trigger.is_running() {
        tidy::remove_unfinished(into);
    }
    let reason = trigger.in_the_report();
    report::write(into, run, &material.processes, &material.unreadable, reason)
}

/// Writes the bundle unless there is one already that holds all that is known, and then `removes` the recordings that it holds.
fn write_bundle(home: &RunFolder, run: &Run, material: &Material, removes: bool, report: Written) {
    if material.processes.iter().all(|process| process.bundled.is_some()) {
        return;
    }
    let run = Run {
        report_written: true,
        ..run.clone()
    };
    // The rest is worth a bundle without them, too.
    let timeline = timeline::load(&home.folder).unwrap_or_default();
    let unrecorded = Unrecorded::load(&home.folder).unwrap_or_default();
    let processes = &material.processes;
    match bundle::write(
        &home.folder,
        &run,
        processes,
        &timeline,
        &unrecorded,
        Some(report.sources),
    ) {
        Ok(written) if removes => {
            // Where memory was short, the machine may be the next to go.
            if is_about_memory(&run) {
                settle::flush(home);
            }
            tidy::remove_bundled(&written.recordings);
        }
        Ok(_) => {}
        Err(error) => say(format!("{error}; the recordings stay")),
    }
}
