//! The forced exit of `--on-oom=exit`: kills all processes of a job that is so close to a limit that the kernel would kill it soon.
//! What is recorded of them is in files already, so they need no warning; a signal for that could have another meaning to them.

use std::time::{Duration, Instant};

use nix::unistd::Pid;
use recording::protocol::OOM_STATUS;

use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::process;
use crate::kernel::procfs;
use crate::run::shared_state::SharedState;

/// A process may start another one while its relatives are listed. That one is found this much later.
const GRACE: Duration = Duration::from_secs(1);

/// Whether one job is to be killed, and when again.
#[derive(Debug)]
pub struct ForcedExit<'a> {
    kill_at: Option<Instant>,
    /// Knows whether a supervisor before us has killed the job.
    shared: &'a SharedState,
}

impl<'a> ForcedExit<'a> {
    /// For a job that runs, or that another supervisor has killed.
    pub fn new(shared: &'a SharedState) -> Self {
        let kill_at = shared.has_forced_exit().then(|| Instant::now() + GRACE);
        Self { kill_at, shared }
    }

    /// Kills the job with all its processes, if that has not been done.
    pub fn kill_job(&mut self, job: Pid) {
        if self.shared.set_forced_exit() {
            return;
        }
        self.kill_at = Some(Instant::now() + GRACE);
        kill(job);
    }

    /// How long to wait at most before [`ForcedExit::kill_late_children`] is called.
    pub fn pause(&self) -> Duration {
        self.kill_at
            .map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Kills the processes that were started meanwhile, if that is due.
    pub fn kill_late_children(&mut self, job: Pid) {
        if self.pause() > Duration::ZERO {
            return;
        }
        self.kill_at = None;
        kill(job);
    }

    /// The end that `fil-profile` reports for the job: status 53 if the job was killed here.
    pub fn reported_end(&self, end: End) -> End {
        match end {
            End::Signal(libc::SIGKILL) if self.is_done() => End::Status(OOM_STATUS),
            end => end,
        }
    }

    /// Whether the job was killed here.
    pub fn is_done(&self) -> bool {
        self.shared.has_forced_exit()
    }
}

/// The job first, so that it does not see its children die.
fn kill(job: Pid) {
    for pid in procfs::tree(&Host::this(), job) {
        process::send(pid, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;
    use std::process::Command;

    /// Waits for the job's end as the supervisor does.
    fn end(forced_exit: &mut ForcedExit, job: Pid) -> End {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(end) = process::try_wait_for(job) {
                return end;
            }
            assert!(Instant::now() < deadline);
            forced_exit.kill_late_children(job);
            std::thread::yield_now();
        }
    }

    /// With a handler of its own, which would tell that there was a signal.
    #[test]
    fn a_job_is_killed_with_its_children_and_not_asked_before() {
        let script = "trap 'echo asked' USR1 USR2 TERM; sleep 600 & echo $!; while :; do wait; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let sleeper: i32 = lines.next().unwrap().unwrap().parse().unwrap();
        let job = Pid::from_raw(child.id() as i32);
        let shared = SharedState::new().unwrap();
        let mut forced_exit = ForcedExit::new(&shared);
        forced_exit.kill_job(job);
        forced_exit.kill_job(job);
        let end = end(&mut forced_exit, job);
        // It has been waited for behind its back.
        let _ = child.wait();
        assert_eq!(
            (end, forced_exit.reported_end(end)),
            (End::Signal(libc::SIGKILL), End::Status(OOM_STATUS))
        );
        // The pipe is closed when both are gone, and nothing was said.
        assert_eq!(lines.next().map(Result::unwrap), None, "{sleeper}");
    }

    #[test]
    fn without_a_forced_exit_the_end_is_reported_as_it_is() {
        let shared = SharedState::new().unwrap();
        let forced_exit = ForcedExit::new(&shared);
        assert_eq!(
            forced_exit.reported_end(End::Signal(libc::SIGKILL)),
            End::Signal(libc::SIGKILL)
        );
    }
}
