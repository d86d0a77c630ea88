//! Breaking the glass (`--on-oom=exit`) of a job that has come too near a limit which would kill it: its processes are killed.
//! What is recorded of them is in files already, so they need not be asked first, by a signal that they might know otherwise.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::process;
use crate::kernel::procfs;
use crate::run::board::Board;

/// The status of a job that ran out of memory.
const OOM_STATUS: i32 = 53;

/// What a process has started while its relatives were listed is found this much later.
const GRACE: Duration = Duration::from_secs(1);

/// The glass of one job.
#[derive(Debug)]
pub struct Glass<'a> {
    kill_at: Option<Instant>,
    /// Which knows whether it is broken, if by a supervisor before us.
    board: &'a Board,
}

impl<'a> Glass<'a> {
    /// Whole, unless another supervisor has broken it.
    pub fn new(board: &'a Board) -> Self {
        let kill_at = board.is_broken().then(|| Instant::now() + GRACE);
        Self { kill_at, board }
    }

    /// Kills the job with all its processes, if that has not been done.
    pub fn break_now(&mut self, job: Pid) {
        if self.board.break_glass() {
            return;
        }
        self.kill_at = Some(Instant::now() + GRACE);
        kill(job);
    }

    /// How long to wait at most before [`Glass::look`] is called.
    pub fn pause(&self) -> Duration {
        self.kill_at
            .map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Kills what has been started meanwhile.
    pub fn look(&mut self, job: Pid) {
        if self.pause() > Duration::ZERO {
            return;
        }
        self.kill_at = None;
        kill(job);
    }

    /// How the job has ended for whoever waits for us.
    pub fn end(&self, end: End) -> End {
        match end {
            End::Signal(libc::SIGKILL) if self.is_broken() => End::Status(OOM_STATUS),
            end => end,
        }
    }

    /// Whether the job was ended.
    pub fn is_broken(&self) -> bool {
        self.board.is_broken()
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
    fn end(glass: &mut Glass, job: Pid) -> End {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(end) = process::try_wait_for(job) {
                return end;
            }
            assert!(Instant::now() < deadline);
            glass.look(job);
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
        let (board, _) = Board::new().unwrap();
        let mut glass = Glass::new(&board);
        glass.break_now(job);
        glass.break_now(job);
        let end = end(&mut glass, job);
        // It has been waited for behind its back.
        let _ = child.wait();
        assert_eq!(
            (end, glass.end(end)),
            (End::Signal(libc::SIGKILL), End::Status(OOM_STATUS))
        );
        // The pipe is closed when both are gone, and nothing was said.
        assert_eq!(lines.next().map(Result::unwrap), None, "{sleeper}");
    }

    #[test]
    fn without_breaking_the_glass_an_end_is_what_it_is() {
        let (board, _) = Board::new().unwrap();
        let glass = Glass::new(&board);
        assert_eq!(glass.end(End::Signal(libc::SIGKILL)), End::Signal(libc::SIGKILL));
    }
}
