//! The names in a folder for results that only `fil-profile` uses; the others are in [`recording::protocol::files`].

use std::path::Path;

use recording::protocol::RecordingName;

/// The link to the newest run folder.
pub const LATEST: &str = "latest";
/// The link to the picture of the newest run that ran out of memory.
pub const OUT_OF_MEMORY: &str = "out-of-memory.svg";
/// The folder for results where the user names none.
pub const OUTPUT: &str = "fil-result";
/// The preload, beside the program, or the link to it in a run folder.
pub const LIBRARY: &str = "libpreload.so";

/// The process and the number of a recording, by its path.
pub fn parse_recording(path: &Path) -> Option<(i32, u32)> {
    let name = RecordingName::parse(path.file_name()?.to_str()?)?;
    Some((i32::try_from(name.pid).ok()?, name.number))
}
