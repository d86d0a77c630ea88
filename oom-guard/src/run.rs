//! The life of a run: resolve, prepare, spawn, supervise, report.

pub mod forced_exit;
pub mod killed_first;
pub mod last_report;
pub mod meanwhile;
pub mod measurer;
pub mod observe;
pub mod parent;
pub mod pinned_pages;
pub mod record;
pub mod reports;
pub mod shared_state;
pub mod signal_probe;
pub mod signals;
pub mod supervise;
pub mod supervisor;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use recording::protocol::{OnOom, RunInode, variables};

use crate::error::Error;
use crate::finish::orphans;
use crate::folder::RunFolder;
use crate::folder::lock;
use crate::folder::scratch::Scratch;
use crate::kernel::end::End;
use crate::kernel::filesystem::{FileSystem, kind};
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::identity;
use crate::kernel::process;
use crate::options::settings::Settings;
use crate::run::killed_first::AfterTheJob;
use crate::run::parent::Parent;
use crate::run::record::{Beginning, Record};
use crate::run::shared_state::SharedState;
use crate::run::signal_probe::SignalProbe;
use crate::run::signals::Listener;
use crate::run::supervisor::Supervisor;
use crate::start::capacity;
use crate::start::fallback;
use crate::start::inherited::Inherited;
use crate::start::launch::{Launch, Unspawned};
use crate::start::library;
use crate::start::limits::ResourceLimits;
use crate::start::preloadable::{self, Watch};
use crate::start::sanitizer;
use crate::start::target::{self, Surroundings, Target};
use crate::terminal::local_time;
use crate::terminal::say::say;
use crate::verdict::evidence::CountersAtStart;
use crate::watch::entered::Entered;
use crate::watch::family::Family;
use crate::watch::kills::Kills;
use crate::watch::limit_poller::{self, LimitPoller};
use crate::watch::message_pipe::MessagePipe;
use crate::watch::refusals::Refusals;
use crate::watch::room::Room;
use crate::watch::sampling::Sampling;

/// The library tells the supervisor of each block that is at least this part of the smallest limit,
const LARGE_SHARE: u64 = 8;
/// and at least this large.
const LEAST_LARGE: u64 = 1 << 20;

/// Runs the job that `words` name, and returns how it ended.
pub fn run(settings: &Settings, words: &[OsString]) -> Result<End, Error> {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let start = Start::new(settings, target::resolve(words, &surroundings)?);
    // Best effort: without it, reporting may hit our own RLIMIT_AS.
    start.limits.lifted().set();
    fallback::prepare(start.command(start.limits).lasting());
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
            command.env(variables::RECORDING.name(), variables::OFF);
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
    limits: ResourceLimits,
}

impl<'a> Start<'a> {
    fn new(settings: &'a Settings, target: Target) -> Self {
        Self {
            settings,
            target,
            inherited: Inherited::read(),
            limits: ResourceLimits::read(),
        }
    }

    fn command(&self, limits: ResourceLimits) -> Launch {
        Launch::new(&self.target, self.inherited, limits, self.limits)
    }

    /// The library, if the program works with it.
    fn library(&self) -> Result<PathBuf, String> {
        match preloadable::watch(&self.target.program) {
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
        for (variable, value) in self.settings.environment(stash) {
            match value {
                Some(value) => command.env(variable.name(), value),
                None => command.env_remove(variable.name()),
            };
        }
    }

    /// Makes everything that a recorded run needs.
    fn prepare(&self) -> Result<Prepared, String> {
        let library = self.library()?;
        let granted = capacity::beside_the_job(&Host::this(), self.limits)?;
        let now = local_time::now();
        let evidence = CountersAtStart::before(&Host::this(), Pid::this());
        let label = identity::label(&identity::read(None));
        let folder = RunFolder::create(&self.settings.output, &now, label.as_deref())
            .map_err(|error| format!("cannot make a folder in {}: {error}", self.settings.output.display()))?;
        let bounds = limit_poller::deadly_bounds(&Host::this(), evidence.cgroup.as_ref());
        let beginning = Beginning {
            settings: self.settings,
            target: &self.target,
            limits: self.limits,
            bounds: &bounds,
            evidence: &evidence,
            now: &now,
        };
        let scratch = Scratch::choose(&folder);
        let record = Record::new(folder, scratch, &beginning);
        match self.equip(&record, &library, &bounds, granted) {
            Ok((command, hearing)) => Ok(Prepared {
                command,
                hearing,
                record,
                evidence,
                limits: self.limits,
                library,
                no_children: self.settings.no_children,
                on_oom: self.settings.on_oom,
                unwatched: match preloadable::watch(&self.target.program) {
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
        granted: ResourceLimits,
    ) -> Result<(Launch, Hearing), String> {
        let folder = &record.folder;
        let scratch = &record.scratch;
        // Before there is a run.json: a run with one whose lock nobody holds counts as ended.
        lock::hold(&folder.folder).map_err(|error| format!("cannot write to {}: {error}", folder.path.display()))?;
        record.save().map_err(|error| error.to_string())?;
        let library = library::nameable(library, Some(folder))?;
        // Without a message pipe, on a file system that has no pipes, the preload starts its reports itself.
        let pipe = MessagePipe::create(&scratch.folder).ok();
        let hearing = Hearing::with(pipe).map_err(|error| format!("cannot wait for signals: {error}"))?;

        let deadly = bounds.iter().map(|bound| bound.bytes).min();
        let (limits, stash) = granted.for_job(self.settings.stash);
        let mut command = self.command(limits);
        self.preload(&mut command, &library, stash);
        command.env(variables::RUN.name(), scratch.path());
        // Somebody who exchanges the folder must not get a recording written into another one.
        let (device, inode) = scratch
            .folder
            .identity()
            .map_err(|error| format!("cannot look at {}: {error}", scratch.path().display()))?;
        // The job may start processes on other machines, where a network's file system has another device number.
        let is_shared = kind(scratch.path()) == FileSystem::Network;
        let inode = RunInode {
            device: if is_shared { 0 } else { device },
            inode,
        };
        command.env(variables::RUN_INODE.name(), inode.to_string());
        for (variable, limit) in [
            (variables::LIMIT_AS, limits.address_space),
            (variables::LIMIT_DATA, limits.data),
        ] {
            command.env(variable.name(), limit.bytes().unwrap_or(u64::MAX).to_string());
        }
        command.env(variables::SUPERVISOR.name(), Pid::this().to_string());
        command.env_remove(variables::RECORDING.name());
        match deadly {
            Some(bytes) => {
                let large = (bytes / LARGE_SHARE).max(LEAST_LARGE);
                command.env(variables::LARGE_REQUEST.name(), large.to_string())
            }
            None => command.env_remove(variables::LARGE_REQUEST.name()),
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
    evidence: CountersAtStart,
    limits: ResourceLimits,
    library: PathBuf,
    no_children: bool,
    on_oom: OnOom,
    /// See [`Supervisor::unwatched`].
    unwatched: Option<&'static str>,
}

/// The sources of news about the job.
struct Hearing {
    listener: Listener,
    /// For a supervisor that is not the job's parent.
    children: SignalFd,
    pipe: Option<MessagePipe>,
    shared: SharedState,
}

impl Prepared {
    /// Starts the job, waits for its end and for the last report, and returns how `fil-profile` must end.
    fn run(self, settings: &Settings) -> Result<End, Unspawned> {
        let began = Instant::now();
        // No sooner: from here on a signal of the terminal counts as received by the job too.
        if let Err(error) = process::hold_signals() {
            self.record.discard();
            return Err(Unspawned::NoRoom(error.into()));
        }
        pinned_pages::trim_heap();
        let Hearing {
            listener,
            children,
            pipe,
            shared,
        } = self.hearing;
        // Before the job, so that every signal that reaches the job reaches the probe too.
        let probe = SignalProbe::start(&shared);
        // All that a supervisor needs is made before the fork, so that the next supervisor has it too.
        let cgroup = self.evidence.cgroup.clone();
        let mut room = Room::in_cgroup(cgroup.as_ref());
        let poller = LimitPoller::new(&Host::this(), cgroup, self.limits);
        let (folder, recordings) = (&self.record.folder.folder, &self.record.scratch.folder);
        let family = Family::new(folder, recordings, &self.library, self.no_children);
        let mut supervisor = Some(Supervisor {
            poller,
            sampling: Sampling::new(folder, family),
            kills: Kills::since(&Host::this(), &self.evidence),
            entered: Entered::new(&Host::this(), &self.evidence),
            refusals: Refusals::new(&Host::this(), self.limits),
            children,
            pipe,
            record: self.record,
            evidence: self.evidence,
            on_oom: self.on_oom,
            unwatched: self.unwatched,
        });
        let mut parent = Parent::new(listener, probe, &shared, began);
        // The supervisor starts before the job too: the job may use up all memory at once.
        let is_apart =
            shared.is_shared && parent.begin(&mut room, || supervisor::work_apart(&mut supervisor, &shared, settings));
        let score = AfterTheJob::prepare();
        let job = match self.command.spawn() {
            Ok(job) => job,
            Err(unspawned) => {
                parent.dismiss();
                supervisor.inspect(|supervisor| supervisor.record.discard());
                return Err(unspawned);
            }
        };
        process::set_job(job);
        shared.tell_job(job);
        if is_apart {
            score.apply();
            let work = || supervisor::work_apart(&mut supervisor, &shared, settings);
            let last_death = parent.wait(job, &mut room, work);
            let ours = shared.ours();
            return Ok(ours.unwrap_or_else(|| supervisor::give_up(supervisor, &shared, last_death)));
        }
        let end = supervisor.map(|supervisor| supervisor.work(parent.into_source(), job, &shared, settings));
        Ok(end.unwrap_or(End::Status(1)))
    }
}

impl Hearing {
    fn with(pipe: Option<MessagePipe>) -> nix::Result<Self> {
        Ok(Self {
            listener: Listener::new()?,
            children: signals::waiting_for(&SigSet::from(Signal::SIGCHLD))?,
            pipe,
            shared: SharedState::new()?,
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
