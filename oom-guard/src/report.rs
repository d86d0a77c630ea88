//! Writing the report of a run and saying what there is to say about it.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dumper::process::{self, Process};
use dumper::report::{self, Occasion, Written};
use dumper::run::Run;

use crate::error::Error;
use crate::folder::{self, RunFolder};
use crate::limits::Limits;
use crate::lock::{self, Supervisor};
use crate::say::say;
use crate::settings::Settings;
use crate::unsupervised;
use crate::workplace::Workplace;

/// Whoever waits longer than this is told what for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a report is made from.
pub struct Material {
    /// The recordings that can be read.
    pub processes: Vec<Process>,
    unreadable: Vec<dumper::Error>,
}

impl Material {
    /// That of `source`, a folder of recordings or one of them.
    pub fn load(source: &Path) -> Result<Self, String> {
        let (processes, unreadable) = process::load(source).map_err(|error| error.to_string())?;
        unreadable.iter().for_each(say);
        Ok(Self { processes, unreadable })
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Whether there are recordings, of which none can be read.
    pub fn is_unreadable(&self) -> bool {
        self.processes.is_empty() && !self.unreadable.is_empty()
    }

    /// Writes the report into `folder`.
    pub fn write(&self, folder: &Path, run: &Run, occasion: Occasion) -> Result<Written, String> {
        let _progress = Progress::new();
        let written = report::write(folder, run, &self.processes, &self.unreadable, occasion);
        written.map_err(|error| {
            if occasion == Occasion::Ended {
                // The log may have room where the disk has none.
                report::termination_message(run, &self.processes).lines().for_each(say);
            }
            error.to_string()
        })
    }
}

/// Says what a report has to say.
pub fn tell(written: &Written) {
    written.summary.iter().for_each(say);
}

/// `fil-profile report`: of a run folder, of one recording, or of the newest run in a folder.
pub fn again(path: Option<PathBuf>, settings: &Settings) -> Result<(), Error> {
    // The preload may have started us below the limits of a job that has run out. Where that fails, so may the report.
    let _ = Limits::read().lifted().set();
    let path = path.unwrap_or_else(|| settings.output.clone());
    let cannot = |error: &dyn std::fmt::Display| Error::Report(format!("cannot report on {}: {error}", path.display()));
    let (folder, source) = find(&path).map_err(|error| cannot(&error))?;
    let workplace = Workplace::of(&folder);
    if source.is_none() && workplace.is_missing() {
        let host = Run::load(&folder.path).unwrap_or_default().host;
        let place = workplace.path.display();
        return Err(cannot(&format!("its recordings are in {place} of {host}, or gone")));
    }
    let material = Material::load(source.as_deref().unwrap_or(&workplace.path)).map_err(Error::Report)?;
    if material.is_unreadable() {
        return Err(Error::Report("no recording can be read".to_owned()));
    }
    let mut run = Run::load(&folder.path).unwrap_or_default();
    if let Some(rank) = settings.rank {
        run.rank = rank.name().to_owned();
    }
    let supervisor = lock::supervisor(&folder.path);
    let is_running = supervisor == Supervisor::Lives || unsupervised::is_running(&material.processes);
    if is_running && run.ending.is_none() {
        if material.is_empty() {
            return Err(cannot(&"nothing has been recorded so far"));
        }
        let written = material.write(&folder.path, &run, Occasion::Requested);
        tell(&written.map_err(Error::Report)?);
        return Ok(());
    }
    if unsupervised::is_unjudged(&run) && folder::is_run(&folder.path) {
        run.outcome = Some(unsupervised::outcome(&run, &folder, &material.processes));
    }
    if material.is_empty() && !unsupervised::is_worth_a_report(&run) {
        return Err(cannot(&"nothing was recorded"));
    }
    let written = material
        .write(&folder.path, &run, Occasion::Ended)
        .map_err(Error::Report)?;
    tell(&written);
    if written.out_of_memory.is_some() {
        // A link less is no reason to lose the rest.
        let _ = folder.link_out_of_memory();
    }
    // One that is on another machine and cannot be asked may still have its own word to say.
    if source.is_none() && supervisor == Supervisor::Gone && !run.report_written {
        unsupervised::settle(run, &folder);
    }
    Ok(())
}

/// The run folder, and the one recording that is meant, if it is one.
fn find(path: &Path) -> Result<(RunFolder, Option<PathBuf>), String> {
    let open = |folder: &Path| RunFolder::open(folder).map_err(|error| error.to_string());
    if path.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok((open(folder.unwrap_or(Path::new(".")))?, Some(path.to_owned())));
    }
    Ok((find_run(path)?, None))
}

/// The run that a folder is, or the newest of those in it.
pub fn find_run(path: &Path) -> Result<RunFolder, String> {
    if !path.is_dir() {
        return Err("no such file or folder".to_owned());
    }
    let run = if folder::is_run(path) {
        Some(path.to_owned())
    } else {
        folder::runs(path).next()
    };
    let run = run.ok_or("no run in this folder")?;
    RunFolder::open(&run).map_err(|error| error.to_string())
}

/// Says after a while that we are still busy.
struct Progress {
    _done: mpsc::Sender<()>,
}

impl Progress {
    fn new() -> Self {
        let (done, wait) = mpsc::channel();
        // A small stack: there may be little address space. Without the thread there is only no such line.
        let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                say("writing the report …");
            }
        });
        Self { _done: done }
    }
}
