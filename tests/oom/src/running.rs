//! A job that runs: wait for something it does, send it a signal, and see it to its end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Outcome, processes};

/// A started job.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    folder: TempDir,
    streams: TempDir,
    deadline: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command, folder: TempDir, streams: TempDir, deadline: Duration) -> Running {
        let child = command.spawn().expect("/bin/sh can be run");
        let words = command.get_args().map(|word| word.to_string_lossy());
        Running {
            child,
            command: words.collect::<Vec<_>>().join(" "),
            folder,
            streams,
            deadline: Instant::now() + deadline,
        }
    }

    /// The process started: `fil-profile`, or the job itself where it is not watched.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The job's first process, below `fil-profile`.
    #[track_caller]
    pub fn job(&mut self) -> Pid {
        let supervisor = self.pid();
        let program = |pid: Pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
        self.wait_for("the job's process", |_| {
            // The signal probe, and a job that has not been executed yet, are of the same program as the supervisor.
            let ours = program(supervisor)?;
            let is_job = |pid: &Pid| program(*pid).is_some_and(|program| program != ours);
            processes::children(supervisor).into_iter().find(is_job)
        })
    }

    /// The process of `fil-profile` that watches over the job: a child of the one that was started.
    #[track_caller]
    pub fn supervisor(&mut self) -> Pid {
        let parent = self.pid();
        let is_supervisor = |pid: &Pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            // The signal probe has another name, and the job another program.
            name.trim_end() == "fil-profile" && std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
        };
        self.wait_for("supervisor", |_| {
            processes::children(parent).into_iter().find(is_supervisor)
        })
    }

    /// The folder that it was started in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> Vec<u8> {
        std::fs::read(self.streams.path().join("stdout")).unwrap_or_default()
    }

    /// What it, or `fil-profile`, has written to stderr so far.
    pub fn stderr(&self) -> String {
        let bytes = std::fs::read(self.streams.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the job has written `text` to stdout.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, text: &str) {
        self.wait_for(text, |job| {
            String::from_utf8_lossy(&job.stdout()).contains(text).then_some(())
        });
    }

    /// Waits until a file is there, and returns its path.
    #[track_caller]
    pub fn wait_for_file(&mut self, path: &str) -> PathBuf {
        self.wait_for(path, |job| {
            let path = job.folder().join(path);
            path.exists().then_some(path)
        })
    }

    /// Asks again and again, until there is an answer or the deadline has come.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut(&Running) -> Option<T>) -> T {
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if Instant::now() > self.deadline {
                self.kill();
                panic!("no {what} before the deadline: {self}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, pid: Pid, signal: Signal) {
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal} to {pid}: {error}; {self}"));
    }

    /// Waits for the end; panics at the deadline.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Outcome::new(status, self.command, self.folder, self.streams);
            }
            if Instant::now() > self.deadline {
                self.kill();
                panic!("still running at the deadline: {self}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill(&mut self) {
        for pid in processes::descendants(self.pid()) {
            // It may have ended by itself in the meantime.
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = self.stdout();
        let stdout = String::from_utf8_lossy(&stdout);
        write!(
            f,
            "{}\n--- stdout\n{stdout}\n--- stderr\n{}",
            self.command,
            self.stderr()
        )
    }
}
