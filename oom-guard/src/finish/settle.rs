//! The last step of a run: from here on nobody reports on it unasked.

use dumper::run::Run;

use crate::folder::scratch::Scratch;
use crate::folder::{RunFolder, lock, tidy};
use crate::terminal::say::say;
use crate::verdict::consequences::is_about_memory;
use recording::protocol::files::MESSAGE_PIPE;

/// Puts all of a run on disk.
pub fn flush(home: &RunFolder) {
    if let Err(error) = dumper::keep(&home.folder) {
        say(error);
    }
}

/// Marks a run as reported, and [clears](clear) its folder.
pub fn settle(mut run: Run, home: &RunFolder) {
    run.report_written = true;
    if let Err(error) = run.save(&home.folder) {
        say(error);
    }
    clear(home);
    if is_about_memory(&run) {
        flush(home);
    }
}

/// Moves the recordings of a run that is reported into its folder, and removes the lock and what else is of use only while it runs. If
/// `fil-profile` is killed before it has done so, the next run does it.
pub fn clear(home: &RunFolder) {
    // If the folder of the recordings is gone, there is nothing to move.
    if let Ok(scratch) = Scratch::open(home) {
        let _ = scratch.folder.remove(MESSAGE_PIPE);
        if let Err(error) = scratch.bring_home(home) {
            say(format!("cannot move the recordings into the run folder: {error}"));
        }
    }
    tidy::remove_unfinished(&home.folder);
    lock::remove(&home.folder);
}
