//! A report that is written beside the job, when memory is short, must be the first to go.

use std::fs::{self, File};
use std::path::Path;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, dup2_stderr};

use crate::procfs::Usage;

/// Makes this process the first that the OOM killer takes, before the job. Nobody needs a privilege to offer himself.
pub fn be_the_first_to_go() {
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}

/// Makes an allocation fail that would let this process grow by more than `room` bytes, and with it the process, silently:
/// where the kernel kills everybody in a cgroup at once, it must not be for a report.
pub fn limit_growth(room: u64) {
    let used = Usage::of(Path::new("/"), Pid::this()).map_or(0, |usage| usage.data);
    let most = used.saturating_add(room);
    let hard = getrlimit(Resource::RLIMIT_DATA).map_or(RLIM_INFINITY, |(_, hard)| hard);
    let _ = setrlimit(Resource::RLIMIT_DATA, most.min(hard), hard);
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = dup2_stderr(nowhere);
    }
}
