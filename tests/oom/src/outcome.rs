//! What a finished job has left behind.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tempfile::TempDir;

use crate::{Folded, Svg};

/// What every line of ours on stderr begins with.
const PREFIX: &str = "=fil-profile= ";

/// A job that has ended; its folder vanishes with this value.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status, unless a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The job's.
    pub stdout: Vec<u8>,
    /// The job's and ours.
    pub stderr: String,
    command: String,
    folder: TempDir,
}

impl Outcome {
    pub(crate) fn new(status: ExitStatus, command: String, folder: TempDir, streams: TempDir) -> Outcome {
        let read = |name: &str| std::fs::read(streams.path().join(name)).expect("the harness made it");
        Outcome {
            status: status.code(),
            signal: status.signal(),
            stdout: read("stdout"),
            stderr: String::from_utf8_lossy(&read("stderr")).into_owned(),
            command,
            folder,
        }
    }

    /// The folder that the job was started in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder, for the next job to be started there.
    pub fn into_folder(self) -> TempDir {
        self.folder
    }

    /// stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The number on the last line of stdout: what the victim says it held.
    #[track_caller]
    pub fn truth(&self) -> u64 {
        let text = self.text();
        let last = text.lines().rev().find_map(|line| line.trim().parse().ok());
        last.unwrap_or_else(|| panic!("no number on stdout: {self}"))
    }

    /// Our lines on stderr, without their prefix.
    pub fn our_lines(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix(PREFIX))
            .collect()
    }

    /// The job's lines on stderr.
    pub fn job_stderr(&self) -> String {
        let theirs = self.stderr.lines().filter(|line| !line.starts_with(PREFIX));
        theirs.fold(String::new(), |text, line| text + line + "\n")
    }

    /// The run folder: the newest in `fil-result`.
    #[track_caller]
    pub fn run_folder(&self) -> PathBuf {
        let latest = self.folder().join("fil-result/latest");
        latest
            .canonicalize()
            .unwrap_or_else(|error| panic!("{}: {error}; {self}", latest.display()))
    }

    /// One standard deviation of what was in use when it ran out, in bytes, as printed on stderr; 0 if none is.
    #[track_caller]
    pub fn printed_error(&self) -> u64 {
        let lines = self.our_lines();
        let line = lines.iter().find(|line| line.starts_with("In use at that moment: "));
        let line = line.unwrap_or_else(|| panic!("no line says how much was in use: {self}"));
        let Some((_, error)) = line.split_once(" ± ") else {
            return 0;
        };
        let mut words = error.split([' ', ',']);
        let number: f64 = words
            .next()
            .and_then(|word| word.parse().ok())
            .expect("a number after ±");
        let unit = match words.next() {
            Some("B") => 0,
            Some("KiB") => 10,
            Some("MiB") => 20,
            unit => panic!("{unit:?} is no unit that an error should need: {line}"),
        };
        (number * f64::from(1 << unit)) as u64
    }

    /// A file of the run folder.
    #[track_caller]
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.run_folder().join(name);
        assert!(path.exists(), "no {name}: {self}");
        path
    }

    /// Whether the run folder has this file.
    #[track_caller]
    pub fn has(&self, name: &str) -> bool {
        self.run_folder().join(name).exists()
    }

    /// The stacks at the moment it ran out, with every file of that report checked.
    #[track_caller]
    pub fn out_of_memory(&self) -> Folded {
        let path = self.file("out-of-memory.svg");
        let line = format!("Wrote memory usage flamegraph to {}", path.display());
        assert!(self.our_lines().contains(&&*line), "no line {line:?}: {self}");
        self.report("out-of-memory")
    }

    /// The stacks at the peak, with every file of that report checked.
    #[track_caller]
    pub fn peak(&self) -> Folded {
        self.report("peak-memory")
    }

    #[track_caller]
    fn report(&self, name: &str) -> Folded {
        self.file("index.html");
        for picture in [format!("{name}.svg"), format!("{name}-reversed.svg")] {
            Svg::load(&self.file(&picture));
        }
        Folded::load(&self.file(&format!("{name}.prof")))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        let tail: Vec<&str> = text.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        writeln!(f, "{}", self.command)?;
        writeln!(f, "--- status {:?}, signal {:?}", self.status, self.signal)?;
        writeln!(f, "--- end of stdout\n{}\n--- stderr\n{}", tail.join("\n"), self.stderr)?;
        let files = std::fs::read_dir(self.folder().join("fil-result/latest/"));
        let names = files.into_iter().flatten().flatten().map(|file| file.file_name());
        writeln!(f, "--- run folder {:?}", names.collect::<Vec<_>>())
    }
}
