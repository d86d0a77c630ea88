//! The life of a run: resolve, prepare, spawn, supervise, report.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use nix::unistd::Pid;

use crate::cli::OnOom;
use crate::doorbell::Doorbell;
use crate::elf::{self, Watch};
use crate::error::Error;
use crate::evidence::Evidence;
use crate::exit::End;
use crate::family::Family;
use crate::folder::RunFolder;
use crate::glass::Glass;
use crate::headroom::Bound;
use crate::limits::Limits;
use crate::lookout::{self, Lookout};
use crate::measurer::Measurer;
use crate::process::{self, Inherited};
use crate::record::{Beginning, Record};
use crate::reports::{Reports, Wanted};
use crate::sampling::Sampling;
use crate::say::say;
use crate::settings::Settings;
use crate::supervise::{Duties, Events};
use crate::target::{self, Surroundings, Target};
use crate::verdict::OOM_STATUS;
use crate::verdict::observed::Observed;
use crate::witness::Witness;
use crate::workplace::Workplace;
use crate::{identity, library, local_time, lock, orphans, sanitizer};

/// Where /proc and /sys are.
const ROOT: &str = "/";

/// The supervisor wants to hear of a block that takes at least this part of the smallest limit.
const LARGE_SHARE: u64 = 8;
/// But not of one below this.
const LEAST_LARGE: u64 = 1 << 20;

/// Runs the job that `words` name, and returns how it ended.
pub fn run(settings: &Settings, words: &[OsString]) -> Result<End, Error> {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let start = Start::new(settings, target::resolve(words, &surroundings)?);
    // Where that fails, a report may want for room, which it will say.
    let _ = start.limits.lifted().set();
    orphans::report_those_in(&settings.output);
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
            Watch::Possible if std::env::var_os("LD_PRELOAD").is_some_and(|names| sanitizer::is_preloaded(&names)) => {
                Err(format!("LD_PRELOAD: {}", sanitizer::WHY))
            }
            Watch::Ignored(why) if self.settings.require => Err(format!("{}: {why}", self.target.program.display())),
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
        let now = local_time::now();
        let evidence = Evidence::before(Path::new(ROOT), Pid::this());
        let label = identity::label(&identity::read(None));
        let folder = RunFolder::create(&self.settings.output, &now, label.as_deref())
            .map_err(|error| format!("cannot make a folder in {}: {error}", self.settings.output.display()))?;
        let bounds = lookout::deadly_bounds(Path::new(ROOT), evidence.cgroup.as_ref());
        let beginning = Beginning {
            settings: self.settings,
            target: &self.target,
            limits: self.limits,
            bounds: &bounds,
            evidence: &evidence,
            now: &now,
        };
        let workplace = Workplace::choose(&folder);
        let record = Record::new(folder, workplace, &beginning);
        match self.equip(&record, &library, &bounds) {
            Ok((command, events)) => Ok(Prepared {
                command,
                events,
                record,
                evidence,
                limits: self.limits,
                library,
                first_only: self.settings.first_only,
                exits_on_oom: self.settings.on_oom == OnOom::Exit,
            }),
            Err(why) => {
                record.discard();
                Err(why)
            }
        }
    }

    /// Fills the run folder, and makes the command that starts the job.
    fn equip(&self, record: &Record, library: &Path, bounds: &[Bound]) -> Result<(Command, Events), String> {
        let folder = &record.folder.path;
        let workplace = &record.workplace.path;
        // Before there is a run.json: from then on, a run without a holder of its lock has ended.
        lock::hold(folder).map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        record.save().map_err(|error| error.to_string())?;
        let library = library::nameable(library, Some(folder))?;
        // Without a doorbell, on a file system that has no pipes, the preload starts its reports itself.
        let doorbell = Doorbell::hang(workplace).ok();
        let events = Events::new(doorbell).map_err(|error| format!("cannot wait for signals: {error}"))?;

        let deadly = bounds.iter().map(|bound| bound.bytes).min();
        let (limits, stash) = self.limits.for_job(self.settings.stash);
        let mut command = self.command(limits);
        self.preload(&mut command, &library, stash);
        command.env("FIL_PROFILE_RUN", workplace);
        command.env("FIL_PROFILE_SUPERVISOR", Pid::this().to_string());
        command.env_remove("FIL_PROFILE_RECORDING");
        match deadly {
            Some(bytes) => {
                let large = (bytes / LARGE_SHARE).max(LEAST_LARGE);
                command.env("FIL_PROFILE_LARGE_REQUEST", large.to_string())
            }
            None => command.env_remove("FIL_PROFILE_LARGE_REQUEST"),
        };
        Ok((command, events))
    }

    /// Without anything to record there is nothing to supervise.
    fn become_job(&self, why: &str) -> Error {
        if self.settings.require {
            return Error::Unrecorded(why.to_owned());
        }
        say(format!("cannot record: {why}; the job runs all the same"));
        Error::Spawn(self.target.name.clone(), self.command(self.limits).exec())
    }
}

/// A job that is ready to start.
struct Prepared {
    command: Command,
    events: Events,
    record: Record,
    evidence: Evidence,
    limits: Limits,
    library: PathBuf,
    first_only: bool,
    exits_on_oom: bool,
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
        let spawned = process::hold_signals().map_err(io::Error::from).and_then(|()| {
            // Before the job, so that what has reached the job has reached it too.
            let witness = Witness::call();
            Ok((self.command.spawn()?, witness))
        });
        match spawned {
            Ok((child, witness)) => {
                self.record.started();
                Ok(Running {
                    witness,
                    job: Pid::from_raw(child.id() as i32),
                    began,
                    prepared: self,
                })
            }
            Err(error) => {
                self.record.discard();
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
    witness: Witness,
    began: Instant,
    prepared: Prepared,
}

impl Running {
    fn wait(self) -> Ended {
        let (job, root) = (self.job, Path::new(ROOT));
        let Prepared {
            events,
            mut record,
            evidence,
            limits,
            library,
            first_only,
            exits_on_oom,
            ..
        } = self.prepared;
        let (folder, recordings) = (&record.folder.path, &record.workplace.path);
        let write = |wanted: &Wanted| record.report_meanwhile(wanted);
        let measure = |why| record.measure(why);
        let mut duties = Duties {
            reports: Reports::new(&write),
            measurer: Measurer::new(&measure),
            lookout: Lookout::new(root, job, evidence.cgroup.clone(), limits),
            sampling: Sampling::new(folder, Family::new(folder, recordings, job, &library, first_only)),
            glass: Glass::default(),
            witness: self.witness,
            exits_on_oom,
            signals: Vec::new(),
        };
        let end = events.supervise(job, &mut duties);
        let observed = duties.observed(end, record.job(job), &evidence);
        record.ended(end, self.began.elapsed());
        Ended { end, record, observed }
    }
}

/// A job that has ended.
struct Ended {
    end: End,
    record: Record,
    observed: Observed,
}

impl Ended {
    /// Writes the last report, and returns how the job ended, whatever becomes of the report.
    fn report(self, settings: &Settings) -> End {
        let a_child_ran_out = self.record.report_at_the_end(&self.observed, settings.browser);
        match self.end {
            End::Status(0) if settings.fail_on_child_oom && a_child_ran_out => {
                say(format!(
                    "the job ended with status 0; this ends with {OOM_STATUS}, as --fail-on-child-oom asks"
                ));
                End::Status(OOM_STATUS)
            }
            end => end,
        }
    }
}
