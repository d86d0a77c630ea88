//! `fil-profile snapshot`: a report of a job that runs, made from outside.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dumper::run::Run;

use recording::protocol::variables::RUN;

use crate::error::Error;
use crate::finish::material::Material;
use crate::finish::{Trigger, finish, source};
use crate::folder::scratch::Scratch;
use crate::folder::{self, RunFolder, find, make_output};
use crate::kernel::host::Host;
use crate::terminal::local_time;
use crate::watch::measure::{self, Occasion};
use recording::protocol::files::LOCK;

/// Reports on the job that `job` names, a process id or a folder, as it is now.
pub fn take(job: &OsStr, output: &Path) -> Result<(), Error> {
    let cannot = |why: String| Error::Report(format!("cannot report on {}: {why}", job.to_string_lossy()));
    let folder = find(job, output).map_err(cannot)?;
    let is_ours = folder.is_ours();
    let scratch = Scratch::open(&folder);
    let recordings = scratch.as_ref().map_or(&folder.folder, |scratch| &scratch.folder);
    let mut run = Run::load(&folder.folder).unwrap_or_default();
    if is_ours {
        let occasion = Occasion {
            says: "for this snapshot",
            failed: None,
            pages: true,
            holders: !run.no_holders,
        };
        measure::measure_processes(&Host::this(), recordings, occasion);
    }
    let material = Material::load(recordings).map_err(cannot)?;
    if material.is_empty() {
        return Err(cannot("nothing has been recorded so far".to_owned()));
    }
    run.source = source::readable(is_ours, None);
    let into = match is_ours {
        true => Ok(folder.folder.clone()),
        false => make_output(output),
    };
    let into = into.and_then(|folder| folder.make(format!("snapshot-{}", folder::name(&local_time::now()))));
    let into = into.map_err(|error| cannot(format!("cannot make a folder for it: {error}")))?;
    let trigger = Trigger::ReadOnly { is_running: true };
    finish(trigger, &folder, &into, run, &material).map_err(cannot)?;
    Ok(())
}

fn find(job: &OsStr, output: &Path) -> Result<RunFolder, String> {
    let pid = job.to_str().and_then(|text| text.parse::<u32>().ok());
    match pid.filter(|_| !Path::new(job).exists()) {
        Some(pid) => find_by_process(pid),
        None => find::run_at(&find::meant(Path::new(job), output)?),
    }
}

/// The run that a process supervises, or that it is part of.
fn find_by_process(pid: u32) -> Result<RunFolder, String> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !process.is_dir() {
        return Err("no such process".to_owned());
    }
    let run = supervised_by(&process).map_or_else(|| environment(&process), |run| Ok(Some(run)));
    let run = run.map_err(|error| format!("cannot read its environment: {error}"))?;
    let run = run.filter(|run| find::is_run(run));
    let run = run.ok_or("this process is not part of a run of fil-profile")?;
    find::open(&run).map_err(|error| error.to_string())
}

/// A supervisor holds the lock of its run.
fn supervised_by(process: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(process.join("fd")).ok()?.flatten();
    let files = files.filter_map(|file| fs::read_link(file.path()).ok());
    let locks = files.filter(|file| file.file_name() == Some(OsStr::new(LOCK)));
    let folders = locks.filter_map(|lock| Some(lock.parent()?.to_owned()));
    folders.into_iter().find(|folder| find::is_run(folder))
}

fn environment(process: &Path) -> std::io::Result<Option<PathBuf>> {
    let variables = fs::read(process.join("environ"))?;
    let mut variables = variables.split(|byte| *byte == 0);
    let run = variables.find_map(|variable| variable.strip_prefix(RUN.name().as_bytes())?.strip_prefix(b"="));
    Ok(run.map(|run| OsStr::from_bytes(run).into()))
}
