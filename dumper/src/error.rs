//! What can go wrong with files: always the path, what was tried, and why it failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use recording::VERSION;

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
    /// It is of this later version, and versions up to `known` are known.
    Newer {
        /// Its version.
        version: u32,
        /// The latest that can be read.
        known: u32,
    },
    /// It would take more than a bundle of its size ever does.
    TooLarge(Excess),
}

/// Of what there is too much in a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Of bytes.
    Bytes,
    /// Of call sites and what belongs to them.
    Rows,
    /// Of processes.
    Processes,
    /// A list is longer than any that is written.
    List,
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
            BundleError::Newer { version, known } => write!(
                f,
                "the bundle has version {version} and this fil-profile knows versions up to {known}; use a newer fil-profile"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Why there is nothing to be had from these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// They do not begin as a recording does, or end within its header.
    NotARecording,
    /// They were written by a newer fil-profile, in this version of the layout.
    Newer(u32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::NotARecording => {
                write!(f, "not a recording, or one that ends before it has begun")
            }
            ReadError::Newer(version) => write!(
                f,
                "the recording has layout {version} and this fil-profile knows layouts up to {VERSION}; \
                 use the fil-profile that recorded it, or a newer one"
            ),
        }
    }
}

impl std::error::Error for ReadError {}
