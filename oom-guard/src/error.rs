//! Why a job was not started, or a report not written, and the exit status that says so.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Every way to end without a job's own status.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong; the text names the thing and the way out.
    Usage(String),
    /// A script, a module or a program that is not there.
    NoSuchScript(OsString),
    /// A name that is neither a file nor on PATH.
    NoSuchProgram(OsString),
    /// A file that exists but cannot be run.
    NotExecutable(PathBuf),
    /// The kernel refused to start the program.
    Spawn(OsString, io::Error),
    /// The job cannot be recorded, and `--require` says that it then must not run.
    Unrecorded(String),
    /// There is nothing to report, or it cannot be written.
    Report(String),
}

impl Error {
    /// The exit status: 2 for a mistake on the command line or a refusal, 127 and 126 as a shell has them, 1 for a failed report.
    pub fn status(&self) -> i32 {
        match self {
            Self::Usage(_) | Self::NoSuchScript(_) | Self::Unrecorded(_) => 2,
            Self::NoSuchProgram(_) => 127,
            Self::Spawn(_, error) if error.kind() == io::ErrorKind::NotFound => 127,
            Self::NotExecutable(_) | Self::Spawn(..) => 126,
            Self::Report(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &OsStr| name.to_string_lossy().into_owned();
        match self {
            Self::Usage(what) | Self::Report(what) => f.write_str(what),
            Self::Unrecorded(why) => write!(f, "cannot record: {why}; not run, as --require says"),
            Self::NoSuchScript(word) => write!(f, "cannot run {}: no such script", quoted(word)),
            Self::NoSuchProgram(word) => {
                write!(
                    f,
                    "cannot run {}: no such script here, no such program on PATH",
                    quoted(word)
                )
            }
            Self::NotExecutable(path) => {
                write!(f, "cannot run {0}: not executable (chmod +x {0})", path.display())
            }
            Self::Spawn(word, error) => write!(f, "cannot run {}: {error}", quoted(word)),
        }
    }
}

impl std::error::Error for Error {}
