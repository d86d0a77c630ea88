//! The environment variables that the library reads. `fil-profile` sets them for the job, and every process of the job inherits them.

use core::ffi::CStr;
use core::fmt;

/// A variable, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable(&'static CStr);

impl Variable {
    /// Its name, for the C library.
    pub const fn c_name(self) -> &'static CStr {
        self.0
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self.0.to_str() {
            Ok(name) => name,
            // All names are ASCII.
            Err(_) => "",
        }
    }
}

/// Absolute path of the run folder. Without it the library does nothing.
pub const RUN: Variable = Variable(c"FIL_PROFILE_RUN");
/// A [`RunInode`]: the library makes and opens nothing in a folder that is not this one.
pub const RUN_INODE: Variable = Variable(c"FIL_PROFILE_RUN_INODE");
/// [`OFF`]: interpose, but record nothing until the Python package opens a window.
pub const RECORDING: Variable = Variable(c"FIL_PROFILE_RECORDING");
/// [`OFF`]: record the parent's direct child alone.
pub const CHILDREN: Variable = Variable(c"FIL_PROFILE_CHILDREN");
/// The parent's pid. Its direct child takes the stash at once, other processes when they have grown.
pub const SUPERVISOR: Variable = Variable(c"FIL_PROFILE_SUPERVISOR");
/// The name of an [`OnOom`].
pub const ON_OOM: Variable = Variable(c"FIL_PROFILE_ON_OOM");
/// Bytes of the stash; 0 for none.
pub const STASH: Variable = Variable(c"FIL_PROFILE_STASH");
/// Bytes of the stash that the limits leave room for, if that is less than [`STASH`].
pub const STASH_AT_MOST: Variable = Variable(c"FIL_PROFILE_STASH_AT_MOST");
/// Bytes of the limit on address space that the job was started with. Under a smaller limit, which the job has set itself, there is
/// no stash.
pub const LIMIT_AS: Variable = Variable(c"FIL_PROFILE_LIMIT_AS");
/// As [`LIMIT_AS`], of the limit on data.
pub const LIMIT_DATA: Variable = Variable(c"FIL_PROFILE_LIMIT_DATA");
/// Bytes: a block at least as large is told to the supervisor when it is allocated ([`super::Message::LargeBlock`]).
pub const LARGE_REQUEST: Variable = Variable(c"FIL_PROFILE_LARGE_REQUEST");
/// [`ON`]: record every allocation.
pub const EXACT: Variable = Variable(c"FIL_PROFILE_EXACT");
/// Bytes: a fixed mean distance between samples. Without it the distance adapts to the heap.
pub const SAMPLE_INTERVAL: Variable = Variable(c"FIL_PROFILE_SAMPLE_INTERVAL");

/// Every variable of ours.
pub const ALL: [Variable; 13] = [
    RUN,
    RUN_INODE,
    RECORDING,
    CHILDREN,
    SUPERVISOR,
    ON_OOM,
    STASH,
    STASH_AT_MOST,
    LIMIT_AS,
    LIMIT_DATA,
    LARGE_REQUEST,
    EXACT,
    SAMPLE_INTERVAL,
];

/// The variables by which the starters of parallel programs (PyTorch, Open MPI, MPICH, Slurm) tell each process its rank. The first
/// that is set counts: inside a job of Slurm, the starter that is nearest to the process.
pub const RANKS: [Variable; 4] = [
    Variable(c"RANK"),
    Variable(c"OMPI_COMM_WORLD_RANK"),
    Variable(c"PMI_RANK"),
    Variable(c"SLURM_PROCID"),
];

/// The value that switches off what is on by default.
pub const OFF: &str = "off";
/// The value that switches on what is off by default.
pub const ON: &str = "1";

/// What the library does when an allocation fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOom {
    /// It notes the failure, and the program gets its null pointer.
    #[default]
    Report,
    /// It notes the failure and ends the process with [`super::OOM_STATUS`].
    Exit,
}

impl OnOom {
    /// Both.
    pub const ALL: [OnOom; 2] = [OnOom::Report, OnOom::Exit];

    /// The value of [`ON_OOM`] and of the option `--on-oom`.
    pub const fn name(self) -> &'static str {
        match self {
            OnOom::Report => "report",
            OnOom::Exit => "exit",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<OnOom> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// Which folder the run folder is: the value of [`RUN_INODE`], `<device>:<inode>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInode {
    /// Its device; 0 on a network's file system, whose device number differs from machine to machine.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
}

impl RunInode {
    /// Reads the value.
    pub fn parse(value: &str) -> Option<RunInode> {
        let (device, inode) = value.split_once(':')?;
        Some(RunInode {
            device: super::files::number(device)?,
            inode: super::files::number(inode)?,
        })
    }

    /// Whether a folder with this device and inode is the run folder.
    pub const fn is_of(self, device: u64, inode: u64) -> bool {
        inode == self.inode && (self.device == 0 || device == self.device)
    }
}

impl fmt::Display for RunInode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.device, self.inode)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_variable_of_ours_has_a_name_of_its_own() {
        for (number, variable) in ALL.iter().enumerate() {
            assert!(variable.name().starts_with("FIL_PROFILE_"), "{variable:?}");
            assert!(!ALL[..number].contains(variable), "{variable:?}");
        }
        assert!(RANKS.iter().all(|variable| !variable.name().is_empty()));
    }

    #[test]
    fn what_happens_on_oom_is_known_by_its_name() {
        for known in OnOom::ALL {
            assert_eq!(OnOom::from_name(known.name()), Some(known));
        }
        assert_eq!(OnOom::from_name("Exit"), None);
    }

    proptest! {
        #[test]
        fn the_run_folder_is_read_as_it_was_written(device: u64, inode: u64, other: u64) {
            let written = RunInode { device, inode };
            prop_assert_eq!(RunInode::parse(&written.to_string()), Some(written));
            prop_assert!(written.is_of(device, inode));
            prop_assert_eq!(written.is_of(other, inode), device == 0 || other == device);
            prop_assert_eq!(written.is_of(device, other), other == inode);
            let on_any_device = RunInode { device: 0, inode };
            prop_assert!(on_any_device.is_of(other, inode));
        }

        #[test]
        fn what_is_read_as_a_run_folder_is_written_in_the_same_way(value in "[0-9+:-]{0,24}") {
            if let Some(read) = RunInode::parse(&value) {
                prop_assert_eq!(read.to_string(), value);
            }
        }
    }
}
