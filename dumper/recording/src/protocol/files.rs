//! The names of the files in a run folder that more than one process uses while the job runs.

use core::ffi::CStr;
use core::fmt;
use core::str::FromStr;

/// What was run, where and under which limits.
pub const RUN: &str = "run.json";
/// Held by `fil-profile` for its whole life.
pub const LOCK: &str = "lock";
/// The named pipe on which the library sends a [`super::Message`].
pub const MESSAGE_PIPE: &str = match C_MESSAGE_PIPE.to_str() {
    Ok(name) => name,
    Err(_) => "",
};
/// [`MESSAGE_PIPE`], for the C library.
pub const C_MESSAGE_PIPE: &CStr = c"message-pipe";
/// Memory over time.
pub const TIMELINE: &str = "timeline.csv";
/// The processes without a recording of their own.
pub const UNRECORDED: &str = "unrecorded.json";
/// The names of a notebook's cells.
pub const VIEW: &str = "view.json";
/// A link to the folder where the recordings are meanwhile, where the run folder is on a network's file system.
pub const RECORDINGS: &str = "recordings";
/// Random characters that `run.json` has too; without it the link [`RECORDINGS`] is not followed.
pub const TOKEN: &str = "token";

/// How the name of a recording ends.
pub const RECORDING_ENDS: &str = ".recording";
/// How the name of what was measured of a process ends, which stands beside the recording.
pub const MEASURED_ENDS: &str = ".measured";
/// How the name of what is known of the variables that hold a process's memory ends, which stands beside the recording.
pub const HOLDERS_ENDS: &str = ".holders";

/// The name of a recording: `<pid>-<n>.recording`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingName {
    /// The process, by its id in the job's own namespace.
    pub pid: u32,
    /// Counts the recordings in this folder of processes with this id, from 0.
    pub number: u32,
}

impl RecordingName {
    /// Reads the name of a recording. Any other name, also one with leading zeros, is none.
    pub fn parse(name: &str) -> Option<RecordingName> {
        Self::before(name, RECORDING_ENDS)
    }

    /// The recording beside which a file with this name, `<pid>-<n>.measured` or `<pid>-<n>.holders`, stands.
    pub fn parse_beside(name: &str) -> Option<RecordingName> {
        Self::before(name, MEASURED_ENDS).or_else(|| Self::before(name, HOLDERS_ENDS))
    }

    /// The name of what was measured of this process: `<pid>-<n>.measured`.
    pub fn measured(self) -> impl fmt::Display {
        struct Measured(RecordingName);
        impl fmt::Display for Measured {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}-{}{MEASURED_ENDS}", self.0.pid, self.0.number)
            }
        }
        Measured(self)
    }

    fn before(name: &str, end: &str) -> Option<RecordingName> {
        let (pid, count) = name.strip_suffix(end)?.split_once('-')?;
        Some(RecordingName {
            pid: number(pid)?,
            number: number(count)?,
        })
    }
}

impl fmt::Display for RecordingName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}{RECORDING_ENDS}", self.pid, self.number)
    }
}

/// A number as [`fmt::Display`] writes it: digits alone, without leading zeros.
pub(super) fn number<N: FromStr>(text: &str) -> Option<N> {
    let is_canonical = text == "0" || !text.starts_with(['0', '+', '-']);
    text.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_files_are_no_recordings() {
        for name in [
            "x-0.recording",
            "-0.recording",
            "7-.recording",
            "7.recording",
            "7-0.recording.txt",
            "7-0.measured",
            "+7-0.recording",
            "07-0.recording",
            "7-00.recording",
            "7-0-1.recording",
            "4294967296-0.recording",
            ".7-0.recording",
            "",
        ] {
            assert_eq!(RecordingName::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(pid: u32, number: u32) {
            let name = RecordingName { pid, number };
            prop_assert_eq!(RecordingName::parse(&name.to_string()), Some(name));
            let measured = name.measured().to_string();
            let holders = measured.replace(MEASURED_ENDS, HOLDERS_ENDS);
            for beside in [measured, holders] {
                prop_assert_eq!(RecordingName::parse_beside(&beside), Some(name));
                prop_assert_eq!(RecordingName::parse(&beside), None);
            }
        }

        #[test]
        fn a_name_that_is_read_is_written_in_the_same_way(name in "[0-9+]{0,3}-?[0-9-]{0,3}(.recording)?") {
            if let Some(read) = RecordingName::parse(&name) {
                prop_assert_eq!(read.to_string(), name);
            }
        }
    }
}
