//! The names of the files in a run folder that are not the dumper's.

use std::path::Path;

/// What makes a folder a run's.
pub const RUN: &str = "run.json";
/// The link to the newest run folder.
pub const LATEST: &str = "latest";
/// The link to the picture of the newest run that ran out of memory.
pub const OUT_OF_MEMORY: &str = "out-of-memory.svg";
/// The folder for results where the user names none.
pub const OUTPUT: &str = "fil-result";
/// The lock that the supervisor of a run holds.
pub const LOCK: &str = "lock";
/// The named pipe by which the preload wakes the supervisor.
pub const DOORBELL: &str = "doorbell";
/// The link to the recordings, if they are not in the run folder while the run lasts.
pub const RECORDINGS: &str = "recordings";
/// The preload, beside the program, or the link to it in a run folder.
pub const LIBRARY: &str = "libpreload.so";

/// The process and the number of a recording, by its name `<pid>-<n>.recording`.
pub fn parse_recording(path: &Path) -> Option<(i32, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(".recording")?;
    let (pid, number) = name.split_once('-')?;
    Some((pid.parse().ok()?, number.parse().ok()?))
}
