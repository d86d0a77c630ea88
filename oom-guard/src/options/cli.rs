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
  (ulimit -Sv 4000000; fil-profile run job.py)   see what would not fit into 4 GB

Options stand before `run`; what follows `run` belongs to the job. The job keeps its arguments,
stdin, stdout, terminal and exit status. When it has ended, the reports are in the run folder:
index.html, peak-memory.svg, and out-of-memory.svg if it ran out or was killed for its memory.
profile.fil is the run in one file: `fil-profile report profile.fil` on any machine.
Close to a limit there is a report while the job runs, and on SIGTERM; `kill -USR2` or
`fil-profile snapshot` make one at any time.

If fil-profile itself is killed, the job goes on and so does its recording: the next run with
the same -o reports on it when it has ended, and `fil-profile report` does, on any machine.

Exit status: the job's own, and a job killed by a signal kills fil-profile by the same one.
  2    wrong usage, no such script, or under --require, a job that cannot be recorded
  53   the job ran out of memory under --on-oom=exit, or a child of it did under --fail-on-child-oom
  126  cannot be executed    127  no such program
  1    `report`, `diff`, `ls` or `snapshot` found nothing to report
  3    `diff --fail-above` found more growth than that";

/// Runs a job unchanged and shows which lines of code held its memory when it ran out.
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
                      fil-profile snapshot PID|DIR",
    after_help = EXAMPLES
)]
pub struct Cli {
    /// Folder for the results; each run makes a folder of its own in it
    #[arg(short, long, value_name = "DIR", default_value = crate::folder::names::OUTPUT)]
    #[arg(env = "FIL_PROFILE_OUTPUT", hide_env_values = true)]
    pub output: PathBuf,

    /// Do not open the report in a browser, as is done on a desktop
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_NO_BROWSER", hide_env_values = true)]
    pub no_browser: bool,

    /// The Python that runs scripts [default: the active virtual environment's, else python3 on PATH]
    #[arg(long, value_name = "PATH")]
    #[arg(env = "FIL_PROFILE_PYTHON", hide_env_values = true)]
    pub python: Option<PathBuf>,

    /// When memory runs out: `report` lets the job go on and see the failure, `exit` ends it with status 53 at a failed
    /// allocation or close to a limit that would kill it
    #[arg(long, value_name = "WHAT", default_value = "report", hide_possible_values = true, value_parser = on_oom())]
    #[arg(env = "FIL_PROFILE_ON_OOM", hide_env_values = true)]
    pub on_oom: OnOom,

    /// Memory set aside for the report of a failed allocation, e.g. 16MiB; 0 for none
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size::parse)]
    #[arg(env = "FIL_PROFILE_STASH", hide_env_values = true)]
    pub stash: u64,

    /// Record every allocation: for small jobs, slower
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_EXACT", hide_env_values = true)]
    pub exact: bool,

    /// Mean bytes between samples of small allocations, e.g. 64K [default: grows with the job's memory]
    #[arg(long, value_name = "BYTES", value_parser = size::parse_positive)]
    #[arg(env = "FIL_PROFILE_SAMPLE_INTERVAL", hide_env_values = true)]
    pub sample_interval: Option<u64>,

    /// What call sites are ranked by and pictures show: `requested` memory or `resident` [default: what the limit counts]
    #[arg(long, value_name = "WHAT", hide_possible_values = true, value_parser = rank())]
    #[arg(env = "FIL_PROFILE_RANK", hide_env_values = true)]
    pub rank: Option<Rank>,

    /// Do not run a job that cannot be recorded, instead of running it as without us
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_REQUIRE", hide_env_values = true)]
    pub require: bool,

    /// Keep the raw recordings of the job's processes beside profile.fil, which has all that a report needs
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_KEEP_RECORDING", hide_env_values = true)]
    pub keep_recording: bool,
    /// Print at the end what each line of your own files held; also as `run --text`
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_TEXT", hide_env_values = true)]
    pub text: bool,

    /// Watch the job's first process only
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_NO_CHILDREN", hide_env_values = true)]
    pub no_children: bool,

    /// End with status 53 where the job ends with 0 but a child of it was killed for memory, or left at a failed allocation
    #[arg(long, action = ArgAction::SetTrue, value_parser = switch)]
    #[arg(env = "FIL_PROFILE_FAIL_ON_CHILD_OOM", hide_env_values = true)]
    pub fail_on_child_oom: bool,

    /// For `report`, `diff` and `merge`: look for lines of source files in this folder [default: none but those that the run brought
    /// along; for your own runs on this machine, where the job ran]
    #[arg(long, value_name = "DIR")]
    #[arg(env = "FIL_PROFILE_SOURCE", hide_env_values = true)]
    pub source: Option<PathBuf>,

    /// Print the licences of fil-profile and of all it is built from
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
    /// Start an interpreter with the library loaded and recording off
    #[command(disable_help_flag = true)]
    Python {
        /// The interpreter's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Write the report of an earlier run again, or one document of it in a format of choice
    #[command(override_usage = "fil-profile report [WHAT] [--format FORMAT] [-o FILE]")]
    Report {
        /// A run folder, a bundle (profile.fil), a recording, or a folder of runs [default: the newest run in the output
        /// folder]
        #[arg(value_name = "WHAT")]
        path: Option<PathBuf>,
        /// Write this alone, instead of the files of the run folder
        #[arg(short, long, value_parser = formats())]
        format: Option<ReportFormat>,
        /// As `--format text`
        #[arg(long, conflicts_with = "format")]
        text: bool,
        /// Take the run folder for one that your own fil-profile has made here: write into it, and show lines of this machine's files
        #[arg(long)]
        trust: bool,
        /// For the Python package, which has just made all that is in the folder: it counts as made here from now on
        #[arg(long, hide = true, requires = "path", conflicts_with_all = ["format", "text"])]
        made_here: bool,
        /// Where to; `-` is stdout, as is nothing. A pipe needs a reader before
        #[arg(short = 'o', long = "output", value_name = "FILE", id = "file")]
        file: Option<PathBuf>,
        /// Look for lines of source files in this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// List the runs in a folder, the newest first: when, what, how it ended, its peak, and what held most of it
    Ls {
        /// A folder of runs [default: the output folder]
        #[arg(value_name = "DIR")]
        path: Option<PathBuf>,
        /// As many of them; 0 for all
        #[arg(short = 'n', long, value_name = "COUNT", default_value = "20")]
        last: usize,
    },
    /// Show what grew and what shrank from one run to another
    #[command(override_usage = "fil-profile diff OLD NEW [-o FILE.svg] [--fail-above 10%|SIZE]")]
    Diff {
        /// A run folder, a bundle (profile.fil), a recording, or a folder of runs, of which the newest is meant
        old: PathBuf,
        /// The same
        new: PathBuf,
        /// Where to draw a flame graph of the difference: red grew, blue shrank
        #[arg(short = 'o', long = "output", value_name = "FILE", id = "file")]
        file: Option<PathBuf>,
        /// End with status 3 if the peak grew by more than this, e.g. 10% or 100MiB
        #[arg(long, value_name = "MOST", value_parser = Allowance::parse)]
        fail_above: Option<Allowance>,
        /// Look for lines of source files in this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// Make one report of many runs, as of an array of tasks
    Merge {
        /// Run folders, and folders of runs
        #[arg(required = true, value_name = "DIR")]
        paths: Vec<PathBuf>,
        /// Look for lines of source files in this folder
        #[arg(long, value_name = "DIR")]
        source: Option<PathBuf>,
    },
    /// Report on a job that runs, without stopping it, into a folder of its own in the run folder
    Snapshot {
        /// The process id of the job, of a process of it or of its fil-profile; or the folder of a run or of runs
        #[arg(value_name = "PID|DIR")]
        job: OsString,
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
