//! Finds run folders: by a path, in a folder for results, or by the folder of their recordings.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use dumper::Folder;
use dumper::run::Run;

use crate::folder::scratch::Scratch;
use crate::folder::{RunFolder, is_usable};
use recording::protocol::files::RUN;

/// Opens a run folder by its path, by a link to it, or by the folder of its recordings.
pub fn open(path: &Path) -> io::Result<RunFolder> {
    let named = RunFolder::at(&fs::canonicalize(path)?)?;
    // In a folder of recordings, `run.json` is a link to that of the run folder.
    let home = named.folder.link_target(RUN).ok();
    let home = home.and_then(|run| RunFolder::at(&fs::canonicalize(run.parent()?).ok()?).ok());
    let home = home.filter(|home| Scratch::open_quietly(home).is_some_and(|place| place.is_at(&named.folder)));
    Ok(home.unwrap_or(named))
}

/// The run folders in `output`, the newest first, and then those whose names are no times. A folder with only the report of a run from
/// elsewhere is none.
pub fn runs(output: &Path) -> impl Iterator<Item = RunFolder> {
    let output = fs::canonicalize(output).and_then(|output| Folder::open(&output));
    output
        .into_iter()
        .flat_map(|output| folders(&output))
        .filter(|folder| !Run::is_copy_in(&folder.folder))
}

/// The same, with the folders of reports. Of none of them anything is read.
pub fn folders(output: &Folder) -> impl Iterator<Item = RunFolder> + use<> {
    all(output).filter(RunFolder::is_run)
}

/// All folders in `output`, in the same order.
pub fn all(output: &Folder) -> impl Iterator<Item = RunFolder> + use<> {
    let output = output.clone();
    let entries = output.entries();
    // Links are left out: they may lead anywhere.
    let folders = entries
        .unwrap_or_default()
        .into_iter()
        .filter(|entry| entry.may_be_folder);
    let mut names: Vec<OsString> = folders.map(|entry| entry.name).collect();
    let is_time = |name: &OsString| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    names.sort_unstable_by(|a, b| (is_time(b), b).cmp(&(is_time(a), a)));
    let open = move |name| {
        let folder = output.folder(name).ok()?;
        Some(RunFolder::within(&output, folder))
    };
    names.into_iter().filter_map(open)
}

/// The path that a user means: one that exists, else that of the run with this number or name in the folder for results, as
/// `fil-profile ls` shows them. Number 1 is the newest.
pub fn meant(named: &Path, output: &Path) -> Result<PathBuf, String> {
    let name = named.to_str().filter(|name| !name.contains('/'));
    let Some(name) = name.filter(|_| named.symlink_metadata().is_err()) else {
        return Ok(named.to_owned());
    };
    if let Some(number) = name.parse::<usize>().ok().filter(|number| *number > 0) {
        is_usable(output).map_err(|error| format!("cannot read {}: {error}", output.display()))?;
        let run = runs(output).nth(number - 1);
        let missing = || {
            format!(
                "no run has this number in {}: fil-profile ls lists them",
                output.display()
            )
        };
        return run.map(|run| run.path).ok_or_else(missing);
    }
    let in_output = output.join(name);
    Ok(match in_output.is_dir() && is_usable(output).is_ok() {
        true => in_output,
        false => named.to_owned(),
    })
}

/// The run that a folder is, or the newest of those in it.
pub fn run_at(path: &Path) -> Result<RunFolder, String> {
    if !path.is_dir() {
        let why = match path.exists() {
            true => "neither a folder nor a regular file",
            false => "no such file or folder",
        };
        return Err(why.to_owned());
    }
    let named = open(path).map_err(|error| error.to_string())?;
    let run = Some(named).filter(RunFolder::is_run).or_else(|| runs(path).next());
    run.ok_or_else(|| "no run in this folder".to_owned())
}

/// Whether this is a run folder, or one of recordings.
pub fn is_run(path: &Path) -> bool {
    open(path).is_ok_and(|run| run.is_run())
}
