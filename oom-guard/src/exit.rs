//! How fil-profile ends: with the job's status, or of the job's signal.

use nix::sys::prctl;

use crate::kernel::end::End;
use crate::kernel::process;

/// Ends this process as the job ended, so that whoever waits for us sees what it would see of the job.
pub fn leave(end: End) -> ! {
    if let End::Signal(signal) = end {
        // The job has left its core file; ours would only overwrite it.
        let _ = prctl::set_dumpable(false);
        process::die_of(signal);
    }
    // Reached with a signal only as process 1 of a container, which no signal of its own can kill.
    std::process::exit(end.shell_status())
}
