//! What `--help`, `-h` and `help COMMAND` show.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::error::Error;
use crate::options::mistakes;
use crate::options::words::options_at;

/// Columns that a help text has at most.
const COLUMNS: usize = 100;

const FIRST_STEPS: &str = "\
Examples:
  fil-profile run job.py --rows 1000000          a script, with the active Python
  fil-profile run pytest -x                      any dynamically linked program
  (ulimit -Sv 4000000; fil-profile run job.py)   at most 4 GB of address space
  fil-profile ls                                 what ran, and how it ended
  fil-profile report 2                           the run with number 2 in that list

The job runs as without fil-profile. After its end, open the index.html that is named then.
`fil-profile help COMMAND` explains a command, `fil-profile --help` shows all options.";

const RUN: &str = "\
Examples:
  fil-profile run job.py --rows 1000000      a script, with the active environment's Python
  fil-profile run -m package.tool            a module
  fil-profile run -c 'print(len([0] * 10))'  a line of code
  fil-profile run pytest -x                  any dynamically linked program
  fil-profile run --python python3.9 job.py  another Python
  fil-profile run -o /data/oom ./job.sh      reports go to /data/oom/<time>
  (ulimit -Sv 4000000; fil-profile run job.py)   limit the job to 4 GB of address space

Write options before the job: everything after its first word belongs to it. The job keeps its
arguments, stdin, stdout, terminal and exit status. After its end, the reports are in the run folder:
index.html, peak-memory.svg, and out-of-memory.svg if the job ran out of memory or was killed for it.
profile.fil has the whole run in one file: `fil-profile report profile.fil` shows it on any machine.
fil-profile also writes a report while the job runs: close to a limit, on SIGTERM, and whenever
you ask for it with `kill -USR2` or `fil-profile snapshot`.

If fil-profile itself is killed, the job continues and is still recorded. When the job has ended,
the next run with the same -o writes its report, and so does `fil-profile report`, on any machine.";

const STATUS: &str = "\
Exit status: the job's own. If a signal killed the job, the same signal kills fil-profile.
  2    wrong usage, no such script, or under --require, a job that cannot be recorded
  53   the job ran out of memory under --on-oom=exit, or a child of it did under --fail-on-child-oom
  126  cannot be executed    127  no such program
  1    `report`, `diff`, `ls`, `merge`, `snapshot` or `inspect` found nothing to report
  3    `diff --fail-above`: the peak grew by more than allowed

FIL_PROFILE_OPTIONS can have options for every call, quoted as for a shell. Those on the command line
come after them. Each option also has an environment variable of its own, which is named beside it.";

const REPORT: &str = "\
Examples:
  fil-profile report                                the newest run: writes its files again
  fil-profile report 2                              the run with number 2 in `fil-profile ls`
  fil-profile report profile.fil                    a run of any machine, into a folder beside the file
  fil-profile report --format text                  in words, on the terminal
  fil-profile report 3 --format pprof -o heap.pb.gz   for another tool";

const LS: &str = "\
Examples:
  fil-profile ls             the newest 20 runs in ./fil-result
  fil-profile ls -n 0 /data  all runs in /data
`report`, `diff` and `merge` take the number of a run in the list of ./fil-result, of which 1 is the
newest, or the name of its folder. `inspect` and `snapshot` take the name.";

const DIFF: &str = "\
Examples:
  fil-profile diff 2 1                                 the run before the last against the last
  fil-profile diff main.fil branch.fil -o growth.svg   two bundles, with a picture
  fil-profile diff 2 1 --fail-above 10%                status 3 if the peak grew by more";

const MERGE: &str = "\
Example:
  fil-profile merge fil-result     all runs in this folder, such as the tasks of an array";

const SNAPSHOT: &str = "\
Examples:
  fil-profile snapshot 4711         the job that this process belongs to
  fil-profile snapshot fil-result   the newest run in this folder";

const INSPECT: &str = "\
Examples:
  fil-profile inspect 4711             a running Python; it need not have been started by fil-profile
  fil-profile inspect core.4711        a core file
  fil-profile inspect 4711 --json -    for a program";

const COMPLETIONS: &str = "\
Examples:
  fil-profile completions bash > ~/.local/share/bash-completion/completions/fil-profile
  fil-profile completions zsh > ~/.zfunc/_fil-profile          if ~/.zfunc is in fpath
  fil-profile completions fish > ~/.config/fish/completions/fil-profile.fish";

const MAN: &str = "\
Example:
  fil-profile man | man -l -     reads it";

/// A help text.
#[derive(Debug, PartialEq, Eq)]
pub enum Topic {
    /// The commands, and the options that are used most.
    Overview,
    /// All options.
    Whole,
    /// A command, which may not exist.
    Command(String),
}

/// The help text that a command line asks for. The words are those after the program's name, in the order of [`words::prepared`](crate::options::words::prepared).
pub fn asked(command: &Command, words: &[OsString]) -> Option<Topic> {
    let at = options_at(command, words);
    let is_help = |word: &OsString| word == "-h" || word == "--help";
    let Some(word) = words.get(at) else {
        return words.is_empty().then_some(Topic::Overview);
    };
    let rest = words.get(at + 1..).unwrap_or_default();
    match word.to_str()? {
        "-h" => Some(Topic::Overview),
        "--help" => Some(Topic::Whole),
        "help" => Some(match rest.iter().find(|word| !is_help(word)) {
            Some(name) => Topic::Command(name.to_string_lossy().into_owned()),
            None => Topic::Whole,
        }),
        // `run -h` cannot mean a job. All that follows `python` is the interpreter's.
        "run" => rest
            .first()
            .filter(|word| is_help(word))
            .map(|_| Topic::Command("run".to_owned())),
        "python" => None,
        name => {
            let mut rest = rest.iter().take_while(|word| *word != "--");
            (command.find_subcommand(name).is_some() && rest.any(is_help)).then(|| Topic::Command(name.to_owned()))
        }
    }
}

/// The text on a topic.
pub fn text(command: &Command, topic: &Topic) -> Result<String, Error> {
    let mut shown = match topic {
        Topic::Overview => overview(command),
        Topic::Whole => whole(command),
        Topic::Command(name) => {
            let own =
                of_command(command, name).ok_or_else(|| Error::Usage(mistakes::unknown_command(command, name)))?;
            own.bin_name(format!("fil-profile {name}")).max_term_width(COLUMNS)
        }
    };
    Ok(shown.render_help().to_string())
}

fn overview(command: &Command) -> Command {
    let common = ["output", "on_oom", "exact", "text"];
    let shown = |argument: Arg| {
        let is_common = common.contains(&argument.get_id().as_str());
        argument.hide(!is_common).hide_env(true)
    };
    command.clone().mut_args(shown).after_help(FIRST_STEPS)
}

fn whole(command: &Command) -> Command {
    command.clone().after_help(format!("{RUN}\n\n{STATUS}"))
}

/// A command with the options that stand before it and concern it.
pub fn of_command(command: &Command, name: &str) -> Option<Command> {
    let own = command.find_subcommand(name)?.clone();
    let concerns = |argument: &Arg| match name {
        "run" => !matches!(argument.get_id().as_str(), "source" | "license"),
        "ls" | "merge" | "snapshot" => argument.get_id() == "output",
        _ => false,
    };
    let options: Vec<Arg> = command
        .get_arguments()
        .filter(|argument| concerns(argument))
        .cloned()
        .collect();
    let examples = match name {
        "run" => return Some(own.args(options).after_help(format!("{RUN}\n\n{STATUS}"))),
        "report" => REPORT,
        "ls" => LS,
        "diff" => DIFF,
        "merge" => MERGE,
        "snapshot" => SNAPSHOT,
        "inspect" => INSPECT,
        "completions" => COMPLETIONS,
        "man" => MAN,
        _ => "",
    };
    Some(own.args(options).after_help(examples))
}

/// The program, or one of its commands under a name of one word, as a manual page has it.
pub fn manual(command: &Command, name: Option<&str>) -> Result<Command, Error> {
    let Some(name) = name else {
        return Ok(whole(command));
    };
    let own = of_command(command, name).ok_or_else(|| Error::Usage(mistakes::unknown_command(command, name)))?;
    let title = format!("fil-profile-{name}");
    Ok(own.name(title.clone()).display_name(title))
}

/// The whole command line as [`words::prepared`](crate::options::words::prepared) allows it, for the completions of a shell: options may follow the command.
pub fn with_options_everywhere(command: &Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|own| own.get_name().to_owned()).collect();
    names.iter().fold(command.clone(), |whole, name| {
        whole.mut_subcommand(name, |own| match of_command(command, name) {
            Some(with_options) => with_options,
            None => own,
        })
    })
}
