//! The recordings of a run: one for each process of the job.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::damage::Damage;
use crate::error::Error;
use crate::folder::{Folder, Place};
use crate::label::{cut, printable};
use crate::presentation::Presentation;
use crate::profile::measured::Measurements;
use crate::profile::{Facts, Profile};
use crate::recording;
use crate::source::KeptLines;

/// One process of the job, of which no more is in memory than its recording's header says.
#[derive(Clone, Debug)]
pub struct Process {
    /// The recording.
    pub path: Place,
    /// What its header says.
    pub facts: Facts,
    /// What is wrong with the header.
    pub damage: Vec<Damage>,
    /// All of it, where it comes from a bundle; then there need be no such file.
    pub bundled: Option<Bundled>,
    /// How it wants to be shown.
    pub presentation: SharedPresentation,
}

/// How the recordings in a folder want to be shown. It is read once for all of them: the file can be large.
#[derive(Clone, Debug, Default)]
pub struct SharedPresentation(Arc<OnceLock<Presentation>>);

/// A recording that a bundle has kept.
#[derive(Clone, Debug)]
pub struct Bundled {
    pub(crate) profile: Arc<Profile>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) lines: Arc<KeptLines>,
}

impl Process {
    /// What a person would call it: the script, the module, or the program; at most 40 characters.
    pub fn name(&self) -> String {
        let command = &self.facts.command;
        let name = script(command).or(command.first().map(|program| base_name(program)));
        cut(&printable(name.unwrap_or("unknown program")), 40).into_owned()
    }

    /// `process 12 (load.py)`.
    pub fn who(&self) -> String {
        format!("process {} ({})", self.facts.pid, self.name())
    }

    /// Reads all of it, as it is now and as it wants to be shown, and what is wrong with it.
    ///
    /// # Errors
    ///
    /// It can no longer be read.
    pub fn read(&self) -> Result<(Arc<Profile>, Vec<Damage>), Error> {
        if let Some(bundled) = &self.bundled {
            return Ok((Arc::clone(&bundled.profile), bundled.damage.clone()));
        }
        let (mut profile, damage) = recording::read_file(&self.path, recording::read_from)?;
        profile.measure(Measurements::load(&self.path));
        let load = || self.path.folder().map(Presentation::load).unwrap_or_default();
        profile.present(self.presentation.0.get_or_init(load));
        Ok((Arc::new(profile), damage))
    }

    /// What a bundle has kept of source files.
    pub(crate) fn lines(&self) -> Option<Arc<KeptLines>> {
        self.bundled.as_ref().map(|bundled| Arc::clone(&bundled.lines))
    }

    /// Which recording of the process this is: a process that executes another program begins a new one.
    pub(crate) fn generation(&self) -> (u32, u64) {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        let number = stem.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
        (number.unwrap_or(0), self.facts.started_ns)
    }
}

/// More recordings than a job leaves.
const MOST: usize = 10_000;
/// Every `*.recording` of a folder in the order of their beginning. Files that cannot be read are returned apart.
///
/// # Errors
///
/// The folder cannot be read.
pub fn load(folder: &Folder) -> Result<(Vec<Process>, Vec<Error>), Error> {
    let entries = folder.entries().map_err(|reason| Error::read(folder.path(), reason))?;
    let is_recording = |name: &OsStr| {
        Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "recording")
    };
    let names = entries.into_iter().map(|entry| entry.name);
    let mut processes = Vec::new();
    let mut errors = Vec::new();
    let presentation = SharedPresentation::default();
    // One file can have thousands of names.
    let mut seen = HashSet::new();
    let mut is_new = |name: &OsString| folder.inode(name).is_none_or(|inode| seen.insert(inode));
    for name in names.filter(|name| is_recording(name) && is_new(name)).take(MOST) {
        match read(&Place::within(folder, name)) {
            Ok(process) => processes.push(Process {
                presentation: presentation.clone(),
                ..process
            }),
            Err(error) => errors.push(error),
        }
    }
    processes.sort_by(|a, b| (a.facts.started_ns, &a.path).cmp(&(b.facts.started_ns, &b.path)));
    errors.sort_by(|a, b| a.path().cmp(b.path()));
    Ok((processes, errors))
}

/// The process of one recording.
///
/// # Errors
///
/// It cannot be read, or is none.
pub fn read(path: &Place) -> Result<Process, Error> {
    let (facts, damage) = recording::read_file(path, recording::read_facts)?;
    Ok(Process {
        path: path.clone(),
        facts,
        damage,
        bundled: None,
        presentation: SharedPresentation::default(),
    })
}

/// The script or module in a Python command line.
fn script(command: &[String]) -> Option<&str> {
    let (program, arguments) = command.split_first()?;
    if !base_name(program).starts_with("python") {
        return None;
    }
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "-m" => return arguments.next(),
            "-c" => return Some("python -c"),
            // These take a value of their own.
            "-W" | "-X" | "--check-hash-based-pycs" => drop(arguments.next()),
            option if option.starts_with('-') && option != "-" => {}
            script => return Some(base_name(script)),
        }
    }
    None
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_process_is_called_by_its_script() {
        let named = |line: &str| {
            let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
            script(&command).map(str::to_owned)
        };
        assert_eq!(
            named("/usr/bin/python3.11 -u -X dev /home/ada/load.py --fast").as_deref(),
            Some("load.py")
        );
        assert_eq!(named("python -m pytest -x").as_deref(), Some("pytest"));
        assert_eq!(named("python3 -c print(1)").as_deref(), Some("python -c"));
        assert_eq!(named("python3"), None);
        assert_eq!(named("/usr/bin/sort -u x"), None);
    }

    #[test]
    fn what_cannot_be_read_is_returned_apart() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1-0.recording"), "nonsense").unwrap();
        fs::create_dir(folder.path().join("2-0.recording")).unwrap();
        fs::write(folder.path().join("run.json"), "{}").unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("3-0.recording")).unwrap();
        let sparse = fs::File::create(folder.path().join("4-0.recording")).unwrap();
        sparse.set_len(3 << 30).unwrap();
        let opened = Folder::open(folder.path()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("5-0.recording"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let (processes, errors) = load(&opened).unwrap();
        assert!(processes.is_empty());
        let said: Vec<_> = errors.iter().map(Error::to_string).collect();
        let why = [
            "",
            "not a regular file",
            "a link, which is not followed",
            "larger than",
            "not a regular file",
        ];
        assert_eq!(said.len(), why.len());
        for (said, why) in said.iter().zip(why) {
            assert!(said.contains(why), "{said}");
        }
        assert!(read(&Place::within(&opened, "none.recording")).is_err());
    }

    fn a_recording() -> Vec<u8> {
        let mut bytes = vec![0; size_of::<::recording::Header>()];
        bytes[..8].copy_from_slice(&::recording::MAGIC);
        bytes[8] = ::recording::VERSION as u8;
        bytes
    }

    #[test]
    fn a_file_with_many_names_is_one_recording() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("1-0.recording");
        fs::write(&first, a_recording()).unwrap();
        for number in 2..100 {
            fs::hard_link(&first, folder.path().join(format!("{number}-0.recording"))).unwrap();
        }
        let (processes, errors) = load(&Folder::open(folder.path()).unwrap()).unwrap();
        assert_eq!((processes.len(), errors.len()), (1, 0));
    }

    #[test]
    fn how_recordings_want_to_be_shown_is_read_once_for_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..4 {
            fs::write(folder.path().join(format!("{number}-0.recording")), a_recording()).unwrap();
        }
        fs::write(folder.path().join("view.json"), r#"{"below": "a.py"}"#).unwrap();
        let (processes, _) = load(&Folder::open(folder.path()).unwrap()).unwrap();
        processes[0].read().unwrap();
        assert_eq!(
            processes[2].presentation.0.get().unwrap().below.as_deref(),
            Some("a.py")
        );
    }
}
