//! `fil-profile` runs a job unchanged and shows which lines of code held its memory when it ran out.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod areas;
mod board;
mod browser;
mod capacity;
mod cgroup;
mod cli;
mod diff;
mod doorbell;
mod elf;
mod elsewhere;
mod error;
mod evidence;
mod exit;
mod expendable;
mod export;
mod facts;
mod family;
mod filesystem;
mod folder;
mod footing;
mod gauge;
mod glass;
mod headroom;
mod identity;
mod inherited;
mod kernel_file;
mod launch;
mod library;
mod licence;
mod limits;
mod local_time;
mod lock;
mod lookout;
mod ls;
mod measure;
mod measurer;
mod merge;
mod orphans;
mod pagemap;
mod paint;
mod parent;
mod process;
mod procfs;
mod progress;
mod record;
mod report;
mod reports;
mod rescue;
mod run;
mod sampling;
mod sanitizer;
mod say;
mod settings;
mod signals;
mod size;
mod slack;
mod snapshot;
mod source;
mod subject;
mod supervise;
mod supervisor;
mod target;
mod termination;
mod tidy;
mod unseen;
mod unsupervised;
mod verdict;
mod watch;
mod witness;
mod workplace;

use std::io::Write;

use error::Error;
use exit::End;
use settings::Task;

fn main() {
    say::panics_too();
    let end = act().unwrap_or_else(|error| {
        say::say(&error);
        End::Status(error.status())
    });
    end.leave()
}

fn act() -> Result<End, Error> {
    let cli = match cli::parse(std::env::args_os().collect())? {
        cli::Typed::Text(text) => return Ok(show(&text)),
        cli::Typed::Work(cli) => *cli,
    };
    let (task, settings) = settings::settle(cli)?;
    match task {
        Task::License => {
            // As it was written, with its tabs: nothing in it comes from anybody else.
            let mut out = say::document();
            let _ = out.write_all(licence::text().as_bytes()).and_then(|()| out.flush());
            Ok(End::Status(0))
        }
        Task::Run(words) => run::run(&settings, &words),
        Task::Python(args) => Err(run::become_python(&settings, args)),
        Task::Snapshot(job) => snapshot::take(&job, &settings.output).map(|()| End::Status(0)),
        Task::Export(path, format, file) => {
            export::export(path, &settings, format, file.as_deref()).map(|()| End::Status(0))
        }
        Task::List(path, last) => ls::list(path.as_deref(), &settings.output, last).map(|()| End::Status(0)),
        Task::Diff(old, new, file, allowed) => diff::compare(old, new, file.as_deref(), allowed, &settings),
        Task::Merge(paths) => merge::merge(&paths, &settings).map(|()| End::Status(0)),
        Task::Report(path) => report::again(path, &settings).map(|()| End::Status(0)),
    }
}

fn show(text: &str) -> End {
    say::show_all(text);
    End::Status(0)
}
