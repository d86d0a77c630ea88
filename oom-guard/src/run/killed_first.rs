//! Our own processes beside the job must be killed before the job when memory is short.

use std::fs::{self, File};
use std::io::Write;
use std::sync::OnceLock;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, dup2_stderr};

use crate::kernel::host::Host;
use crate::kernel::procfs::Usage;

/// The kernel adds this to the size of a process when it looks for the largest.
const SCORE: &str = "/proc/self/oom_score_adj";

/// Makes the OOM killer kill this process first, before the job. To raise one's own score needs no privilege.
pub fn before_the_job() {
    let _ = fs::write(SCORE, "1000");
}

/// More than the job's parent has resident.
const PARENT_BYTES: u64 = 8 << 20;
/// The kernel counts a thousandth of the limit for each point, up to a thousand.
const MOST_POINTS: u64 = 1000;
/// Less than any job has. At -1000 the kernel would never kill the process; at this it does so if there is no other.
const LEAST_SCORE: &str = "-999";

/// What this process was started with, which the job gets too. [`AfterTheJob`] changes only that of the job's parent.
fn score_of_the_job() -> i64 {
    static SCORE_OF_THE_JOB: OnceLock<i64> = OnceLock::new();
    *SCORE_OF_THE_JOB.get_or_init(|| number_of(&fs::read_to_string(SCORE).unwrap_or_default()).unwrap_or(0))
}

/// Makes the OOM killer kill this process before the job's parent, however small it is, but after every larger process. `limit` is the
/// limit of the cgroup in bytes.
pub fn before_the_parent(limit: Option<u64>) {
    let more = limit
        .filter(|limit| *limit > 0)
        .map_or(0, |limit| (PARENT_BYTES * MOST_POINTS).div_ceil(limit).min(MOST_POINTS));
    let then = score_of_the_job()
        .saturating_add_unsigned(more)
        .min(MOST_POINTS.cast_signed());
    let _ = fs::write(SCORE, then.to_string());
}

/// Makes the OOM killer kill this process as if it were the job: it was forked from the job's parent.
pub fn as_the_job() {
    before_the_parent(None);
}

/// Makes the OOM killer kill this process after the job, where we may (`CAP_SYS_RESOURCE`). Processes that are forked later inherit
/// that, so it must not be used before the job has started, and the file is opened before that.
pub struct AfterTheJob(Option<File>);

impl AfterTheJob {
    pub fn prepare() -> Self {
        score_of_the_job();
        Self(File::options().write(true).open(SCORE).ok())
    }

    pub fn apply(mut self) {
        let _ = self.0.as_mut().map(|file| file.write_all(LEAST_SCORE.as_bytes()));
    }
}

fn number_of(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

/// Seconds of processor time for work close to a limit: a report of 100,000 callstacks takes one.
const MOST_SECONDS: u64 = 2;

/// Ends this process after [`MOST_SECONDS`] of processor time. In a full cgroup each process that reads a page of a file takes it from
/// another one, which reads it again. As long as that goes on, the kernel kills nobody and no process makes progress.
pub fn limit_processor_time() {
    // SIGXCPU is not mistaken for a lack of memory. It leaves no core file.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = setrlimit(Resource::RLIMIT_CPU, MOST_SECONDS, RLIM_INFINITY);
}

/// Makes this process fail, silently, at an allocation that would let it grow by more than `room` bytes. Where the kernel kills all
/// processes of a cgroup at once, a report must not be the cause.
pub fn limit_memory(room: u64) {
    let used = Usage::read(&Host::this(), Pid::this()).map_or(0, |usage| usage.data);
    let most = used.saturating_add(room);
    let hard = getrlimit(Resource::RLIMIT_DATA).map_or(RLIM_INFINITY, |(_, hard)| hard);
    let _ = setrlimit(Resource::RLIMIT_DATA, most.min(hard), hard);
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = dup2_stderr(nowhere);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::end::End;
    use crate::kernel::process;

    #[test]
    fn a_process_that_would_grow_too_far_ends_and_one_that_stays_small_does_not() {
        let grow_by = |bytes: usize| {
            let pid = process::apart(|| {
                limit_memory(8 << 20);
                i32::from(vec![1u8; bytes].iter().any(|byte| *byte == 0))
            });
            process::wait_for(pid.unwrap())
        };
        assert_eq!(grow_by(1 << 20), Some(End::Status(0)));
        assert_eq!(grow_by(64 << 20), Some(End::Signal(libc::SIGABRT)));
    }

    #[test]
    fn a_process_that_takes_too_long_ends_and_not_as_if_it_had_been_killed_for_memory() {
        let pid = process::apart(|| {
            limit_processor_time();
            loop {
                std::hint::spin_loop();
            }
        });
        assert_eq!(process::wait_for(pid.unwrap()), Some(End::Signal(libc::SIGXCPU)));
    }

    #[test]
    fn a_supervisor_is_larger_than_its_parent_by_what_the_limit_makes_of_a_point() {
        let pid = process::apart(|| {
            let score = || number_of(&fs::read_to_string(SCORE).unwrap_or_default());
            let before = score().unwrap_or(1000);
            before_the_parent(Some(800 << 20));
            let after = score();
            before_the_parent(Some(1 << 20));
            i32::from(after != Some((before + 10).min(1000)) || score() != Some(1000))
        });
        assert_eq!(process::wait_for(pid.unwrap()), Some(End::Status(0)));
    }

    #[test]
    fn a_process_may_always_ask_to_be_killed_first() {
        let pid = process::apart(|| {
            before_the_job();
            let score = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
            i32::from(score.trim() != "1000")
        });
        assert_eq!(process::wait_for(pid.unwrap()), Some(End::Status(0)));
    }
}
