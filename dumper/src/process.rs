//! The recordings of a run: one for each process of the job.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::damage::Damage;
use crate::error::Error;
use crate::folder::{Folder, Place};
use crate::holders::Holders;
use crate::label::{cut, printable};
use crate::presentation::Presentation;
use crate::profile::measured::Measurements;
use crate::profile::{Facts, Moment, Profile, Rank, State};
use crate::recording;
use crate::run::Run;
use crate::source::{KeptLines, Sources};

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
    /// What it had in memory, once that has been asked for.
    pub present: Present,
}

/// What a process had in memory at each moment, as every view shows it: all of its recording is read for that, once.
#[derive(Clone, Debug, Default)]
pub struct Present(Arc<OnceLock<[u64; Moment::ALL.len()]>>);

/// How the recordings in a folder want to be shown. It is read once for all of them: the file can be large.
#[derive(Clone, Debug, Default)]
pub struct SharedPresentation(Arc<OnceLock<Presentation>>);

/// A recording that a bundle has kept.
#[derive(Clone, Debug)]
pub struct Bundled {
    pub(crate) profile: Arc<Profile>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) lines: Arc<KeptLines>,
    pub(crate) holders: Arc<Holders>,
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
        profile.measure_until_now(Measurements::load(&self.path));
        let load = || self.path.folder().map(Presentation::load).unwrap_or_default();
        profile.present(self.presentation.0.get_or_init(load));
        Ok((Arc::new(profile), damage))
    }

    /// How much of what it held at a moment was in memory, in bytes; what it had asked for, where that is not known. The header says so of a
    /// process that came to say that it ended. What another one has filled after its last look, only all of its recording and what
    /// was measured tell.
    pub fn present(&self, moment: Moment) -> u64 {
        let facts = &self.facts;
        if self.is_known_by_header() {
            match moment {
                Moment::Live => return facts.live_present(),
                Moment::Peak => return facts.peak_present(),
                Moment::OutOfMemory => {}
            }
        }
        let read = || {
            let profile = self.read().ok().map(|(profile, _)| profile);
            Moment::ALL.map(|moment| match (&profile, moment) {
                (Some(profile), _) => profile.at(moment).weight().by(Rank::Resident).bytes,
                (None, Moment::Live) => facts.live_bytes,
                (None, Moment::Peak) => facts.peak_bytes,
                (None, Moment::OutOfMemory) => facts.failure.as_ref().map_or(0, |failure| failure.live_bytes),
            })
        };
        self.present.0.get_or_init(read)[moment as usize]
    }

    /// Whether its header says how much it had in memory: it came to say that it ended, and has looked.
    fn is_known_by_header(&self) -> bool {
        self.facts.state == State::Ended && self.facts.looked_resident_bytes > 0 && self.bundled.is_none()
    }

    /// What was measured of it.
    pub(crate) fn measurements(&self) -> Measurements {
        match &self.bundled {
            Some(bundled) => bundled.profile.measurements().clone(),
            None => Measurements::load(&self.path),
        }
    }

    /// Which variables held its memory. Sites are numbers as long as [`Holders::name_sites`] has not named them.
    pub(crate) fn holders(&self) -> Holders {
        match &self.bundled {
            Some(bundled) => (*bundled.holders).clone(),
            None => Holders::load(&self.path),
        }
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

/// The most processes of which all is read to find the one that had the most in memory: those that had asked for the most, or of which the
/// kernel had counted the most.
const MOST_COMPARED: usize = 16;

/// The process that had the most in memory at a moment; of several, the one that had asked for the most.
pub fn most_present<'a>(processes: impl Iterator<Item = &'a Process>, moment: Moment) -> Option<&'a Process> {
    let mut processes: Vec<&Process> = processes.collect();
    if processes.len() < 2 {
        return processes.pop();
    }
    let size = |process: &Process| {
        let facts = &process.facts;
        facts.peak_bytes.max(facts.live_bytes).max(facts.most_resident_bytes)
    };
    processes.sort_by_key(|process| Reverse(size(process)));
    let mut read = 0;
    processes.retain(|process| {
        read += usize::from(!process.is_known_by_header());
        process.is_known_by_header() || read <= MOST_COMPARED
    });
    // Of equal ones, the first is wanted.
    processes
        .into_iter()
        .rev()
        .max_by_key(|process| process.present(moment))
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
        present: Present::default(),
    })
}

/// The source files for the reports of a run, with those that come with it.
pub(crate) fn sources(run: &Run, processes: &[Process]) -> Sources {
    let mut sources = Sources::new(&run.directory, &run.source, &run.command);
    let folder = processes.first().and_then(|process| process.path.folder());
    sources.add(
        processes.iter().find_map(Process::lines),
        folder.map(Presentation::load).unwrap_or_default(),
    );
    sources
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
    use crate::profile::{Function, Holding, Node, Strings, Tally};
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

    /// One that was killed, in MiB: what it had asked for, and what of that was not in memory.
    fn killed(asked: u64, absent: u64) -> Process {
        let [asked, absent] = [asked, absent].map(|mib| mib << 20);
        let held = Tally::of_bytes(asked);
        let facts = Facts {
            live_bytes: asked,
            peak_bytes: asked,
            absent_bytes: absent,
            looked_resident_bytes: 1,
            ..Facts::default()
        };
        let mut profile = Profile::new(
            facts.clone(),
            vec![Node::default(); 2],
            vec![Function::default()],
            Strings::default(),
        );
        profile.holdings = vec![Holding {
            node: 1,
            live: held,
            peak: held,
            absent: [absent; 3],
            ..Holding::default()
        }];
        profile.measure(Measurements::default());
        Process {
            path: "1-0.recording".into(),
            facts,
            damage: Vec::new(),
            bundled: Some(Bundled {
                profile: Arc::new(profile),
                damage: Vec::new(),
                lines: Arc::default(),
                holders: Arc::default(),
            }),
            presentation: SharedPresentation::default(),
            present: Present::default(),
        }
    }

    #[test]
    fn the_process_that_had_the_most_in_memory_is_not_the_one_that_asked_for_the_most() {
        for moment in [Moment::Live, Moment::Peak] {
            let first = |processes: &[Process]| {
                let first = most_present(processes.iter(), moment).unwrap();
                processes.iter().position(|process| std::ptr::eq(process, first))
            };
            assert_eq!(first(&[killed(300, 200), killed(200, 20), killed(150, 0)]), Some(1));
            assert_eq!(first(&[killed(100, 0), killed(300, 150)]), Some(1));
            assert_eq!(first(&[killed(100, 0), killed(300, 200)]), Some(1));
            assert_eq!(first(&[killed(7, 7)]), Some(0));
        }
        assert!(most_present([].iter(), Moment::Peak).is_none());
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
