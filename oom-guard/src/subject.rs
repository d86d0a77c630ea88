//! What a report of the past is about: a run folder, a bundle, or one recording, found and read.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use dumper::Unrecorded;
use dumper::bundle;
use dumper::run::Run;
use dumper::timeline::{self, Sample};

use crate::error::Error;
use crate::folder::{self, RunFolder};
use crate::limits::Limits;
use crate::lock::{self, Supervisor};
use crate::report::{Material, find_run};
use crate::unsupervised;
use crate::workplace::Workplace;

/// A run that can be reported on.
#[derive(Debug)]
pub struct Subject {
    /// As the user named it.
    pub path: PathBuf,
    /// What of it was named.
    pub origin: Origin,
    /// The run folder, or where the one file is.
    pub folder: RunFolder,
    /// What was run; judged, unless it still runs.
    pub run: Run,
    /// Its processes.
    pub material: Material,
    /// How much memory it had over time.
    pub timeline: Vec<Sample>,
    /// Its processes that are known by a count alone.
    pub unrecorded: Unrecorded,
    /// Whether the job has not ended.
    pub is_running: bool,
    /// What has become of the supervisor.
    pub supervisor: Supervisor,
}

/// What of a run was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All of it.
    Run,
    /// One recording.
    Recording,
    /// A bundle that is not in its run folder.
    Bundle(PathBuf),
}

impl Subject {
    /// What is at `path`, or the newest run in `output`.
    pub fn find(path: Option<PathBuf>, output: &Path) -> Result<Self, Error> {
        // The preload may have started us below the limits of a job that has run out. Where that fails, so may the report.
        Limits::read().lifted().set();
        let path = path.unwrap_or_else(|| output.to_owned());
        let cannot = |error: &dyn Display| Error::Report(format!("cannot report on {}: {error}", path.display()));
        let open = |folder: &Path| RunFolder::open(folder).map_err(|error| cannot(&error));
        if !path.is_file() {
            let folder = find_run(&path).map_err(|error| cannot(&error))?;
            return Self::of_run(path, folder);
        }
        let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = open(parent.unwrap_or(Path::new(".")))?;
        if !bundle::is_bundle(&path) {
            return Self::of_recording(path, folder);
        }
        if path.file_name() == Some(bundle::FILE.as_ref()) && folder::is_run(&folder.path) {
            return Self::of_run(path, folder);
        }
        Self::of_bundle(path, folder)
    }

    fn of_run(path: PathBuf, folder: RunFolder) -> Result<Self, Error> {
        let workplace = Workplace::of(&folder);
        let run = Run::load(&folder.path).unwrap_or_default();
        if workplace.is_missing() {
            let (place, host) = (workplace.path.display(), &run.host);
            return Err(Error::Report(format!(
                "cannot report on {}: its recordings are in {place} of {host}, or gone",
                path.display()
            )));
        }
        Self::of_source(path, &workplace.path, Origin::Run, folder, run)
    }

    fn of_recording(path: PathBuf, folder: RunFolder) -> Result<Self, Error> {
        let run = Run::load(&folder.path).unwrap_or_default();
        Self::of_source(path.clone(), &path, Origin::Recording, folder, run)
    }

    /// Of the recordings that `source` is or holds; what else is known is in the folder.
    fn of_source(path: PathBuf, source: &Path, origin: Origin, folder: RunFolder, mut run: Run) -> Result<Self, Error> {
        let material = readable(source)?;
        let supervisor = lock::supervisor(&folder.path);
        let is_running = is_running(supervisor, &material, &run);
        if !is_running && unsupervised::is_unjudged(&run) && folder::is_run(&folder.path) {
            run.outcome = Some(unsupervised::outcome(&run, &folder, &material.processes));
        }
        Ok(Self {
            path,
            origin,
            timeline: timeline::load(&folder.path).unwrap_or_default(),
            unrecorded: Unrecorded::load(&folder.path).unwrap_or_default(),
            folder,
            run,
            material,
            is_running,
            supervisor,
        })
    }

    fn of_bundle(path: PathBuf, folder: RunFolder) -> Result<Self, Error> {
        let bundle = bundle::read(&path).map_err(|error| Error::Report(error.to_string()))?;
        Ok(Self {
            origin: Origin::Bundle(path.clone()),
            path,
            folder,
            run: bundle.run,
            material: Material::of(bundle.processes),
            timeline: bundle.timeline,
            unrecorded: bundle.unrecorded,
            is_running: false,
            supervisor: Supervisor::Gone,
        })
    }
}

fn readable(source: &Path) -> Result<Material, Error> {
    let material = Material::load(source).map_err(Error::Report)?;
    match material.is_unreadable() {
        true => Err(Error::Report("no recording can be read".to_owned())),
        false => Ok(material),
    }
}

fn is_running(supervisor: Supervisor, material: &Material, run: &Run) -> bool {
    let runs = supervisor == Supervisor::Lives || unsupervised::is_running(&material.processes);
    runs && run.ending.is_none()
}
