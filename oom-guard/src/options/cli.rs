//! The command line and its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

use dumper::Rank;
use dumper::report;
use recording::protocol::OnOom;

use crate::error::Error;
use crate::options::allowance::Allowance;
use crate::options::size;

const EXAMPLES: &str = "\
Examples:
  fil-profile run job.py --rows 1000000      a script, with the active environment's Python
  fil-profile run -m package.tool            a module
  fil-profile run -c 'print(len([0] * 10))'  a line of code
  fil-profile run pytest -x                  any dynamically linked program
  fil-profile --python python3.9 run job.py  another Python
  fil-profile -o /data/oom run ./job.sh      reports go to /data/oom/<time>
  (ulimit -Sv 4000000; fil-profile run job.py)   limit the job to 4 GB of address space

Write options before `run`. Everything after `run` belongs to the job. The job keeps its arguments,
stdin, stdout, terminal and exit status. After its end, the reports are in the run folder:
index.html, peak-memory.svg, and out-of-memory.svg if the job ran out of memory or was killed for it.
profile.fil has the whole run in one file: `fil-profile report profile.fil` shows it on any machine.
fil-profile also writes a report while the job runs: close to a limit, on SIGTERM, and whenever
you ask for it with `kill -USR2` or `fil-profile snapshot`.

If fil-profile itself is killed, the job continues and is still recorded. When the job has ended,
the next run with the same -o writes its report, and so does `fil-profile report`, on any machine.

Exit status: the job's own. If a signal killed the job, the same signal kills fil-profile.
  2    wrong usage, no such script, or under --require, a job that cannot be recorded
  53   the job ran out of memory under --on-oom=exit, or a child of it did under --fail-on-child-oom
  126  cannot be executed    127  no such program
  1    `report`, `diff`, `ls`, `merge`, `snapshot` or `inspect` found nothing to report
  3    `diff --fail-above`: the peak grew by more than allowed";

/// Runs a job unchanged, and shows which lines of code held its memory when the memory ran out
#[derive(Debug, Parser)]
#[command(
    name = "fil-profile",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    override_usage = "fil-profile [OPTIONS] run SCRIPT|-m MODULE|-c CODE|PROGRAM [ARGS...]\n       \
                      fil-profile [OPTIONS] python [ARGS...]\n       \
                      fil-profile [OPTIONS] report [WHAT] [--format FORMAT] [-o FILE]\n       \
                      fil-profile [OPTIONS] ls [DIR]\n       \
                      fil-profile diff OLD NEW [-o FILE.svg] [--fail-above 10%|SIZE]\n       \
                      fil-profile [OPTIONS] merge DIR...\n       \
                      fil-profile snapshot PID|DIR\n       \
                      fil-profile inspect PID|CORE [--json FILE]",
    after_help = EXAMPLES
)]
pub struct Cli {
    /// Folder for the results; each run makes its own folder in it
    #[arg(short, long, value_name = "DIR", default_value = crate::folder::names::OUTPUT)]
    #[arg(env = "FIL_PROFILE_OUTPUT", hide_env_values = true)]
    pub output: PathBuf,

    /// Do not open the report in a browser; by default it is opened on a desktop
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_NO_BROWSER", hide_env_values = true)]
    pub no_browser: bool,

    /// The Python that runs scripts [default: the active virtual environment's, else python3 on PATH]
    #[arg(long, value_name = "PATH")]
    #[arg(env = "FIL_PROFILE_PYTHON", hide_env_values = true)]
    pub python: Option<PathBuf>,

    /// When memory runs out: `report` lets the job continue and handle the error; `exit` ends the job with status 53 at a failed
    /// allocation, or shortly before a limit at which the kernel would kill it
    #[arg(long, value_name = "WHAT", default_value = "report", hide_possible_values = true, value_parser = on_oom())]
    #[arg(env = "FIL_PROFILE_ON_OOM", hide_env_values = true)]
    pub on_oom: OnOom,

    /// Address space to reserve for the work after a failed allocation, e.g. 16MiB; 0 for none
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size::parse)]
    #[arg(env = "FIL_PROFILE_STASH", hide_env_values = true)]
    pub stash: u64,

    /// Record every allocation instead of samples: slower, for small jobs
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_EXACT", hide_env_values = true)]
    pub exact: bool,

    /// Mean bytes between samples of small allocations, e.g. 64K [default: grows with the job's memory]
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    #[arg(env = "FIL_PROFILE_SAMPLE_INTERVAL", hide_env_values = true)]
    pub sample_interval: Option<u64>,

    /// Rank call sites and draw pictures by `requested` or by `resident` memory [default: the kind that the limit counts]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, value_parser = rank())]
    #[arg(env = "FIL_PROFILE_RANK", hide_env_values = true)]
    pub rank: Option<Rank>,

    /// If the job cannot be recorded, do not run it [default: run it without recording]
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_REQUIRE", hide_env_values = true)]
    pub require: bool,

    /// Keep the raw recordings of the job's processes; reports do not need them, because profile.fil has the same data
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_KEEP_RECORDING", hide_env_values = true)]
    pub keep_recording: bool,
    /// At the end, print how much memory each line of your own files held; `run --text` does the same
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_TEXT", hide_env_values = true)]
    pub text: bool,

    /// Record only the job's first process
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_NO_CHILDREN", hide_env_values = true)]
    pub no_children: bool,

    /// End with status 53 if the job ends with 0, but one of its child processes was killed for its memory, or was ended at a failed
    /// allocation
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_FAIL_ON_CHILD_OOM", hide_env_values = true)]
    pub fail_on_child_oom: bool,

    /// For `report`, `diff` and `merge`: read source files from this folder [default: for your own runs, from where the job ran; for
    /// others, only the lines stored in the run]
    #[arg(long, value_name = "DIR")]
    #[arg(env = "FIL_PROFILE_SOURCE", hide_env_values = true)]
    pub source: Option<PathBuf>,

    /// Print the licences of fil-profile and of everything it is built from
    #[arg(long)]
    pub license: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job and report on its memory
    #[command(disable_help_flag = true)]
    Run {
        /// The script, `-m MODULE`, `-c CODE` or program, and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        job: Vec<OsString>,
    },
    /// Start a Python that records only the parts that the package filprofiler is asked to record
    #[command(disable_help_flag = true)]
    Python {
        /// The interpreter's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write the report of an earlier run again, or write one document of it in another format
    #[command(override_usage = "fil-profile report [WHAT] [--format FORMAT] [-o FILE]")]
    Report {
        /// A run folder, a bundle (profile.fil), a recording, or a folder of runs (its newest run) [default: the newest run in the
        /// folder for results]
        #[arg(value_name = "WHAT")]
        path: Option<PathBuf>,
        /// Write one document in this format, instead of the files of the run folder
        #[arg(short, long, value_parser = formats())]
        format: Option<ReportFormat>,
        /// Same as `--format text`
        #[arg(long, conflicts_with = "format")]
        text: bool,
        /// Treat the run folder as one that your own fil-profile made here: write into it, and show lines of source files of this
        /// machine
        #[arg(long)]
        trust: bool,
        /// For the Python package, which has just made all that is in the folder: it counts as made here from now on
        #[arg(long, hide = true, requires = "path", conflicts_with_all = ["format", "text"])]
        made_here: bool,
        /// File to write with --format [default: stdout, also `-`]. A named pipe needs a reader
        #[arg(short = 'o', long = "output", value_name = "FILE", id = "file")]
        file: Option<PathBuf>,
        /// Read source files only from this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// List the runs in a folder, newest first: time, command, how it ended, peak, and the line that held the most
    Ls {
        /// A folder of runs [default: the folder for results]
        #[arg(value_name = "DIR")]
        path: Option<PathBuf>,
        /// Number of runs to list; 0 for all
        #[arg(short = 'n', long, value_name = "COUNT", default_value = "20")]
        last: usize,
    },
    /// Show what grew and what shrank from one run to another
    #[command(override_usage = "fil-profile diff OLD NEW [-o FILE.svg] [--fail-above 10%|SIZE]")]
    Diff {
        /// The earlier run: a run folder, a bundle (profile.fil), a recording, or a folder of runs (its newest run)
        old: PathBuf,
        /// The later run, in any of these forms
        new: PathBuf,
        /// File for a flame graph of the difference: red grew, blue shrank
        #[arg(short = 'o', long = "output", value_name = "FILE", id = "file")]
        file: Option<PathBuf>,
        /// End with status 3 if the peak grew by more than this, e.g. 10% or 100MiB
        #[arg(long, value_name = "MOST", value_parser = Allowance::parse)]
        fail_above: Option<Allowance>,
        /// Read source files only from this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// Make one report of many runs, for example of the tasks of an array
    Merge {
        /// Run folders, or folders that contain runs
        #[arg(required = true, value_name = "DIR")]
        paths: Vec<PathBuf>,
        /// Read source files only from this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// Write a report of a running job, without stopping it, into a new folder inside its run folder
    Snapshot {
        /// The process id of the job, of one of its processes, or of its fil-profile; or a run folder, or a folder that contains runs
        #[arg(value_name = "PID|DIR")]
        job: OsString,
    },
    /// Show which variables hold the memory of any Python process, one that runs or one that left a core file
    #[command(override_usage = "fil-profile inspect PID|CORE [--json FILE]")]
    Inspect {
        /// A process id or a core file
        #[arg(value_name = "PID|CORE")]
        what: OsString,
        /// Write it as JSON instead; `-` is stdout
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// A format of what `report` writes.
pub type ReportFormat = &'static dyn report::Format;

/// The dumper's formats, by their names.
fn formats() -> impl TypedValueParser<Value = ReportFormat> {
    let names = report::FORMATS.map(|format| PossibleValue::new(format.about().name).help(format.about().help));
    PossibleValuesParser::new(names).try_map(|name| report::format(&name).ok_or("no such format"))
}

fn on_oom() -> impl TypedValueParser<Value = OnOom> {
    PossibleValuesParser::new(OnOom::ALL.map(OnOom::name)).map(|name| OnOom::from_name(&name).unwrap_or_default())
}

fn rank() -> impl TypedValueParser<Value = Rank> {
    PossibleValuesParser::new(Rank::ALL.map(Rank::name)).map(|name| Rank::from_name(&name).unwrap_or_default())
}

/// The value of a switch in an environment variable.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err("write 1 or 0"),
    }
}

/// What the command line asks for: a text to show, or work to do.
pub enum Typed {
    /// For stdout, with status 0.
    Text(String),
    /// Anything else.
    Work(Box<Cli>),
}

/// Reads the command line and the environment; an environment variable that is empty counts as not set.
pub fn parse(args: Vec<OsString>) -> Result<Typed, Error> {
    let help_wanted = args.len() <= 1 || asks_for_help(&args);
    let mut command = Cli::command().mut_args(|arg| match arg.get_env() {
        Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => arg.env(None::<&str>),
        _ => arg,
    });
    if help_wanted {
        return Ok(Typed::Text(command.render_help().to_string()));
    }
    match command
        .try_get_matches_from(&args)
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => Ok(Typed::Work(Box::new(cli))),
        Err(text) if !text.use_stderr() => Ok(Typed::Text(text.render().to_string())),
        Err(error) => Err(Error::Usage(one_line(&error, &args))),
    }
}

/// `run -h` with nothing before the `-h` cannot mean a job.
fn asks_for_help(args: &[OsString]) -> bool {
    let mut words = args.iter().skip(1).skip_while(|word| *word != "run");
    words.next().is_some() && words.next().is_some_and(|word| word == "-h" || word == "--help")
}

/// clap's error in one line: what is wrong with which word, and where to find help.
fn one_line(error: &clap::Error, args: &[OsString]) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let what = match (error.kind(), said(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(word)) => {
            return format!("{word} is not a command; to run it: fil-profile run {word}");
        }
        (ErrorKind::MissingRequiredArgument, _) => match said(ContextKind::InvalidArg) {
            Some(missing) => format!("{missing} is missing"),
            None => "something is missing".to_owned(),
        },
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    };
    let values = said(ContextKind::ValidValue)
        .filter(|values| !values.is_empty())
        .map(|values| format!(" (one of: {values})"));
    let variable = said(ContextKind::InvalidValue).and_then(|value| variable_with(&value, args));
    format!(
        "{what}{}{}; fil-profile --help explains",
        values.unwrap_or_default(),
        variable.map(|name| format!(" (from {name})")).unwrap_or_default()
    )
}

/// The environment variable that a bad value came from, if it was not typed.
fn variable_with(value: &str, args: &[OsString]) -> Option<String> {
    if args.iter().any(|arg| arg.to_string_lossy().contains(value)) {
        return None;
    }
    let command = Cli::command();
    let mut names = command.get_arguments().filter_map(|arg| arg.get_env());
    let name = names.find(|name| std::env::var_os(name).is_some_and(|found| found == value))?;
    Some(name.to_string_lossy().into_owned())
}
