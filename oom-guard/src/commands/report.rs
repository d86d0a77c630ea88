//! Writing the report of a run and saying what there is to say about it.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use dumper::folder::Place;
use dumper::process::{self, Process};
use dumper::report::{self, Occasion, Written};
use dumper::run::Run;
use dumper::{Folder, Unrecorded, bundle, timeline};

use crate::commands::subject::{Origin, Subject};
use crate::error::Error;
use crate::folder::lock::Supervisor;
use crate::folder::{self, RunFolder};
use crate::options::settings::Settings;
use crate::terminal::paint::Tone;
use crate::terminal::progress::Progress;
use crate::terminal::say::{say, say_in};
use crate::{commands::elsewhere, finish::unsupervised, folder::tidy};

/// Recordings that cannot be read are named up to this number.
const MOST_SAID: usize = 10;

/// What a report is made from.
#[derive(Debug)]
pub struct Material {
    /// The recordings that can be read.
    pub processes: Vec<Process>,
    unreadable: Vec<dumper::Error>,
}

impl Material {
    /// That of a folder with recordings or a bundle. Of a process that has both, the bundle knows more, unless the process has gone on.
    pub fn load(folder: &Folder) -> Result<Self, String> {
        let (mut processes, mut unreadable) = process::load(folder).map_err(|error| error.to_string())?;
        match bundle::of(folder).map(|bundle| bundle::read(&bundle)) {
            None => {}
            Some(Ok(bundle)) => {
                for bundled in bundle.processes {
                    match processes.iter_mut().find(|known| name(known) == name(&bundled)) {
                        None => processes.push(bundled),
                        Some(known) if is_as_old(known, &bundled) => *known = bundled,
                        Some(_) => {}
                    }
                }
                processes.sort_by_key(|process| process.facts.started_ns);
            }
            Some(Err(error)) => unreadable.push(error),
        }
        unreadable.iter().take(MOST_SAID).for_each(say);
        match unreadable.len().saturating_sub(MOST_SAID) {
            0 => {}
            more => say(format!("and {more} more recordings cannot be read")),
        }
        Ok(Self { processes, unreadable })
    }

    /// That of one recording.
    pub fn of_recording(recording: &Place) -> Result<Self, String> {
        let process = process::read(recording).map_err(|error| error.to_string())?;
        Ok(Self::of(vec![process]))
    }

    /// Writes the bundle of a run that has ended, if there are recordings that it does not come from, and removes these if they
    /// are not to be kept.
    pub fn bundle(&self, folder: &RunFolder, run: &Run, removes: bool, report: Written) {
        if self.processes.iter().all(|process| process.bundled.is_some()) {
            return;
        }
        let run = Run {
            report_written: true,
            ..run.clone()
        };
        // A timeline less is no reason to lose the rest.
        let timeline = timeline::load(&folder.folder).unwrap_or_default();
        let unrecorded = Unrecorded::load(&folder.folder).unwrap_or_default();
        let recordings = match bundle::write(
            &folder.folder,
            &run,
            &self.processes,
            &timeline,
            &unrecorded,
            Some(report),
        ) {
            Ok(written) => written.recordings,
            Err(error) => return say(format!("{error}; the recordings stay")),
        };
        if removes {
            // Where memory was short, the machine may be the next to go.
            if unsupervised::is_about_memory(&run) {
                unsupervised::keep(folder);
            }
            tidy::remove_bundled(&recordings);
        }
    }

    /// That of a bundle.
    pub fn of(processes: Vec<Process>) -> Self {
        Self {
            processes,
            unreadable: Vec::new(),
        }
    }

    /// What could not be read.
    pub fn unreadable(&self) -> &[dumper::Error] {
        &self.unreadable
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
    pub fn write(&self, folder: &Folder, run: &Run, occasion: Occasion) -> Result<Written, String> {
        let _progress = Progress::of("writing the report");
        let written = report::write(folder, run, &self.processes, &self.unreadable, occasion);
        // While the job runs, the next report may be whole.
        let is_whole = |written: &Written| written.failed.is_empty() || occasion == Occasion::Ended;
        let written = match written {
            Ok(written) if !is_whole(&written) => return Err(written.failed.join("; ")),
            other => other,
        };
        written.map_err(|error| {
            if occasion == Occasion::Ended {
                // The log may have room where the disk has none.
                report::termination_message(run, &self.processes).lines().for_each(say);
            }
            error.to_string()
        })
    }
}

fn is_as_old(recording: &Process, bundled: &Process) -> bool {
    let age = |process: &Process| (process.facts.samples, process.facts.state, process.facts.live_bytes);
    age(recording) == age(bundled)
}

fn name(process: &Process) -> Option<&OsStr> {
    process.path.file_name()
}

/// Says what a report has to say.
pub fn tell(written: &Written) {
    let first = match written.out_of_memory {
        Some(_) => Tone::Bad,
        None => Tone::Strong,
    };
    let culprit = written.summary.iter().position(|line| is_share(line));
    for (index, line) in written.summary.iter().enumerate() {
        match index {
            0 => say_in(first, line),
            index if Some(index) == culprit => say_in(Tone::Strong, line),
            _ if line.starts_with("Wrote ") => say_in(Tone::Quiet, line),
            _ => say(line),
        }
    }
}

/// Whether a line begins with a share, as that of a call site.
fn is_share(line: &str) -> bool {
    let share = line.trim_start().split_once(" % ");
    share.is_some_and(|(share, _)| share.parse::<f64>().is_ok())
}

/// `fil-profile report`: of a run folder, a bundle, one recording, or of the newest run in a folder.
pub fn again(path: Option<PathBuf>, settings: &Settings) -> Result<(), Error> {
    if settings.made_here {
        let claimed = path.as_deref().map(|path| RunFolder::open(path)?.claim());
        claimed
            .transpose()
            .map_err(|error| Error::Report(format!("the folder of the report: {error}")))?;
    }
    let mut subject = Subject::find(path, settings)?;
    if let Some(rank) = settings.rank {
        subject.run.rank = rank.name().to_owned();
    }
    let cannot = |error: &dyn Display| Error::Report(format!("cannot report on {}: {error}", subject.path.display()));
    if subject.is_running {
        if subject.material.is_empty() {
            return Err(cannot(&"nothing has been recorded so far"));
        }
    } else if subject.material.is_empty() && !unsupervised::is_worth_a_report(&subject.run) {
        return Err(cannot(&"nothing was recorded"));
    }
    let is_elsewhere = !subject.is_ours;
    if is_elsewhere {
        let folder = elsewhere::folder_for(&subject, &settings.output).map_err(|error| cannot(&error))?;
        if !matches!(subject.origin, Origin::Bundle(_)) {
            say(format!(
                "{} is not a folder that your fil-profile has made here: it is only read, and its report is in {} (--trust: in itself)",
                subject.folder.path.display(),
                folder.path.display()
            ));
        }
        subject.folder = folder;
    }
    let (folder, material, run) = (&subject.folder, &subject.material, &mut subject.run);
    tidy::remove_unfinished(&folder.folder);
    let occasion = match subject.is_running {
        true => Occasion::Requested,
        false => Occasion::Ended,
    };
    let written = material.write(&folder.folder, run, occasion).map_err(Error::Report)?;
    tell(&written);
    if !written.failed.is_empty() {
        return Err(Error::Report(written.failed.join("; ")));
    }
    if subject.is_running || is_elsewhere {
        return Ok(());
    }
    if written.out_of_memory.is_some() && folder.is_run() {
        // A link less is no reason to lose the rest.
        let _ = folder.link_out_of_memory();
    }
    if subject.origin == Origin::Run {
        // One that is on another machine and cannot be asked may still have its own word to say.
        let settles = subject.supervisor == Supervisor::Gone && !run.report_written;
        run.headline = written.headline.clone();
        material.bundle(folder, run, settles && !run.keep_recording, written);
        if settles {
            unsupervised::settle(subject.run, folder);
        }
    }
    Ok(())
}

/// The run that a folder is, or the newest of those in it.
pub fn find_run(path: &Path) -> Result<RunFolder, String> {
    if !path.is_dir() {
        return Err("no such file or folder".to_owned());
    }
    let named = RunFolder::open(path).map_err(|error| error.to_string())?;
    let run = Some(named)
        .filter(RunFolder::is_run)
        .or_else(|| folder::runs(path).next());
    run.ok_or_else(|| "no run in this folder".to_owned())
}
