//! Finds and reads what a report is about: a run folder, a bundle, or one recording.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use dumper::Unrecorded;
use dumper::bundle;
use dumper::folder::Place;
use dumper::run::Run;
use dumper::timeline::{self, Sample};

use recording::protocol::files;

use crate::error::Error;
use crate::finish::material::Material;
use crate::finish::{from_disk, source};
use crate::folder::lock::{self, SupervisorState};
use crate::folder::scratch::{Missing, Scratch};
use crate::folder::{self, RunFolder, find};
use crate::options::settings::Settings;
use crate::start::limits::ResourceLimits;
use crate::terminal::say::say;

/// A run that can be reported on.
#[derive(Debug)]
pub struct Subject {
    /// As the user named it.
    pub path: PathBuf,
    /// Which part of it was named.
    pub origin: Origin,
    /// The run folder, or the folder of the one file.
    pub folder: RunFolder,
    /// The run; it has a verdict unless it still runs.
    pub run: Run,
    /// Its processes.
    pub material: Material,
    /// How much memory it had over time.
    pub timeline: Vec<Sample>,
    /// Its processes without a recording of their own.
    pub unrecorded: Unrecorded,
    /// Whether this user's fil-profile has made the run folder here, or the user has said so with `--trust`. Only then is anything in it
    /// changed, and only then do its names of source files mean files of this machine. Always false for a bundle.
    pub is_ours: bool,
    /// Whether the job has not ended.
    pub is_running: bool,
    /// Whether the supervisor still lives.
    pub supervisor: SupervisorState,
}

/// Which part of a run was named.
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
    /// What is at `path`, or the newest run in the folder for results.
    pub fn find(path: Option<PathBuf>, settings: &Settings) -> Result<Self, Error> {
        // Best effort: the preload may have started us under the limits of a job that has run out of memory.
        ResourceLimits::read().lifted().set();
        let is_named = path.is_some();
        let named = path.unwrap_or_else(|| settings.output.clone());
        let cannot = |error: &dyn Display| Error::Report(format!("cannot report on {}: {error}", named.display()));
        let path = match is_named {
            true => find::meant(&named, &settings.output).map_err(|error| cannot(&error))?,
            false => named.clone(),
        };
        if !is_named {
            folder::is_usable(&path).map_err(|error| cannot(&error))?;
        }
        let open = |folder: &Path| find::open(folder).map_err(|error| cannot(&error));
        if !path.is_file() {
            let folder = find::run_at(&path).map_err(|error| cannot(&error))?;
            return Self::of_run(path, folder, settings);
        }
        let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = open(parent.unwrap_or(Path::new(".")))?;
        // The user may have named the file by a link.
        let place = std::fs::canonicalize(&path).and_then(|path| Place::of(&path));
        let place = place.map_err(|error| cannot(&error))?;
        if !bundle::is_bundle(&place) {
            return Self::of_recording(path, &place, folder, settings);
        }
        if path.file_name() == Some(bundle::FILE.as_ref()) && folder.is_run() {
            return Self::of_run(path, folder, settings);
        }
        Self::of_bundle(path, &place, folder, settings)
    }

    fn of_run(path: PathBuf, folder: RunFolder, settings: &Settings) -> Result<Self, Error> {
        let scratch = match Scratch::open(&folder) {
            Ok(scratch) => scratch,
            Err(Missing(place)) => {
                let host = Run::load(&folder.folder).unwrap_or_default().host;
                return Err(Error::Report(format!(
                    "cannot report on {}: its recordings are in {} of {host}, or gone",
                    path.display(),
                    place.display()
                )));
            }
        };
        let material = Material::load(&scratch.folder).map_err(Error::Report)?;
        Self::of_material(path, material, Origin::Run, folder, settings)
    }

    fn of_recording(path: PathBuf, place: &Place, folder: RunFolder, settings: &Settings) -> Result<Self, Error> {
        let material = Material::load_recording(place).map_err(Error::Report)?;
        Self::of_material(path, material, Origin::Recording, folder, settings)
    }

    /// From recordings, and the other files of the folder.
    fn of_material(
        path: PathBuf,
        material: Material,
        origin: Origin,
        folder: RunFolder,
        settings: &Settings,
    ) -> Result<Self, Error> {
        if material.is_unreadable() {
            return Err(Error::Report("no recording can be read".to_owned()));
        }
        let mut run = match folder.folder.has(files::RUN) {
            true => said(Run::load(&folder.folder)),
            false => Run::default(),
        };
        let is_ours = settings.trust || folder.is_ours();
        run.source = source::readable(is_ours, settings.source.as_deref());
        let supervisor = lock::supervisor(&folder.folder);
        let is_running = is_running(supervisor, &material, &run);
        if !is_running && folder.is_run() {
            from_disk::judge_if_unjudged(&mut run, &folder, &material.processes);
        }
        Ok(Self {
            path,
            origin,
            timeline: said(timeline::load(&folder.folder)),
            unrecorded: said(Unrecorded::load(&folder.folder)),
            is_ours,
            folder,
            run,
            material,
            is_running,
            supervisor,
        })
    }

    fn of_bundle(path: PathBuf, place: &Place, folder: RunFolder, settings: &Settings) -> Result<Self, Error> {
        let bundle = bundle::read(place).map_err(|error| Error::Report(error.to_string()))?;
        Ok(Self {
            origin: Origin::Bundle(path.clone()),
            path,
            folder,
            run: Run {
                // A bundle brings the source text that it shows; nobody knows who has made it.
                source: source::readable(false, settings.source.as_deref()),
                ..bundle.run
            },
            material: Material::from(bundle.processes),
            timeline: bundle.timeline,
            unrecorded: bundle.unrecorded,
            is_ours: false,
            is_running: false,
            supervisor: SupervisorState::Gone,
        })
    }
}

/// What was read, or after an error message, nothing.
fn said<T: Default>(read: Result<T, dumper::Error>) -> T {
    read.unwrap_or_else(|error| {
        say(error);
        T::default()
    })
}

fn is_running(supervisor: SupervisorState, material: &Material, run: &Run) -> bool {
    let runs = supervisor == SupervisorState::Lives || from_disk::is_running(&material.processes);
    runs && run.ending.is_none()
}
