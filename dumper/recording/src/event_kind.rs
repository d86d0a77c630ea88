//! What happened, and what can go wrong with recording.

#[cfg(doc)]
use crate::{AllocFunction, Event, MAX_FILE_BYTES};

/// What an [`Event`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// An allocation failed; `detail` is an [`AllocFunction`].
    AllocationFailed = 1,
    /// The stash was given back; `bytes` is its size.
    StashReleased = 2,
    /// The stash was taken; `bytes` is its size, `detail` 1 if that is less than was asked for.
    StashTaken = 3,
    /// A report was asked for (SIGUSR2).
    ReportRequested = 4,
    /// Something is missing in the recording; `detail` is a [`Trouble`], `bytes` a number that goes with it.
    Trouble = 5,
    /// This process is a fork; `detail` is the parent's pid.
    Forked = 6,
    /// Python was found; `detail` is `major << 8 | minor`.
    PythonFound = 7,
    /// The job has named a phase that began at `time_ns` with `live_bytes`. `detail` is a string, the name. `bytes` is the highest total
    /// while the phase lasted, and is updated in place. A phase that begins again has no event of its own: `repeats` counts that.
    Mark = 8,
    /// The process ended of itself, with the exit status `detail`.
    Ended = 9,
}

impl EventKind {
    /// The kind with this code, or `None` for a code of a later version.
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::AllocationFailed,
            2 => Self::StashReleased,
            3 => Self::StashTaken,
            4 => Self::ReportRequested,
            5 => Self::Trouble,
            6 => Self::Forked,
            7 => Self::PythonFound,
            8 => Self::Mark,
            9 => Self::Ended,
            _ => return None,
        })
    }
}

/// What can go wrong with recording; never with the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Trouble {
    /// No offsets are known for this Python's version; `bytes` is `major << 8 | minor`, 0 for PyPy.
    UnknownPython = 1,
    /// The offsets for this Python failed the self-check (a debug or patched build).
    PythonSelfCheck = 2,
    /// The file could not grow: disk full or quota; `bytes` is the errno. New sites go to their nearest caller, else to the overflow site.
    CannotGrow = 3,
    /// The file reached [`MAX_FILE_BYTES`]. New sites go to their nearest caller, else to the overflow site.
    Full = 4,
    /// Private memory for the table of live samples was refused; samples are lost.
    NoMemory = 5,
    /// The lock was held when an allocation failed; its callstack is missing.
    Busy = 6,
    /// Python's allocator is not pymalloc or is wrapped by somebody else; small objects are seen as mallocs only.
    NoPythonAllocator = 7,
    /// Too many mappings to follow; later ones are not counted.
    TooManyMappings = 8,
    /// This Python is newer than the known ones and was read by what it says of its own layout; `bytes` as for `UnknownPython`.
    NewerPython = 9,
    /// The program has a Python in it whose symbols were removed.
    HiddenPython = 10,
}

impl Trouble {
    /// The trouble with this code, or `None` for a code of a later version.
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::UnknownPython,
            2 => Self::PythonSelfCheck,
            3 => Self::CannotGrow,
            4 => Self::Full,
            5 => Self::NoMemory,
            6 => Self::Busy,
            7 => Self::NoPythonAllocator,
            8 => Self::TooManyMappings,
            9 => Self::NewerPython,
            10 => Self::HiddenPython,
            _ => return None,
        })
    }
}
