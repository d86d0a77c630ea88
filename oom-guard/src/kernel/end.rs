//! How a process ended, as its parent sees it.

/// An exit status or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited with this status.
    Status(i32),
    /// A signal killed it.
    Signal(i32),
}

impl End {
    /// The end in a status of waitpid(2); `None` if the process has not ended.
    pub fn from_wait_status(status: i32) -> Option<Self> {
        if libc::WIFEXITED(status) {
            Some(Self::Status(libc::WEXITSTATUS(status)))
        } else {
            libc::WIFSIGNALED(status).then(|| Self::Signal(libc::WTERMSIG(status)))
        }
    }

    /// The value of `$?` in a shell.
    pub fn shell_status(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_sees_a_signal_as_128_and_its_number() {
        let shown = |status| End::from_wait_status(status).map(End::shell_status);
        assert_eq!(shown(libc::W_EXITCODE(53, 0)), Some(53));
        assert_eq!(shown(libc::W_EXITCODE(0, libc::SIGKILL)), Some(137));
        assert_eq!(shown(libc::W_STOPCODE(libc::SIGTSTP)), None);
    }
}
