//! The life of a run: resolve, prepare, spawn, supervise, report.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use jiff::Zoned;
use nix::unistd::Pid;

use crate::doorbell::Doorbell;
use crate::elf::{self, Watch};
use crate::error::Error;
use crate::exit::End;
use crate::folder::RunFolder;
use crate::library;
use crate::limits::Limits;
use crate::process::{self, Inherited};
use crate::record::Record;
use crate::reports::Reports;
use crate::say::say;
use crate::settings::Settings;
use crate::supervise::Events;
use crate::target::{self, Surroundings, Target};

/// Runs the job that `words` name, and returns how it ended.
pub fn run(settings: &Settings, words: &[OsString]) -> Result<End, Error> {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let start = Start::new(settings, target::resolve(words, &surroundings)?);
    // Where that fails, a report may want for room, which it will say.
    let _ = start.limits.lifted().set();
    match start.prepare().map(Prepared::spawn) {
        Ok(Ok(running)) => Ok(running.wait().report(settings)),
        Ok(Err(Unspawned::NotRun(error))) => Err(Error::Spawn(start.target.name, error)),
        Ok(Err(Unspawned::NoProcess(error))) => Err(start.become_job(&error.to_string())),
        Err(why) => Err(start.become_job(&why)),
    }
}

/// `fil-profile python`: becomes an interpreter that has the library and does not record.
pub fn become_python(settings: &Settings, args: Vec<OsString>) -> Error {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let start = match surroundings.python(args) {
        Ok(target) => Start::new(settings, target),
        Err(error) => return error,
    };
    let mut command = start.command(start.limits);
    match start.library().and_then(|library| library::nameable(&library, None)) {
        Ok(library) => {
            start.preload(&mut command, &library, settings.stash);
            command.env("FIL_PROFILE_RECORDING", "off");
        }
        Err(why) => say(format!("cannot load the library: {why}; Python runs all the same")),
    }
    Error::Spawn(start.target.name, command.exec())
}

/// What a run starts from: what was asked for, and what we were given.
struct Start<'a> {
    settings: &'a Settings,
    target: Target,
    inherited: Inherited,
    limits: Limits,
}

impl<'a> Start<'a> {
    fn new(settings: &'a Settings, target: Target) -> Self {
        Self {
            settings,
            target,
            inherited: Inherited::read(),
            limits: Limits::read(),
        }
    }

    fn command(&self, limits: Limits) -> Command {
        process::command(&self.target, self.inherited, limits)
    }

    /// The library, if the program can bear it.
    fn library(&self) -> Result<PathBuf, String> {
        match elf::watch(&self.target.program) {
            Watch::Harmful(why) => Err(format!("{}: {why}", self.target.program.display())),
            Watch::Possible | Watch::Ignored(_) => library::find(),
        }
    }

    fn preload(&self, command: &mut Command, library: &Path, stash: u64) {
        let users = std::env::var_os("LD_PRELOAD");
        command.env("LD_PRELOAD", library::ld_preload(library, users.as_deref()));
        for (name, value) in self.settings.environment(stash) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    /// Makes everything that a recorded run needs.
    fn prepare(&self) -> Result<Prepared, String> {
        let library = self.library()?;
        let now = Zoned::now();
        let folder = RunFolder::create(&self.settings.output, &now)
            .map_err(|error| format!("cannot make a folder in {}: {error}", self.settings.output.display()))?;
        self.prepare_in(&folder, &now, &library)
            .inspect_err(|_| folder.discard())
    }

    fn prepare_in(&self, folder: &RunFolder, now: &Zoned, library: &Path) -> Result<Prepared, String> {
        let library = library::nameable(library, Some(&folder.path))?;
        let record = Record::new(folder.clone(), self.settings, &self.target, self.limits, now);
        record.save().map_err(|error| error.to_string())?;
        // Without a doorbell, on a file system that has no pipes, the preload starts its reports itself.
        let doorbell = Doorbell::hang(&folder.path).ok();
        let events = Events::new(doorbell).map_err(|error| format!("cannot wait for signals: {error}"))?;

        let (limits, stash) = self.limits.for_job(self.settings.stash);
        let mut command = self.command(limits);
        self.preload(&mut command, &library, stash);
        command.env("FIL_PROFILE_RUN", &folder.path);
        command.env("FIL_PROFILE_SUPERVISOR", Pid::this().to_string());
        command.env_remove("FIL_PROFILE_RECORDING");
        Ok(Prepared {
            command,
            events,
            record,
        })
    }

    /// Without anything to record there is nothing to supervise.
    fn become_job(&self, why: &str) -> Error {
        say(format!("cannot record: {why}; the job runs all the same"));
        Error::Spawn(self.target.name.clone(), self.command(self.limits).exec())
    }
}

/// A job that is ready to start.
struct Prepared {
    command: Command,
    events: Events,
    record: Record,
}

enum Unspawned {
    /// The system has no room for another process.
    NoProcess(io::Error),
    /// The program cannot be executed.
    NotRun(io::Error),
}

impl Prepared {
    fn spawn(mut self) -> Result<Running, Unspawned> {
        let began = Instant::now();
        // No sooner: what the terminal sends from here on is taken to have reached the job too.
        let spawned = process::hold_signals()
            .map_err(io::Error::from)
            .and_then(|()| self.command.spawn());
        match spawned {
            Ok(child) => {
                self.record.started();
                Ok(Running {
                    job: Pid::from_raw(child.id() as i32),
                    began,
                    events: self.events,
                    record: self.record,
                })
            }
            Err(error) => {
                self.record.folder.discard();
                Err(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Unspawned::NoProcess(error),
                    _ => Unspawned::NotRun(error),
                })
            }
        }
    }
}

/// A job that runs.
struct Running {
    job: Pid,
    began: Instant,
    events: Events,
    record: Record,
}

impl Running {
    fn wait(self) -> Ended {
        let mut record = self.record;
        let write = |occasion| record.report_meanwhile(occasion);
        let end = self.events.supervise(self.job, Reports::new(&write));
        record.ended(end, self.began.elapsed());
        Ended { end, record }
    }
}

/// A job that has ended.
struct Ended {
    end: End,
    record: Record,
}

impl Ended {
    /// Writes the last report, and returns how the job ended, whatever becomes of the report.
    fn report(self, settings: &Settings) -> End {
        self.record.report_at_the_end(settings.browser);
        self.end
    }
}
