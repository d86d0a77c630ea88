//! Runs that ended without a report, as when the kernel kills a whole container at once: the next run in the same folder finds
//! and reports them before it starts its own job, in bounded time.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use dumper::run::Run;

use super::material::Material;
use super::settle::{clear, settle};
use super::{Trigger, finish, from_disk, source};
use crate::folder::lock::{self, SupervisorState};
use crate::folder::scratch::Scratch;
use crate::folder::{self, RunFolder, find};
use crate::kernel::process;
use crate::terminal::say::say;

/// Reports at most this many runs; others wait for the next run, or for `fil-profile report`.
const MOST: usize = 3;

/// Longest delay of the new job's start.
const PATIENCE: Duration = Duration::from_secs(5);

/// The part of it that is kept for writing reports: the search for runs ends so long before.
const TO_WRITE: Duration = Duration::from_secs(4);

/// Reports on the newest runs in `output` that ended without a report.
pub fn report_those_in(output: &Path) {
    let deadline = Instant::now() + PATIENCE;
    // One that cannot be used is told of when the new run needs it.
    let Ok(output) = folder::open_output(output) else {
        return;
    };
    folder::remove_unfinished_links(&output);
    // There may be many folders, on a slow file system, and any of them may take long to read.
    let in_time = || Instant::now() + TO_WRITE < deadline;
    let folders = find::all(&output).take_while(|_| in_time());
    let orphans: Vec<_> = folders
        .filter(|run| !is_discarded_if_unbegun(run))
        .filter(|run| is_left_behind(run) && !is_cleared_if_reported(run))
        .take(MOST)
        .collect();
    for run in orphans {
        // In a process of its own: what is wrong with an old run must not keep the new one from starting.
        let Ok(pid) = process::apart(|| i32::from(report(&run).is_err())) else {
            return;
        };
        while process::try_wait_for(pid).is_none() {
            if Instant::now() > deadline {
                process::send(pid, libc::SIGKILL);
                process::wait_for(pid);
                let path = run.path.display();
                say(format!(
                    "its report takes too long; to write it: fil-profile report {path}"
                ));
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether `fil-profile` was killed before it had written the first file that says what the folder is. Then the folder goes. It is known to be
/// ours by its lock, which has the id of this boot of the machine: what came with a repository or an archive cannot have that.
fn is_discarded_if_unbegun(run: &RunFolder) -> bool {
    let is_unbegun = !run.is_run() && run.folder.is_own() && lock::is_of_this_boot(&run.folder);
    if is_unbegun && lock::supervisor(&run.folder) == SupervisorState::Gone && lock::take_over(&run.folder) {
        run.discard();
    }
    is_unbegun
}

/// Nothing is done for a run folder that somebody else has made, or that came with a repository.
fn is_left_behind(run: &RunFolder) -> bool {
    lock::is_there(&run.folder) && run.is_ours() && lock::supervisor(&run.folder) == SupervisorState::Gone
}

/// Whether a run has its report. `fil-profile` was killed right after that, so its folder is cleared now.
fn is_cleared_if_reported(run: &RunFolder) -> bool {
    let is_reported = !is_still_without(run);
    if is_reported && lock::take_over(&run.folder) {
        clear(run);
    }
    is_reported
}

fn report(folder: &RunFolder) -> Result<(), String> {
    let path = folder.path.display();
    // Another run that starts at this moment may have been faster.
    if !lock::take_over(&folder.folder) || !is_still_without(folder) {
        return Ok(());
    }
    let mut run = Run::load(&folder.folder).map_err(|error| error.to_string())?;
    run.source = source::readable(folder.is_ours(), None);
    let Ok(scratch) = Scratch::open(folder) else {
        say(format!(
            "found a run that ended without a report, and its recordings are gone: {path}"
        ));
        settle(run, folder);
        return Ok(());
    };
    let material = Material::load(&scratch.folder)?;
    if from_disk::is_running(&material.processes) {
        say(format!("found a run that goes on without its fil-profile: {path}"));
        return Ok(());
    }
    say(format!("found a run that ended without a report: {path}"));
    let finished = finish(Trigger::LeftBehind, folder, &folder.folder, run, &material);
    finished
        .map(drop)
        .inspect_err(|error| say(format!("its report cannot be written: {error}")))
}

fn is_still_without(folder: &RunFolder) -> bool {
    Run::load(&folder.folder).is_ok_and(|run| !run.report_written)
}
