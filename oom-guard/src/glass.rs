//! Breaking the glass (`--on-oom=exit`) of a job that has come too near a limit which would kill it: its processes are
//! asked to leave with status 53, and made to if they don't.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::board::Board;
use crate::exit::End;
use crate::process;
use crate::procfs;

/// The status of a job that ran out of memory, and the value by which the preload knows that it shall leave.
const OOM_STATUS: i32 = 53;

/// Leaving takes a moment where the machine has no memory left.
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

    /// Asks the job to leave, if that has not been done.
    pub fn break_now(&mut self, job: Pid) {
        if self.board.break_glass() {
            return;
        }
        self.kill_at = Some(Instant::now() + GRACE);
        for pid in procfs::tree(Path::new("/"), job) {
            process::queue(pid, Signal::SIGUSR2, OOM_STATUS as usize);
        }
    }

    /// How long to wait at most before [`Glass::look`] is called.
    pub fn pause(&self) -> Duration {
        self.kill_at
            .map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Kills what has not left in time.
    pub fn look(&mut self, job: Pid) {
        if self.pause() > Duration::ZERO {
            return;
        }
        self.kill_at = None;
        for pid in procfs::tree(Path::new("/"), job) {
            process::send(pid, libc::SIGKILL);
        }
    }

    /// How the job has ended for whoever waits for us: a program that does not know what is asked of it dies of the signal.
    pub fn end(&self, end: End) -> End {
        match end {
            End::Signal(libc::SIGUSR2 | libc::SIGKILL) if self.is_broken() => End::Status(OOM_STATUS),
            end => end,
        }
    }

    /// Whether the job was asked to leave.
    pub fn is_broken(&self) -> bool {
        self.board.is_broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn a_program_that_does_not_know_the_signal_has_left_all_the_same() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let job = Pid::from_raw(child.id() as i32);
        let (board, _) = Board::new().unwrap();
        let mut glass = Glass::new(&board);
        glass.break_now(job);
        let end = end(&mut glass, job);
        // It has been waited for behind its back.
        let _ = child.wait();
        assert_eq!(end, End::Signal(libc::SIGUSR2));
        assert_eq!(glass.end(end), End::Status(OOM_STATUS));
    }

    #[test]
    fn a_program_that_will_not_leave_is_killed() {
        let script = "trap '' USR2; echo; while :; do sleep 600; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let job = Pid::from_raw(child.id() as i32);
        let (board, _) = Board::new().unwrap();
        let mut glass = Glass::new(&board);
        glass.break_now(job);
        glass.break_now(job);
        let end = end(&mut glass, job);
        let _ = child.wait();
        assert_eq!(
            (end, glass.end(end)),
            (End::Signal(libc::SIGKILL), End::Status(OOM_STATUS))
        );
    }

    #[test]
    fn without_breaking_the_glass_an_end_is_what_it_is() {
        let (board, _) = Board::new().unwrap();
        let glass = Glass::new(&board);
        assert_eq!(glass.end(End::Signal(libc::SIGKILL)), End::Signal(libc::SIGKILL));
    }
}
