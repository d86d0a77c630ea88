//! The settings that a command line means, with all defaults, and the environment variables that tell them to the preload.

use std::ffi::OsString;
use std::path::PathBuf;

use clap_complete::Shell;
use dumper::{Rank, report};
use recording::protocol::OnOom;
use recording::protocol::variables::{self, Variable};

use crate::error::Error;
use crate::options::allowance::Allowance;
use crate::options::cli::{Cli, Command, ReportFormat};

/// How a job is to be run and reported on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of results, as it was named.
    pub output: PathBuf,
    /// Whether a browser may be opened at all.
    pub browser: bool,
    /// The Python that was asked for.
    pub python: Option<PathBuf>,
    /// What happens when an allocation fails.
    pub on_oom: OnOom,
    /// Bytes of the stash; 0 for none.
    pub stash: u64,
    /// Every allocation is recorded.
    pub exact: bool,
    /// Bytes between samples; `None` for adaptive.
    pub sample_interval: Option<u64>,
    /// What call sites are ranked by; `None` for what the limit counts.
    pub rank: Option<Rank>,
    /// A job that cannot be recorded is not run.
    pub require: bool,
    /// The recordings stay.
    pub keep_recording: bool,
    /// It is not looked at which variables hold the memory.
    pub no_holders: bool,
    /// The job's first process is recorded, and none of its children.
    pub no_children: bool,
    /// A job that ends well though a child was killed for memory is to count as failed.
    pub fail_on_child_oom: bool,
    /// What each line of the user's own files held is printed at the end.
    pub text: bool,
    /// The run folder counts as the user's own, wherever it comes from.
    pub trust: bool,
    /// The run folder has just been made by this user, but not by this program.
    pub made_here: bool,
    /// The folder in which source files are looked for, instead of where the job ran.
    pub source: Option<PathBuf>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Print the licences.
    License,
    /// Run this job: never empty.
    Run(Vec<OsString>),
    /// Become an interpreter with these arguments.
    Python(Vec<OsString>),
    /// Report on what is here, or on the newest run.
    Report(Option<PathBuf>),
    /// Write one document about it, to a file or stdout.
    Export(Option<PathBuf>, ReportFormat, Option<PathBuf>),
    /// List this many runs in a folder; 0 for all.
    List(Option<PathBuf>, usize),
    /// Compare two runs, into a picture if there is a file for one, and with growth that is allowed.
    Diff(PathBuf, PathBuf, Option<PathBuf>, Option<Allowance>),
    /// Report on many runs as one.
    Merge(Vec<PathBuf>),
    /// Report on a job that runs: by a process id or a folder.
    Snapshot(OsString),
    /// Tell who holds the memory of a process or a core file, as JSON to a file if there is one; `-` is stdout.
    Inspect(OsString, Option<PathBuf>),
    /// Print the completions for this shell.
    Completions(Shell),
    /// Print the manual page, of a command if it is named.
    Manual(Option<String>),
}

/// Separates the task from its settings.
pub fn settle(cli: Cli) -> Result<(Task, Settings), Error> {
    let text = cli.text;
    let made_here = matches!(cli.command, Some(Command::Report { made_here: true, .. }));
    let trust = made_here || matches!(cli.command, Some(Command::Report { trust: true, .. }));
    let mut source = cli.source;
    let task = match cli.command {
        _ if cli.license => Task::License,
        Some(Command::Run { job }) if job.is_empty() => {
            return Err(usage(
                "`run` needs a script, -m MODULE, -c CODE or a program, as in: fil-profile run job.py",
            ));
        }
        Some(Command::Run { job }) => Task::Run(job),
        Some(Command::Python { args }) => Task::Python(args),
        Some(Command::Report {
            path,
            format,
            text,
            file,
            source: named,
            ..
        }) => {
            source = named.or(source);
            match format.or_else(|| report::format("text").filter(|_| text)) {
                Some(format) => Task::Export(path, format, file.filter(|file| file.as_os_str() != "-")),
                None if file.is_some() => {
                    return Err(usage(
                        "-o after `report` names the file for one --format, as in: fil-profile report --format html -o report.html",
                    ));
                }
                None => Task::Report(path),
            }
        }
        Some(Command::Ls { path, last }) => Task::List(path, last),
        Some(Command::Diff {
            old,
            new,
            file,
            fail_above,
            source: named,
        }) => {
            source = named.or(source);
            Task::Diff(old, new, file, fail_above)
        }
        Some(Command::Merge { paths, source: named }) => {
            source = named.or(source);
            Task::Merge(paths)
        }
        Some(Command::Snapshot { job }) => Task::Snapshot(job),
        Some(Command::Inspect { what, json }) => Task::Inspect(what, json),
        Some(Command::Completions { shell }) => Task::Completions(shell),
        Some(Command::Man { of }) => Task::Manual(of),
        None => return Err(usage("nothing to do: name a command, as in: fil-profile run job.py")),
    };
    // An environment variable that this command ignores must not make it fail.
    let is_heeded = matches!(
        task,
        Task::Report(_) | Task::Export(..) | Task::Diff(..) | Task::Merge(_)
    );
    if let Some(folder) = source.as_ref().filter(|folder| is_heeded && !folder.is_dir()) {
        return Err(Error::Usage(format!("--source names no folder: {}", folder.display())));
    }
    let settings = Settings {
        output: cli.output,
        browser: !cli.no_browser,
        python: cli.python,
        on_oom: cli.on_oom,
        stash: cli.stash,
        exact: cli.exact,
        sample_interval: cli.sample_interval,
        rank: cli.rank,
        require: cli.require,
        keep_recording: cli.keep_recording,
        no_holders: cli.no_holders,
        no_children: cli.no_children,
        fail_on_child_oom: cli.fail_on_child_oom,
        text,
        trust,
        made_here,
        source,
    };
    Ok((task, settings))
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}

impl Settings {
    /// The variables for the preload, with the stash that fits; `None` is a variable that must not be set.
    pub fn environment(&self, stash: u64) -> Vec<(Variable, Option<OsString>)> {
        let at_most = (stash < self.stash).then(|| stash.to_string().into());
        let interval = self.sample_interval.map(|bytes| bytes.to_string().into());
        vec![
            (variables::ON_OOM, Some(self.on_oom.name().into())),
            (variables::STASH, Some(self.stash.to_string().into())),
            (variables::STASH_AT_MOST, at_most),
            (variables::CHILDREN, self.no_children.then(|| variables::OFF.into())),
            (variables::EXACT, self.exact.then(|| variables::ON.into())),
            (variables::SAMPLE_INTERVAL, interval),
        ]
    }
}
