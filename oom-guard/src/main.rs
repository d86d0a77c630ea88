//! `fil-profile` runs a job unchanged and shows which lines of code held its memory when it ran out.

mod areas;
mod browser;
mod cgroup;
mod cli;
mod doorbell;
mod elf;
mod error;
mod evidence;
mod exit;
mod expendable;
mod facts;
mod filesystem;
mod folder;
mod gauge;
mod glass;
mod headroom;
mod identity;
mod kernel_file;
mod library;
mod licence;
mod limits;
mod local_time;
mod lock;
mod lookout;
mod measure;
mod measurer;
mod orphans;
mod pagemap;
mod process;
mod procfs;
mod record;
mod report;
mod reports;
mod run;
mod sampling;
mod say;
mod settings;
mod size;
mod snapshot;
mod supervise;
mod target;
mod termination;
mod tidy;
mod unsupervised;
mod verdict;
mod watch;
mod witness;
mod workplace;

use std::io::{Write, stdout};

use error::Error;
use exit::End;
use settings::Task;

fn main() {
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
        Task::License => Ok(show(&licence::text())),
        Task::Run(words) => run::run(&settings, &words),
        Task::Python(args) => Err(run::become_python(&settings, args)),
        Task::Snapshot(job) => snapshot::take(&job).map(|()| End::Status(0)),
        Task::Report(path) => report::again(path, &settings).map(|()| End::Status(0)),
    }
}

/// For a reader who may have seen enough: a closed stdout is no failure.
fn show(text: &str) -> End {
    let _ = stdout().write_all(text.as_bytes());
    End::Status(0)
}
