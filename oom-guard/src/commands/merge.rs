//! `fil-profile merge`: one report of many runs.

use std::path::{Path, PathBuf};

use dumper::merge::Merged;
use dumper::process;
use dumper::run::Run;

use crate::error::Error;
use crate::finish::material::Material;
use crate::finish::{from_disk, source};
use crate::folder::lock::{self, SupervisorState};
use crate::folder::scratch::Scratch;
use crate::folder::{self, RunFolder, find, make_output};
use crate::options::settings::Settings;
use crate::terminal::local_time;
use crate::terminal::progress::Progress;
use crate::terminal::say::say;

/// Reports on the runs that `paths` are or hold, into a folder of its own in the output folder.
pub fn merge(paths: &[PathBuf], settings: &Settings) -> Result<(), Error> {
    let progress = Progress::on_terminal("merging");
    let mut merged = Merged::new();
    let mut missed = Vec::new();
    for named in paths {
        let cannot = |why: &str| Error::Report(format!("cannot merge {}: {why}", named.display()));
        let path = find::meant(named, &settings.output).map_err(|why| cannot(&why))?;
        match (path.is_dir(), path.exists()) {
            (true, _) => {}
            (false, true) => return Err(cannot("not a folder")),
            (false, false) => return Err(cannot("no such folder")),
        }
        for run in runs_in(&path) {
            match load(&run, settings.source.as_deref()) {
                Ok((facts, processes)) => merged.add(&run.folder, &facts, &processes),
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
    let output = settings.output.as_path();
    let name = format!("merged-{}", folder::name(&local_time::now()));
    let folder = make_output(output).and_then(|output| output.make(&name));
    let folder =
        folder.map_err(|error| Error::Report(format!("cannot make {}: {error}", output.join(&name).display())))?;
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
fn runs_in(path: &Path) -> Vec<RunFolder> {
    if let Ok(run) = find::open(path)
        && run.is_run()
    {
        return vec![run];
    }
    let mut runs: Vec<_> = find::runs(path).collect();
    runs.reverse();
    runs
}

fn load(folder: &RunFolder, source: Option<&Path>) -> Result<(Run, Vec<process::Process>), String> {
    let mut run = Run::load(&folder.folder).map_err(|error| error.to_string())?;
    run.source = source::readable(folder.is_ours(), source);
    // Recordings on another machine's disk are missing; the verdict and the timeline are here.
    let material = Scratch::open(folder)
        .ok()
        .and_then(|scratch| Material::load(&scratch.folder).ok());
    let processes = material.map_or(Vec::new(), |material| material.processes);
    let lives = lock::supervisor(&folder.folder) == SupervisorState::Lives || from_disk::is_running(&processes);
    if !lives {
        from_disk::judge_if_unjudged(&mut run, folder, &processes);
    }
    Ok((run, processes))
}
