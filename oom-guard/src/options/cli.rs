//! The command line: its options and its commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use dumper::Rank;
use dumper::report;
use recording::protocol::OnOom;

use crate::options::allowance::Allowance;
use crate::options::size;

/// Runs a job unchanged, and shows which lines of code held its memory when the memory ran out
#[derive(Debug, Parser)]
#[command(
    name = "fil-profile",
    version,
    max_term_width = 100,
    args_override_self = true,
    subcommand_value_name = "COMMAND",
    override_usage = "fil-profile [OPTIONS] run SCRIPT|-m MODULE|-c CODE|PROGRAM [ARGS...]\n       \
                      fil-profile [OPTIONS] COMMAND [...]"
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

    /// At the end, print all that is known of an out-of-memory death, not ten lines of it
    #[arg(short, long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_VERBOSE", hide_env_values = true)]
    pub verbose: bool,

    /// At the end, print how much memory each line of your own files held
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_TEXT", hide_env_values = true)]
    pub text: bool,

    /// Do not look at which variables hold the job's memory
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_NO_HOLDERS", hide_env_values = true)]
    pub no_holders: bool,

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
    #[command(
        disable_help_flag = true,
        override_usage = "fil-profile run [OPTIONS] SCRIPT|-m MODULE|-c CODE|PROGRAM [ARGS...]"
    )]
    Run {
        /// The script, `-m MODULE`, `-c CODE` or program, and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_hint = ValueHint::CommandWithArguments)]
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
        /// A run folder, a bundle (profile.fil), a recording, a folder of runs (its newest run), or the number or name of a run in the
        /// folder for results, as `ls` shows them [default: the newest run there]
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
    /// List the runs in a folder, newest first: number, time, command, how it ended, peak, and the line that held the most
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
        /// The earlier run: a run folder, a bundle (profile.fil), a recording, a folder of runs (its newest run), or the number or name
        /// of a run in the folder for results, as `ls` shows them
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
        /// Run folders, folders that contain runs, or numbers or names of runs in the folder for results
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
    #[command(override_usage = "fil-profile inspect PID|CORE|RUN [--json FILE]")]
    Inspect {
        /// A process id, a core file, or the folder or name of a run whose job runs. A number is always a process id
        #[arg(value_name = "PID|CORE|RUN", value_hint = ValueHint::AnyPath)]
        what: OsString,
        /// Write it as JSON instead; `-` is stdout
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Print the completions of this command line for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, in the format of man
    Man {
        /// The manual page of a command [default: that of fil-profile]
        #[arg(value_name = "COMMAND")]
        of: Option<String>,
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
