//! Which files of this machine a report may show lines of.

use std::path::Path;

use dumper::LocalSource;

use crate::folder::RunFolder;

/// What a report on the run in `folder` may read: the folder that the user has named, or what the job ran from if this user's fil-profile
/// has made the run folder here.
pub fn readable(folder: &RunFolder, named: Option<&Path>) -> LocalSource {
    match named {
        Some(folder) => LocalSource::Inside(folder.to_owned()),
        None if folder.is_ours() => LocalSource::ThisMachine,
        None => LocalSource::Nothing,
    }
}
