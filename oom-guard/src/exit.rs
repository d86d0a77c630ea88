//! How fil-profile ends: with the job's status, or of the job's signal.

use nix::sys::prctl;

use crate::kernel::process;

/// How the job ended, and so how we shall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Status(i32),
    /// A signal killed it.
    Signal(i32),
}

impl End {
    /// The end that waitpid(2) tells of; `None` if the process has not ended.
    pub fn of(status: i32) -> Option<Self> {
        if libc::WIFEXITED(status) {
            Some(Self::Status(libc::WEXITSTATUS(status)))
        } else {
            libc::WIFSIGNALED(status).then(|| Self::Signal(libc::WTERMSIG(status)))
        }
    }

    /// What a shell shows for it in `$?`.
    pub fn shell_status(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Ends this process in the same way, so that whoever waits for us sees what it would see of the job.
    pub fn leave(self) -> ! {
        if let Self::Signal(signal) = self {
            // The job has left its core file; ours would only overwrite it.
            let _ = prctl::set_dumpable(false);
            process::die_of(signal);
        }
        // Reached with a signal only as process 1 of a container, which no signal of its own can kill.
        std::process::exit(self.shell_status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_sees_a_signal_as_128_and_its_number() {
        let shown = |status| End::of(status).map(End::shell_status);
        assert_eq!(shown(libc::W_EXITCODE(53, 0)), Some(53));
        assert_eq!(shown(libc::W_EXITCODE(0, libc::SIGKILL)), Some(137));
        assert_eq!(shown(libc::W_STOPCODE(libc::SIGTSTP)), None);
    }
}
