//! The life of a run: resolve, prepare, spawn, supervise, report.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::board::{Board, Ended};
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
use crate::inherited::Inherited;
use crate::launch::{Launch, Unspawned};
use crate::limits::Limits;
use crate::lookout::{self, Lookout};
use crate::measurer::Measurer;
use crate::parent::Parent;
use crate::record::{Beginning, Record};
use crate::reports::{Reports, Wanted};
use crate::sampling::Sampling;
use crate::say::say;
use crate::settings::Settings;
use crate::signals::Listener;
use crate::slack::Slack;
use crate::supervise::{Duties, Events, Source};
use crate::target::{self, Surroundings, Target};
use crate::verdict::OOM_STATUS;
use crate::witness::Witness;
use crate::workplace::Workplace;
use crate::{capacity, identity, library, local_time, lock, orphans, process, rescue, sanitizer, signals};

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
    start.limits.lifted().set();
    rescue::prepare(start.command(start.limits).lasting());
    orphans::report_those_in(&settings.output);
    match start.prepare().map(Prepared::spawn) {
        Ok(Ok(running)) => Ok(running.wait(settings)),
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
        let granted = capacity::beside_the_job(Path::new(ROOT), self.limits)?;
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
            Ok((device, inode)) => command.env("FIL_PROFILE_RUN_INODE", format!("{device}:{inode}")),
            Err(error) => return Err(format!("cannot look at {}: {error}", workplace.path().display())),
        };
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
    fn spawn(self) -> Result<Running, Unspawned> {
        let began = Instant::now();
        // No sooner: what the terminal sends from here on is taken to have reached the job too.
        let held = process::hold_signals().map_err(|error| Unspawned::NoRoom(error.into()));
        let spawned = held.and_then(|()| {
            // Before the job, so that what has reached the job has reached it too.
            let witness = Witness::call();
            Ok((self.command.spawn()?, witness))
        });
        match spawned {
            Ok((job, witness)) => {
                rescue::started(job);
                self.record.started();
                Ok(Running {
                    witness,
                    job,
                    began,
                    prepared: self,
                })
            }
            Err(unspawned) => {
                self.record.discard();
                Err(unspawned)
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
    /// Waits until the job has ended and all is done that there is to do then, and returns how we shall end.
    fn wait(self, settings: &Settings) -> End {
        let Prepared {
            hearing,
            record,
            evidence,
            limits,
            library,
            first_only,
            exits_on_oom,
            ..
        } = self.prepared;
        let Hearing {
            listener,
            children,
            doorbell,
            board,
            is_shared,
        } = hearing;
        let (root, job) = (Path::new(ROOT), self.job);
        // All that a supervisor needs is made before there is one: the next one needs it too.
        let lookout = Lookout::new(root, job, evidence.cgroup.clone(), limits);
        let mut slack = Slack::of(evidence.cgroup.as_ref());
        let (folder, recordings) = (&record.folder.folder, &record.workplace.folder);
        let family = Family::new(folder, recordings, job, &library, first_only);
        let mut supervisor = Some(Supervisor {
            job,
            lookout,
            sampling: Sampling::new(folder, family),
            doorbell,
            record,
            evidence,
            exits_on_oom,
        });
        let mut children = Some(children);
        let mut parent = Parent {
            listener,
            witness: self.witness,
            board: &board,
            job,
            began: self.began,
        };
        let supervise = || {
            // Taken in the process that does it, of which each has its own.
            let (Some(supervisor), Some(children)) = (supervisor.take(), children.take()) else {
                return 1;
            };
            let source = Source::Parent {
                children,
                signals_taken: 0,
            };
            board.tell_ours(supervisor.work(source, &board, settings));
            0
        };
        let waited = match is_shared {
            true => parent.wait(&mut slack, supervise),
            false => Err(Errno::ENOMEM),
        };
        match (waited, supervisor) {
            (Ok(last_death), supervisor) => board
                .ours()
                .unwrap_or_else(|| given_up(supervisor, &board, last_death.unwrap_or(0))),
            (Err(_), Some(supervisor)) => {
                let source = Source::Kernel {
                    listener: parent.listener,
                    witness: parent.witness,
                    began: parent.began,
                };
                supervisor.work(source, &board, settings)
            }
            (Err(_), None) => End::Status(1),
        }
    }
}

/// No supervisor has come to its end.
fn given_up(supervisor: Option<Supervisor>, board: &Board, signal: i32) -> End {
    let Some(ended) = board.end() else {
        return End::Status(1);
    };
    let end = Glass::new(board).end(ended.end);
    if let Some(mut supervisor) = supervisor {
        supervisor.record.ended(Ended { end, ..ended });
        supervisor.record.cut_short(signal);
    }
    end
}

/// What a supervisor works with.
struct Supervisor {
    job: Pid,
    lookout: Lookout,
    sampling: Sampling,
    doorbell: Option<Doorbell>,
    record: Record,
    evidence: Evidence,
    exits_on_oom: bool,
}

impl Supervisor {
    /// Watches over the job until it has ended, writes the last report, and returns how `fil-profile` shall end, whatever becomes of
    /// the report.
    fn work(self, source: Source, board: &Board, settings: &Settings) -> End {
        let mut record = self.record;
        let (ended, observed) = {
            let write = |wanted: &Wanted| record.report_meanwhile(wanted);
            let measure = |why| record.measure(why);
            let mut duties = Duties {
                reports: Reports::new(&write, board),
                measurer: Measurer::new(&measure, board),
                lookout: self.lookout,
                sampling: self.sampling,
                glass: Glass::new(board),
                board,
                exits_on_oom: self.exits_on_oom,
                signals: Vec::new(),
            };
            let ended = Events::new(source, self.doorbell).supervise(self.job, &mut duties);
            (ended, duties.observed(ended, record.job(self.job), &self.evidence))
        };
        record.ended(ended);
        let mut slack = Slack::of(self.evidence.cgroup.as_ref());
        let a_child_ran_out = record.report_at_the_end(&observed, settings.browser, &mut slack);
        match ended.end {
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
