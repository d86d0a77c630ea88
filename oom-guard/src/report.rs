//! Writing the report of a run and saying what there is to say about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dumper::process;
use dumper::report::{self, Occasion, Written};
use dumper::run::Run;

use crate::error::Error;
use crate::folder::{self, RunFolder};
use crate::limits::Limits;
use crate::say::say;
use crate::tidy;

/// Whoever waits longer than this is told what for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes the report of `source`, a run folder or one recording, into `folder`; `None` if nothing was recorded.
pub fn write(folder: &RunFolder, source: &Path, run: &Run, occasion: Occasion) -> Result<Option<Written>, String> {
    let _progress = Progress::new();
    let (processes, unreadable) = process::load(source).map_err(|error| error.to_string())?;
    for error in &unreadable {
        say(error);
    }
    if processes.is_empty() {
        return if unreadable.is_empty() {
            Ok(None)
        } else {
            Err("no recording can be read".to_owned())
        };
    }
    let written =
        report::write(&folder.path, run, &processes, &unreadable, occasion).map_err(|error| error.to_string())?;
    if written.out_of_memory.is_some() {
        // A link less is no reason to lose the rest.
        let _ = folder.link_out_of_memory();
    }
    if occasion == Occasion::Ended {
        tidy::remove_small(&processes);
    }
    Ok(Some(written))
}

/// Says what a report has to say.
pub fn tell(written: &Written) {
    written.summary.iter().for_each(say);
}

/// `fil-profile report`: of a run folder, of one recording, or of the newest run in a folder.
pub fn again(path: Option<PathBuf>, output: &Path) -> Result<(), Error> {
    // The preload may have started us below the limits of a job that has run out. Where that fails, so may the report.
    let _ = Limits::read().lifted().set();
    let path = path.unwrap_or_else(|| output.to_owned());
    let (source, folder) = find(&path)?;
    let cannot = |error: &dyn std::fmt::Display| Error::Report(format!("cannot report on {}: {error}", path.display()));
    let folder = RunFolder::open(&folder).map_err(|error| cannot(&error))?;
    let run = Run::load(&folder.path).unwrap_or_default();
    let is_running = run.ending.is_none() && recordings(&source).iter().any(|file| is_in_use(file));
    let occasion = if is_running {
        Occasion::Requested
    } else {
        Occasion::Ended
    };
    let written = write(&folder, &source, &run, occasion).map_err(Error::Report)?;
    tell(&written.ok_or_else(|| cannot(&"nothing was recorded"))?);
    Ok(())
}

/// What is to be read, and the folder for the report.
fn find(path: &Path) -> Result<(PathBuf, PathBuf), Error> {
    let missing = |what: &str| Error::Report(format!("cannot report on {}: {what}", path.display()));
    if path.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok((path.to_owned(), folder.unwrap_or(Path::new(".")).to_owned()));
    }
    if !path.is_dir() {
        return Err(missing("no such file or folder"));
    }
    let run = if folder::is_run(path) {
        Some(path.to_owned())
    } else {
        folder::newest(path)
    };
    let run = run.ok_or_else(|| missing("no run in this folder"))?;
    Ok((run.clone(), run))
}

fn recordings(source: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(source).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    entries.unwrap_or_else(|_| vec![source.to_owned()])
}

/// Whether the process that a recording `<pid>-<n>.recording` is named for still has it mapped.
fn is_in_use(recording: &Path) -> bool {
    let name = recording.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let maps = name
        .split_once('-')
        .and_then(|(pid, _)| fs::read_to_string(format!("/proc/{pid}/maps")).ok());
    name.ends_with(".recording") && maps.is_some_and(|maps| maps.contains(name))
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
