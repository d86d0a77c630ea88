//! `fil-profile` runs a job unchanged and shows which lines of code held its memory when it ran out.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod error;
mod exit;
mod finish;
mod folder;
mod kernel;
mod options;
mod run;
mod start;
mod terminal;
mod verdict;
mod watch;

use std::io::Write;

use error::Error;
use kernel::end::End;
use options::settings::Task;

fn main() {
    kernel::stack::on_a_large_one(work);
}

extern "C" fn work() {
    terminal::say::panics_too();
    let end = act().unwrap_or_else(|error| {
        terminal::say::say(&error);
        End::Status(error.status())
    });
    exit::leave(end)
}

fn act() -> Result<End, Error> {
    let cli = match options::parse::parse(std::env::args_os().collect())? {
        options::parse::Typed::Text(text) => return Ok(show(&text)),
        options::parse::Typed::Work(cli) => *cli,
    };
    if cli.verbose {
        terminal::say::be_verbose();
    }
    let (task, settings) = options::settings::settle(cli)?;
    match task {
        Task::License => {
            // As it was written, with its tabs: nothing in it comes from anybody else.
            let mut out = terminal::say::document();
            let _ = out
                .write_all(commands::licence::text().as_bytes())
                .and_then(|()| out.flush());
            Ok(End::Status(0))
        }
        Task::Completions(shell) => Ok(show(&commands::manual::completions(shell))),
        Task::Manual(command) => commands::manual::page(command.as_deref()).map(|text| show(&text)),
        Task::Run(words) => run::run(&settings, &words),
        Task::Python(args) => Err(run::become_python(&settings, args)),
        Task::Snapshot(job) => commands::snapshot::take(&job, &settings.output).map(|()| End::Status(0)),
        Task::Inspect(what, json) => {
            commands::inspect::inspect(&what, json.as_deref(), &settings.output).map(|()| End::Status(0))
        }
        Task::Export(path, format, file) => {
            commands::export::export(path, &settings, format, file.as_deref()).map(|()| End::Status(0))
        }
        Task::List(path, last) => commands::ls::list(path.as_deref(), &settings.output, last).map(|()| End::Status(0)),
        Task::Diff(old, new, file, allowed) => commands::diff::compare(old, new, file.as_deref(), allowed, &settings),
        Task::Merge(paths) => commands::merge::merge(&paths, &settings).map(|()| End::Status(0)),
        Task::Report(path) => commands::report::report(path, &settings).map(|()| End::Status(0)),
    }
}

fn show(text: &str) -> End {
    terminal::say::show_all(text);
    End::Status(0)
}
