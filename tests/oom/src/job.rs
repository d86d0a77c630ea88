//! A job to be run: under `fil-profile` with its options, or on its own for comparison.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Cgroup, Outcome, Python, Running, built, victim};

/// `--on-oom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOom {
    /// The program gets its NULL.
    Report,
    /// Status 53 at the first failed allocation.
    Exit,
}

/// A job and how to run it; nothing happens before [`Job::run`] or [`Job::start`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Job {
    watched: bool,
    options: Vec<OsString>,
    interpreter: Option<PathBuf>,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    soft_address_space: Option<u64>,
    hard_address_space: Option<u64>,
    stdin: Vec<u8>,
    launcher: Vec<OsString>,
    deadline: Duration,
}

impl Job {
    /// `fil-profile --python … run VICTIM`.
    pub fn python(python: &Python, name: &str) -> Job {
        Job::script(python, &victim(name))
    }

    /// `fil-profile --python … run SCRIPT`, for a script that the test has made itself.
    pub fn script(python: &Python, script: &Path) -> Job {
        let mut job = Job::words([script]);
        job.interpreter = Some(python.path.clone());
        job
    }

    /// `fil-profile --python … run -c CODE`.
    pub fn code(python: &Python, code: &str) -> Job {
        let mut job = Job::words(["-c", code]);
        job.interpreter = Some(python.path.clone());
        job
    }

    /// `fil-profile --python … run -m MODULE`.
    pub fn module(python: &Python, module: &str) -> Job {
        let mut job = Job::words(["-m", module]);
        job.interpreter = Some(python.path.clone());
        job
    }

    /// `fil-profile run VICTIM` with a C victim.
    pub fn c(name: &str) -> Job {
        Job::words([built::c_program(name)])
    }

    /// `fil-profile run WORD…`.
    pub fn words<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Job {
        Job {
            watched: true,
            options: vec!["--no-browser".into(), "--verbose".into()],
            interpreter: None,
            command: words.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            soft_address_space: None,
            hard_address_space: None,
            stdin: Vec::new(),
            launcher: Vec::new(),
            deadline: Duration::from_secs(300),
        }
    }

    /// One more argument of the job.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Job {
        self.command.push(arg.as_ref().to_owned());
        self
    }

    /// One more option of `fil-profile`, before `run`.
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Job {
        self.options.push(option.as_ref().to_owned());
        self
    }

    /// Without `--verbose`, which all jobs have otherwise.
    pub fn brief(mut self) -> Job {
        self.options.retain(|option| option != "--verbose");
        self
    }

    /// `--on-oom`.
    pub fn on_oom(self, policy: OnOom) -> Job {
        self.option(match policy {
            OnOom::Report => "--on-oom=report",
            OnOom::Exit => "--on-oom=exit",
        })
    }

    /// `--exact`.
    pub fn exact(self) -> Job {
        self.option("--exact")
    }

    /// `ulimit -Sv`, in bytes.
    pub fn limit_address_space(mut self, bytes: u64) -> Job {
        self.soft_address_space = Some(bytes);
        self
    }

    /// `ulimit -v`, soft and hard, in bytes.
    pub fn limit_address_space_for_good(mut self, bytes: u64) -> Job {
        self.hard_address_space = Some(bytes);
        self
    }

    /// An environment variable, for `fil-profile` and the job.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Job {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What the job finds on its stdin; nothing otherwise.
    pub fn stdin(mut self, bytes: &[u8]) -> Job {
        self.stdin = bytes.to_owned();
        self
    }

    /// Words before `fil-profile`: a program that executes what follows it, such as `setsid`. The last call comes first.
    pub fn launched_by<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Job {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.launcher = words.chain(std::mem::take(&mut self.launcher)).collect();
        self
    }

    /// In a memory cgroup, `fil-profile` and all.
    pub fn within(self, cgroup: &Cgroup) -> Job {
        self.launched_by(cgroup.launcher())
    }

    /// The same job without `fil-profile`.
    pub fn unwatched(mut self) -> Job {
        self.watched = false;
        self
    }

    /// Runs the job to its end; panics at the deadline.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts the job in a new folder.
    pub fn start(self) -> Running {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        self.start_in(folder)
    }

    /// Starts the job in a folder.
    pub fn start_in(self, folder: tempfile::TempDir) -> Running {
        // Beside the job's folder and not inside: the job finds an empty one.
        let streams = tempfile::tempdir().expect("a temporary folder can be made");
        let file = |name: &str| File::create(streams.path().join(name)).expect("the temporary folder is writable");
        std::fs::write(streams.path().join("stdin"), &self.stdin).expect("the temporary folder is writable");
        let mut command = self.command_line();
        command.current_dir(folder.path());
        command.stdin(File::open(streams.path().join("stdin")).expect("just written"));
        command.stdout(file("stdout")).stderr(file("stderr"));
        Running::start(command, folder, streams, self.deadline)
    }

    fn command_line(&self) -> Command {
        let mut words = self.launcher.clone();
        if self.watched {
            words.push(built::fil_profile().into());
            words.extend(self.options.iter().cloned());
            if let Some(interpreter) = &self.interpreter {
                words.extend(["--python".into(), interpreter.into()]);
            }
            words.push("run".into());
        } else if let Some(interpreter) = &self.interpreter {
            words.push(interpreter.into());
        }
        words.extend(self.command.iter().cloned());
        let mut command = self.limited();
        command.args(words);
        clean(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A shell sets the limits, as a user's does.
    fn limited(&self) -> Command {
        let mut script = String::new();
        for (flag, limit) in [("-v", self.hard_address_space), ("-Sv", self.soft_address_space)] {
            if let Some(bytes) = limit {
                script += &format!("ulimit {flag} {} && ", bytes / 1024);
            }
        }
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script + r#"exec "$@""#).arg("sh");
        command
    }
}

/// Takes away what the developer's shell and cargo put into the environment.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["FIL_PROFILE_", "PYTHON", "CARGO", "LD_", "MALLOC_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        let desktop = matches!(&*text, "DISPLAY" | "WAYLAND_DISPLAY" | "BROWSER" | "VIRTUAL_ENV");
        if ours || desktop {
            command.env_remove(name);
        }
    }
    // Many a test looks into them.
    command.env("FIL_PROFILE_KEEP_RECORDING", "1");
    // A victim that imports another leaves nothing in the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
}
