//! The life of a run: resolve, prepare, spawn, supervise, report.

pub mod board;
pub mod expendable;
pub mod footing;
pub mod glass;
pub mod last_report;
pub mod meanwhile;
pub mod parent;
pub mod reports;
pub mod signals;
pub mod slack;
pub mod supervise;
pub mod supervisor;
pub mod witness;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::error::Error;
use crate::folder::RunFolder;
use crate::folder::record::{Beginning, Record};
use crate::folder::workplace::Workplace;
use crate::kernel::elf::{self, Watch};
use crate::kernel::end::End;
use crate::kernel::filesystem::{Kind, kind};
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::options::cli::OnOom;
use crate::options::settings::Settings;
use crate::run::board::Board;
use crate::run::parent::Parent;
use crate::run::signals::Listener;
use crate::run::slack::Slack;
use crate::run::supervisor::Supervisor;
use crate::run::witness::Witness;
use crate::start::inherited::Inherited;
use crate::start::launch::{Launch, Unspawned};
use crate::start::limits::Limits;
use crate::start::target::{self, Surroundings, Target};
use crate::terminal::say::say;
use crate::verdict::evidence::Evidence;
use crate::watch::doorbell::Doorbell;
use crate::watch::family::Family;
use crate::watch::lookout::{self, Lookout};
use crate::watch::sampling::Sampling;
use crate::{
    finish::orphans, folder::lock, kernel::identity, kernel::process, start::capacity, start::library, start::rescue,
    start::sanitizer, terminal::local_time,
};

/// The supervisor wants to hear of a block that takes at least this part of the smallest limit.
const LARGE_SHARE: u64 = 8;
/// But not of one below this.
const LEAST_LARGE: u64 = 1 << 20;

/// Runs the job that `words` name, and returns how it ended.
pub fn run(settings: &Settings, words: &[OsString]) -> Result<End, Error> {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let start = Start::new(settings, target::resolve(words, &surroundings)?);
    // Where that fails, a report may want for room, which it will say.
    start.limits.lifted().set();
    rescue::prepare(start.command(start.limits).lasting());
    orphans::report_those_in(&settings.output);
    match start.prepare().map(|prepared| prepared.run(settings)) {
        Ok(Ok(end)) => Ok(end),
        Ok(Err(Unspawned::NotRun(error))) => Err(Error::Spawn(start.target.name, error)),
        Ok(Err(Unspawned::NoRoom(error))) => Err(start.become_job(&error.to_string())),
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
    Error::Spawn(start.target.name, command.become_it())
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

    fn command(&self, limits: Limits) -> Launch {
        Launch::new(&self.target, self.inherited, limits, self.limits)
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

    fn preload(&self, command: &mut Launch, library: &Path, stash: u64) {
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
        let granted = capacity::beside_the_job(&Host::this(), self.limits)?;
        let now = local_time::now();
        let evidence = Evidence::before(&Host::this(), Pid::this());
        let label = identity::label(&identity::read(None));
        let folder = RunFolder::create(&self.settings.output, &now, label.as_deref())
            .map_err(|error| format!("cannot make a folder in {}: {error}", self.settings.output.display()))?;
        let bounds = lookout::deadly_bounds(&Host::this(), evidence.cgroup.as_ref());
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
        match self.equip(&record, &library, &bounds, granted) {
            Ok((command, hearing)) => Ok(Prepared {
                command,
                hearing,
                record,
                evidence,
                limits: self.limits,
                library,
                first_only: self.settings.first_only,
                exits_on_oom: self.settings.on_oom == OnOom::Exit,
                unwatched: match elf::watch(&self.target.program) {
                    Watch::Ignored(why) => Some(why),
                    Watch::Possible | Watch::Harmful(_) => None,
                },
            }),
            Err(why) => {
                record.discard();
                Err(why)
            }
        }
    }

    /// Fills the run folder, and makes the command that starts the job.
    fn equip(
        &self,
        record: &Record,
        library: &Path,
        bounds: &[Bound],
        granted: Limits,
    ) -> Result<(Launch, Hearing), String> {
        let folder = &record.folder;
        let workplace = &record.workplace;
        // Before there is a run.json: from then on, a run without a holder of its lock has ended.
        lock::hold(&folder.folder).map_err(|error| format!("cannot write to {}: {error}", folder.path.display()))?;
        record.save().map_err(|error| error.to_string())?;
        let library = library::nameable(library, Some(folder))?;
        // Without a doorbell, on a file system that has no pipes, the preload starts its reports itself.
        let doorbell = Doorbell::hang(&workplace.folder).ok();
        let hearing = Hearing::with(doorbell).map_err(|error| format!("cannot wait for signals: {error}"))?;

        let deadly = bounds.iter().map(|bound| bound.bytes).min();
        let (limits, stash) = granted.for_job(self.settings.stash);
        let mut command = self.command(limits);
        self.preload(&mut command, &library, stash);
        command.env("FIL_PROFILE_RUN", workplace.path());
        // Whoever can exchange the folder must not get a recording into another one.
        match workplace.folder.identity() {
            // The job may go on on other machines, each of which has a number of its own for a network's file system.
            Ok((_, inode)) if kind(workplace.path()) == Kind::Network => {
                command.env("FIL_PROFILE_RUN_INODE", format!("0:{inode}"))
            }
            Ok((device, inode)) => command.env("FIL_PROFILE_RUN_INODE", format!("{device}:{inode}")),
            Err(error) => return Err(format!("cannot look at {}: {error}", workplace.path().display())),
        };
        for (name, limit) in [
            ("FIL_PROFILE_LIMIT_AS", limits.address_space),
            ("FIL_PROFILE_LIMIT_DATA", limits.data),
        ] {
            command.env(name, limit.bytes().unwrap_or(u64::MAX).to_string());
        }
        command.env("FIL_PROFILE_SUPERVISOR", Pid::this().to_string());
        command.env_remove("FIL_PROFILE_RECORDING");
        match deadly {
            Some(bytes) => {
                let large = (bytes / LARGE_SHARE).max(LEAST_LARGE);
                command.env("FIL_PROFILE_LARGE_REQUEST", large.to_string())
            }
            None => command.env_remove("FIL_PROFILE_LARGE_REQUEST"),
        };
        Ok((command, hearing))
    }

    /// Without anything to record there is nothing to supervise.
    fn become_job(&self, why: &str) -> Error {
        if self.settings.require {
            return Error::Unrecorded(why.to_owned());
        }
        say(format!("cannot record: {why}; the job runs all the same"));
        Error::Spawn(self.target.name.clone(), self.command(self.limits).become_it())
    }
}

/// A job that is ready to start.
struct Prepared {
    command: Launch,
    hearing: Hearing,
    record: Record,
    evidence: Evidence,
    limits: Limits,
    library: PathBuf,
    first_only: bool,
    exits_on_oom: bool,
    /// See [`Supervisor::unwatched`].
    unwatched: Option<&'static str>,
}

/// What will tell of the job.
struct Hearing {
    listener: Listener,
    /// For a supervisor that is not the job's parent.
    children: SignalFd,
    doorbell: Option<Doorbell>,
    board: Board,
    /// Whether the board can be read by another process.
    is_shared: bool,
}

impl Prepared {
    /// Starts the job, waits until it has ended and all is done that there is to do then, and returns how we shall end.
    fn run(self, settings: &Settings) -> Result<End, Unspawned> {
        let began = Instant::now();
        // No sooner: what the terminal sends from here on is taken to have reached the job too.
        if let Err(error) = process::hold_signals() {
            self.record.discard();
            return Err(Unspawned::NoRoom(error.into()));
        }
        footing::give_back();
        let Hearing {
            listener,
            children,
            doorbell,
            board,
            is_shared,
        } = self.hearing;
        // Before the job, so that what has reached the job has reached it too.
        let witness = Witness::call();
        // All that a supervisor needs is made before there is one: the next one needs it too.
        let cgroup = self.evidence.cgroup.clone();
        let mut slack = Slack::of(cgroup.as_ref());
        let lookout = Lookout::new(&Host::this(), cgroup, self.limits);
        let (folder, recordings) = (&self.record.folder.folder, &self.record.workplace.folder);
        let family = Family::new(folder, recordings, &self.library, self.first_only);
        let mut supervisor = Some(Supervisor {
            lookout,
            sampling: Sampling::new(folder, family),
            children,
            doorbell,
            record: self.record,
            evidence: self.evidence,
            exits_on_oom: self.exits_on_oom,
            unwatched: self.unwatched,
        });
        let mut parent = Parent::new(listener, witness, &board, began);
        // And the supervisor before the job too, which may need all memory at once.
        let is_apart =
            is_shared && parent.begin(&mut slack, || supervisor::work_apart(&mut supervisor, &board, settings));
        let job = match self.command.spawn() {
            Ok(job) => job,
            Err(unspawned) => {
                parent.dismiss();
                supervisor.inspect(|supervisor| supervisor.record.discard());
                return Err(unspawned);
            }
        };
        process::set_job(job);
        board.tell_job(job);
        if is_apart {
            let work = || supervisor::work_apart(&mut supervisor, &board, settings);
            let last_death = parent.wait(job, &mut slack, work);
            let ours = board.ours();
            return Ok(ours.unwrap_or_else(|| supervisor::give_up(supervisor, &board, last_death)));
        }
        let end = supervisor.map(|supervisor| supervisor.work(parent.into_source(), job, &board, settings));
        Ok(end.unwrap_or(End::Status(1)))
    }
}

impl Hearing {
    fn with(doorbell: Option<Doorbell>) -> nix::Result<Self> {
        let (board, is_shared) = Board::new()?;
        Ok(Self {
            listener: Listener::new()?,
            children: signals::waiting_for(&SigSet::from(Signal::SIGCHLD))?,
            doorbell,
            board,
            is_shared,
        })
    }
}

/// The exit status of a process that wrote a report, or could not.
fn status_of(written: Result<(), String>) -> i32 {
    match written {
        Ok(()) => 0,
        Err(error) => {
            say(error);
            1
        }
    }
}
