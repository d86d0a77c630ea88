//! Who holds the memory of a CPython process: the variables of its functions, the globals of its modules, and the types of what they
//! hold. It is read from outside, from a process that runs or from a core file; the process has not been prepared for it, and is
//! neither stopped nor changed.
//!
//! Everything that is read may be anything: a process runs on while it is read, and a core file may be cut short. So every read is
//! checked, every list has an end, and nothing here can fail but by finding less.
//!
//! From the bottom: [`memory`] reads bytes, `layout` says where CPython keeps what, `reader` tells objects from other memory, `objects`
//! knows how large an object is and what it refers to, `roots` finds the variables, `descent` what each holds, and [`inspect`] puts it
//! all into a [`report::Report`].
#![forbid(unsafe_code)]

pub mod blocks;
mod chance;
pub mod core_file;
mod descent;
mod dicts;
mod elf;
mod fast;
mod frames;
mod inspect;
mod interpreter;
pub mod live;
pub mod maps;
pub mod memory;
mod objects;
mod reader;
pub mod report;
mod roots;
mod sampled;
mod types;
mod unpack;

pub use inspect::{Options, inspect};

use std::fmt;

/// Why nothing can be told of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No loaded file has `_PyRuntime`: no Python, one older than 3.7, or one whose symbols were removed.
    NoPython,
    /// A Python, but nothing says which.
    UnknownVersion,
    /// A Python of a version whose layout is not known.
    Unsupported(u8, u8),
    /// A Python without the global interpreter lock, which has another layout.
    FreeThreaded,
    /// A Python without an interpreter: it is about to start, or has ended.
    NotRunning,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPython => f.write_str(
                "no CPython 3.7 or later is in it (no loaded file has the symbol _PyRuntime: another program, or a Python whose \
                 dynamic symbols were stripped)",
            ),
            Self::UnknownVersion => f.write_str("it is a Python, but neither a symbol nor a file name tells which version"),
            Self::Unsupported(major, minor) => {
                write!(f, "its Python is {major}.{minor}; supported are 3.7 to {}.{}", cpython::NEWEST.version.0, cpython::NEWEST.version.1)
            }
            Self::FreeThreaded => f.write_str("its Python is a free-threaded build, which is not supported"),
            Self::NotRunning => f.write_str("its Python has no interpreter: it is just starting, or has ended"),
        }
    }
}

impl std::error::Error for Trouble {}
