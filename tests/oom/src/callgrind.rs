//! Counting the instructions of a job, which do not depend on what else the machine does.

use crate::{Job, Outcome, Python, victim};

impl Job {
    /// `fil-profile run valgrind --tool=callgrind PYTHON VICTIM ARGUMENTS…`.
    pub fn python_under_callgrind(python: &Python, name: &str, arguments: &[u64]) -> Job {
        let job = Job::words(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let job = job.arg(&python.path).arg("-sS").arg(victim(name));
        // Python's hashes, and so its dictionaries, are the same each time.
        let job = job.env("PYTHONHASHSEED", "0");
        arguments
            .iter()
            .fold(job, |job, argument| job.arg(argument.to_string()))
    }
}

impl Outcome {
    /// The instructions that callgrind counted.
    #[track_caller]
    pub fn instructions(&self) -> u64 {
        assert_eq!(self.status, Some(0), "{self}");
        let mut lines = self.stderr.lines();
        let counted = lines.find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
        counted.unwrap_or_else(|| panic!("callgrind has counted nothing: {self}"))
    }
}
