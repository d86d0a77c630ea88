//! `fil-profile merge`: one report of many runs.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use dumper::merge::Merged;
use dumper::process;
use dumper::run::Run;

use crate::error::Error;
use crate::folder::{self, RunFolder};
use crate::lock::{self, Supervisor};
use crate::progress::Progress;
use crate::report::Material;
use crate::say::say;
use crate::workplace::Workplace;
use crate::{local_time, unsupervised};

/// Reports on the runs that `paths` are or hold, into a folder of its own in `output`.
pub fn merge(paths: &[PathBuf], output: &Path) -> Result<(), Error> {
    let progress = Progress::on_terminal("merging");
    let mut merged = Merged::new();
    let mut missed = Vec::new();
    for path in paths {
        if !path.is_dir() {
            return Err(Error::Report(format!(
                "cannot merge {}: no such folder",
                path.display()
            )));
        }
        for run in runs_in(path) {
            match load(&run) {
                Ok((facts, processes)) => merged.add(&run, &facts, &processes),
                Err(why) => {
                    merged.miss(why.clone());
                    missed.push(why);
                }
            }
        }
    }
    if merged.tasks().is_empty() {
        drop(progress);
        missed.iter().for_each(say);
        return Err(Error::Report("there is no run in these folders".to_owned()));
    }
    let folder = output.join(format!("merged-{}", folder::name(&local_time::now())));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| Error::Report(format!("cannot make {}: {error}", folder.display())))?;
    let written = merged
        .write(&folder)
        .map_err(|error| Error::Report(error.to_string()))?;
    drop(progress);
    missed.iter().chain(&written.summary).for_each(say);
    say(format!(
        "Wrote memory usage flamegraph to {}",
        written.picture.display()
    ));
    Ok(())
}

/// The oldest first.
fn runs_in(path: &Path) -> Vec<PathBuf> {
    if folder::is_run(path) {
        return vec![path.to_owned()];
    }
    let mut runs: Vec<_> = folder::runs(path).collect();
    runs.reverse();
    runs
}

fn load(path: &Path) -> Result<(Run, Vec<process::Process>), String> {
    let folder = RunFolder::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut run = Run::load(&folder.path).map_err(|error| error.to_string())?;
    let workplace = Workplace::of(&folder);
    // Recordings on another machine's disk are missed; the verdict and the timeline are here.
    let processes = Material::load(&workplace.path).map_or(Vec::new(), |material| material.processes);
    let lives = lock::supervisor(&folder.path) == Supervisor::Lives || unsupervised::is_running(&processes);
    if unsupervised::is_unjudged(&run) && !lives {
        run.outcome = Some(unsupervised::outcome(&run, &folder, &processes));
    }
    Ok((run, processes))
}
