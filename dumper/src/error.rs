//! What can go wrong with files: always the path, what was tried, and why it failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::Excess;
use crate::damage::ReadError;

/// Why a file could not be read or written. Displays as `cannot read /a/b: No such file or directory (os error 2)`.
#[derive(Debug)]
pub struct Error {
    tried: &'static str,
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Io(io::Error),
    Recording(ReadError),
    Json(serde_json::Error),
    Bundle(BundleError),
}

/// Why there is nothing to be had from a bundle.
#[derive(Debug)]
pub(crate) enum BundleError {
    /// It does not begin as one does.
    None,
    /// It was cut off, or altered.
    Torn,
    /// It is of this later version.
    Newer(u32),
    /// It would take more than a bundle of its size ever does.
    TooLarge(Excess),
}

impl Error {
    pub(crate) fn read(path: &Path, reason: io::Error) -> Error {
        Error {
            tried: "read",
            path: path.to_owned(),
            reason: Reason::Io(reason),
        }
    }

    pub(crate) fn write(path: &Path, reason: io::Error) -> Error {
        Error {
            tried: "write",
            path: path.to_owned(),
            reason: Reason::Io(reason),
        }
    }

    pub(crate) fn recording(path: &Path, reason: ReadError) -> Error {
        Error {
            tried: "read",
            path: path.to_owned(),
            reason: Reason::Recording(reason),
        }
    }

    pub(crate) fn json(path: &Path, reason: serde_json::Error) -> Error {
        Error {
            tried: "understand",
            path: path.to_owned(),
            reason: Reason::Json(reason),
        }
    }

    pub(crate) fn bundle(path: &Path, reason: BundleError) -> Error {
        Error {
            tried: "read",
            path: path.to_owned(),
            reason: Reason::Bundle(reason),
        }
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: ", self.tried, self.path.display())?;
        match &self.reason {
            Reason::Io(reason) => reason.fmt(f),
            Reason::Recording(reason) => reason.fmt(f),
            Reason::Json(reason) => reason.fmt(f),
            Reason::Bundle(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BundleError::None => write!(f, "not a bundle of fil-profile"),
            BundleError::Torn => write!(f, "the bundle was cut off or altered on its way; get it anew"),
            BundleError::TooLarge(excess) => {
                let what = match excess {
                    Excess::Bytes => "unpacks to more than a bundle of its size can hold",
                    Excess::Rows => "claims more call sites than a bundle of its size can hold",
                    Excess::Processes => "claims more processes than a bundle of its size can hold",
                    Excess::List => "has a list that is longer than any bundle's",
                };
                write!(f, "it {what}: fil-profile has not written it")
            }
            BundleError::Newer(version) => write!(
                f,
                "the bundle has version {version} and this fil-profile knows versions up to {}; use a newer fil-profile",
                crate::bundle::VERSION
            ),
        }
    }
}

impl std::error::Error for Error {}
