//! A folder with a `fil-profile` of its own, with or without a library beside it, to work in.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

pub const PREFIX: &str = "=fil-profile= ";

pub struct Place {
    folder: TempDir,
    program: PathBuf,
}

impl Place {
    /// Without a library, so that jobs run unrecorded.
    pub fn without_library() -> Self {
        Self::new("bin")
    }

    /// With a library that does nothing, so that jobs are supervised.
    pub fn with_library() -> Self {
        Self::with_library_in("bin")
    }

    pub fn with_library_in(folder: &str) -> Self {
        let place = Self::new(folder);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let harmless = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let harmless = harmless.into_iter().find(|path| path.contains("libgcc_s")).unwrap();
        fs::copy(harmless, place.program.with_file_name("libpreload.so")).unwrap();
        place
    }

    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let program = folder.path().join(name).join("fil-profile");
        fs::create_dir(program.parent().unwrap()).unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_fil-profile"), &program).unwrap();
        Self { folder, program }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn library(&self) -> PathBuf {
        self.program.with_file_name("libpreload.so")
    }

    /// `fil-profile` in this folder, without any setting of whoever runs the tests.
    pub fn command(&self, args: &[&str]) -> Command {
        self.started_by(Command::new(&self.program), args)
    }

    /// The same, started by a shell that executes `before` first.
    pub fn command_after(&self, before: &str, args: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
            .arg(&self.program);
        self.started_by(shell, args)
    }

    fn started_by(&self, mut command: Command, args: &[&str]) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FIL_PROFILE_") {
                command.env_remove(name);
            }
        }
        // What a build server or a habit says of colours, before a terminal is asked.
        for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"] {
            command.env_remove(name);
        }
        command
            .env("FIL_PROFILE_KEEP_RECORDING", "1")
            .env_remove("LD_PRELOAD")
            .args(args)
            .current_dir(self.folder.path());
        command
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// `run.json` of the one run.
    pub fn run_json(&self) -> String {
        fs::read_to_string(self.run_folder().join("run.json")).unwrap()
    }

    /// The one run folder.
    pub fn run_folder(&self) -> PathBuf {
        only_folder(&self.path("fil-result"))
    }

    pub fn start(&self, args: &[&str]) -> Running {
        Self::started(self.command(args))
    }

    /// As [`Place::start`], by a shell that executes `before` first.
    pub fn start_after(&self, before: &str, args: &[&str]) -> Running {
        Self::started(self.command_after(before, args))
    }

    fn started(mut command: Command) -> Running {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().unwrap();
        Running {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }
}

/// The one folder in `output` that is not a link.
pub fn only_folder(output: &Path) -> PathBuf {
    let entries = fs::read_dir(output).unwrap().map(|entry| entry.unwrap());
    let folders: Vec<_> = entries.filter(|entry| entry.file_type().unwrap().is_dir()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].path()
}

/// A run that has ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Our lines on stderr, without what they begin with.
    pub fn said(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix(PREFIX))
            .collect()
    }
}

/// A run that goes on.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Kills `fil-profile` and the job at once.
    pub fn kill_all(self) {
        killpg(self.pid(), Signal::SIGKILL).unwrap();
        self.outcome();
    }

    /// Sends a signal to `fil-profile` alone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line of stdout.
    pub fn line(&mut self) -> String {
        next_line(&mut self.stdout)
    }

    /// As [`Running::line`], of a shell that a signal makes say something. If the signal came just before it reads, it waits for a
    /// line all the same, and gets an empty one.
    pub fn heard(&mut self) -> String {
        let mut stdout = [PollFd::new(self.stdout.get_ref().as_fd(), PollFlags::POLLIN)];
        while self.stdout.buffer().is_empty() && poll(&mut stdout, 100u8).unwrap() == 0 {
            writeln!(self.stdin.as_mut().unwrap()).unwrap();
        }
        self.line()
    }

    /// The next line of stderr.
    pub fn complaint(&mut self) -> String {
        next_line(&mut self.stderr)
    }

    /// Closes stdin and waits for the end.
    pub fn end(mut self) -> Outcome {
        drop(self.stdin.take());
        self.outcome()
    }

    /// Waits for the end.
    pub fn outcome(mut self) -> Outcome {
        let [mut stdout, mut stderr] = [String::new(), String::new()];
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        Outcome {
            status: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    /// A test that has failed leaves no job behind.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = killpg(self.pid(), Signal::SIGKILL);
        }
    }
}

fn next_line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
