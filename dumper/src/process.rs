//! The recordings of a run: one for each process of the job.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use recording::MAX_FILE_BYTES;

use crate::damage::Damage;
use crate::error::Error;
use crate::label::{cut, printable};
use crate::recording::Recording;

/// One process of the job.
#[derive(Clone, Debug)]
pub struct Process {
    /// The file that was read.
    pub path: PathBuf,
    /// What it says.
    pub recording: Recording,
    /// What is wrong with it.
    pub damage: Vec<Damage>,
}

impl Process {
    /// What a person would call it: the script, the module, or the program; at most 40 characters.
    pub fn name(&self) -> String {
        let command = &self.recording.command;
        let name = script(command).or(command.first().map(|program| base_name(program)));
        cut(&printable(name.unwrap_or("unknown program")), 40).into_owned()
    }
}

/// Every `*.recording` of a folder in the order of their beginning, or the one file that `path` names. Files that
/// cannot be read are returned apart.
///
/// # Errors
///
/// The folder or the one file cannot be read.
pub fn load(path: &Path) -> Result<(Vec<Process>, Vec<Error>), Error> {
    if !path.is_dir() {
        return Ok((vec![read(path)?], Vec::new()));
    }
    let mut processes = Vec::new();
    let mut errors = Vec::new();
    for entry in fs::read_dir(path).map_err(|reason| Error::read(path, reason))? {
        let file = entry.map_err(|reason| Error::read(path, reason))?.path();
        if file.extension().is_some_and(|extension| extension == "recording") {
            match read(&file) {
                Ok(process) => processes.push(process),
                Err(error) => errors.push(error),
            }
        }
    }
    processes.sort_by(|a, b| (a.recording.started_ns, &a.path).cmp(&(b.recording.started_ns, &b.path)));
    Ok((processes, errors))
}

fn read(path: &Path) -> Result<Process, Error> {
    let bytes = read_bytes(path).map_err(|reason| Error::read(path, reason))?;
    let (recording, damage) = Recording::read(&bytes).map_err(|reason| Error::recording(path, reason))?;
    Ok(Process {
        path: path.to_owned(),
        recording,
        damage,
    })
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a FIFO would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len().min(MAX_FILE_BYTES as u64);
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
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
        let (processes, errors) = load(folder.path()).unwrap();
        assert!(processes.is_empty());
        assert_eq!(errors.len(), 2);
        assert!(load(&folder.path().join("none.recording")).is_err());
    }
}
