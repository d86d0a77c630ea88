//! The life of a run: resolve, prepare, spawn, supervise, report.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use std::{env, fs, io};

use dumper::report::{Occasion, Written};
use dumper::run::{Ending, Run};
use jiff::Zoned;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use crate::doorbell::Doorbell;
use crate::elf::{self, Watch};
use crate::error::Error;
use crate::exit::End;
use crate::folder::RunFolder;
use crate::limits::Limits;
use crate::process::{self, Inherited};
use crate::reports::{self, Reports};
use crate::say::say;
use crate::settings::Settings;
use crate::supervise::Events;
use crate::target::{self, Surroundings, Target};
use crate::{browser, library, report};

/// Runs the job that `words` name, and returns how it ended.
pub fn run(settings: &Settings, words: &[OsString]) -> Result<End, Error> {
    let inherited = Inherited::read();
    let limits = Limits::read();
    // Where that fails, a report may want for room, which it will say.
    let _ = limits.lifted().set();
    let target = target::resolve(words, &Surroundings::of_this_process(settings.python.clone()))?;
    let unrecorded = |why: String| {
        say(format!("cannot record: {why}; the job runs all the same"));
        become_job(&target, inherited, limits)
    };
    let prepared = match Prepared::new(settings, &target, inherited, limits) {
        Ok(prepared) => prepared,
        Err(why) => return Err(unrecorded(why)),
    };
    match prepared.spawn() {
        Ok(running) => Ok(running.wait().report(settings)),
        Err(Unspawned::NoProcess(error)) => Err(unrecorded(error.to_string())),
        Err(Unspawned::NotRun(error)) => Err(Error::Spawn(target.name, error)),
    }
}

/// `fil-profile python`: becomes an interpreter that has the library and does not record.
pub fn become_python(settings: &Settings, args: Vec<OsString>) -> Error {
    let surroundings = Surroundings::of_this_process(settings.python.clone());
    let target = match surroundings.python(args) {
        Ok(target) => target,
        Err(error) => return error,
    };
    let mut command = process::command(&target, Inherited::read(), Limits::read());
    match library::find().and_then(|library| library::nameable(&library, None)) {
        Ok(library) => {
            preload(&mut command, &library, settings, settings.stash);
            command.env("FIL_PROFILE_RECORDING", "off");
        }
        Err(why) => say(format!("cannot load the library: {why}; Python runs all the same")),
    }
    Error::Spawn(target.name, command.exec())
}

/// Without anything to record there is nothing to supervise.
fn become_job(target: &Target, inherited: Inherited, limits: Limits) -> Error {
    Error::Spawn(target.name.clone(), process::command(target, inherited, limits).exec())
}

fn preload(command: &mut Command, library: &Path, settings: &Settings, stash: u64) {
    command.env(
        "LD_PRELOAD",
        library::ld_preload(library, env::var_os("LD_PRELOAD").as_deref()),
    );
    for (name, value) in settings.environment(stash) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// A job that is ready to start.
struct Prepared {
    command: Command,
    events: Events,
    record: Record,
}

/// Where and what is known of a run.
struct Record {
    folder: RunFolder,
    run: Run,
    /// Why the program itself will leave no recording.
    unwatched: Option<&'static str>,
}

enum Unspawned {
    /// The system has no room for another process.
    NoProcess(io::Error),
    /// The program cannot be executed.
    NotRun(io::Error),
}

impl Prepared {
    fn new(settings: &Settings, target: &Target, inherited: Inherited, limits: Limits) -> Result<Self, String> {
        let unwatched = match elf::watch(&target.program) {
            Watch::Possible => None,
            Watch::Ignored(why) => Some(why),
            Watch::Harmful(why) => return Err(format!("{}: {why}", target.program.display())),
        };
        let library = library::find()?;
        let now = Zoned::now();
        let folder = RunFolder::create(&settings.output, &now)
            .map_err(|error| format!("cannot make a folder in {}: {error}", settings.output.display()))?;
        let run = describe(settings, target, limits, &now);
        let record = Record { folder, run, unwatched };
        let prepared = Self::in_folder(settings, target, inherited, limits, &library, &record);
        match prepared {
            Ok((command, events)) => Ok(Self {
                command,
                events,
                record,
            }),
            Err(why) => {
                record.folder.discard();
                Err(why)
            }
        }
    }

    fn in_folder(
        settings: &Settings,
        target: &Target,
        inherited: Inherited,
        limits: Limits,
        library: &Path,
        record: &Record,
    ) -> Result<(Command, Events), String> {
        let folder = &record.folder.path;
        let library = library::nameable(library, Some(folder))?;
        record.run.save(folder).map_err(|error| error.to_string())?;
        // Without a doorbell, on a file system that has no pipes, the preload starts its reports itself.
        let doorbell = Doorbell::hang(folder).ok();
        let events = process::hold_signals().and_then(|()| Events::new(doorbell));
        let events = events.map_err(|error| format!("cannot wait for signals: {error}"))?;

        let (limits, stash) = limits.for_job(settings.stash);
        let mut command = process::command(target, inherited, limits);
        preload(&mut command, &library, settings, stash);
        command.env("FIL_PROFILE_RUN", folder);
        command.env("FIL_PROFILE_SUPERVISOR", Pid::this().to_string());
        command.env_remove("FIL_PROFILE_RECORDING");
        Ok((command, events))
    }

    fn spawn(mut self) -> Result<Running, Unspawned> {
        let began = Instant::now();
        let job = match self.command.spawn() {
            Ok(child) => Pid::from_raw(child.id() as i32),
            Err(error) => {
                self.record.folder.discard();
                return Err(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Unspawned::NoProcess(error),
                    _ => Unspawned::NotRun(error),
                });
            }
        };
        if let Some(why) = self.record.unwatched {
            say(format!(
                "cannot watch {}: {why}; it runs all the same",
                self.command.get_program().display()
            ));
        }
        // A link less is no reason to tell anybody.
        let _ = self.record.folder.link_latest();
        Ok(Running {
            job,
            began,
            events: self.events,
            record: self.record,
        })
    }
}

fn describe(settings: &Settings, target: &Target, limits: Limits, now: &Zoned) -> Run {
    Run {
        format: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: target.command(),
        directory: env::current_dir().unwrap_or_default(),
        host: fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        started: rfc3339(now),
        supervisor: std::process::id(),
        on_oom: settings.on_oom.name().to_owned(),
        address_space_limit: limits.address_space.bytes(),
        data_limit: limits.data.bytes(),
        ending: None,
    }
}

fn rfc3339(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
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
        let record = self.record;
        let write = |occasion| record.report_meanwhile(occasion);
        let end = self.events.supervise(self.job, Reports::new(&write));
        Ended {
            end,
            seconds: self.began.elapsed().as_secs_f64(),
            record,
        }
    }
}

/// A job that has ended.
struct Ended {
    end: End,
    seconds: f64,
    record: Record,
}

impl Ended {
    /// Writes the last report, and returns how the job ended, whatever becomes of the report.
    fn report(self, settings: &Settings) -> End {
        let Self {
            end,
            seconds,
            mut record,
        } = self;
        let (status, signal) = match end {
            End::Status(status) => (Some(status), None),
            End::Signal(signal) => (None, Some(signal as i32)),
        };
        record.run.ending = Some(Ending {
            status,
            signal,
            ended: rfc3339(&Zoned::now()),
            seconds,
        });
        if let Err(error) = record.run.save(&record.folder.path) {
            say(error);
        }
        match reports::last(|| record.report_at_the_end(settings)) {
            Ok(WaitStatus::Signaled(_, signal, _)) => say(format!(
                "the report was cut short by {signal}; to write it: fil-profile report {}",
                record.folder.path.display()
            )),
            Ok(_) => {}
            // No process can be had: then here.
            Err(_) => drop(record.report_at_the_end(settings)),
        }
        end
    }
}

impl Record {
    fn report(&self, occasion: Occasion) -> Result<Option<Written>, String> {
        report::write(&self.folder, &self.folder.path, &self.run, occasion)
    }

    fn report_meanwhile(&self, occasion: Occasion) -> i32 {
        match (self.report(occasion), occasion) {
            (
                Ok(Some(Written {
                    out_of_memory: Some(picture),
                    ..
                })),
                Occasion::AllocationFailed,
            ) => {
                say(format!(
                    "an allocation failed, the job goes on; so far: {}",
                    picture.display()
                ));
            }
            (Ok(Some(written)), _) => report::tell(&written),
            (Ok(None), _) => say("nothing has been recorded so far"),
            (Err(error), _) => {
                say(error);
                return 1;
            }
        }
        0
    }

    fn report_at_the_end(&self, settings: &Settings) -> i32 {
        match (self.report(Occasion::Ended), self.unwatched) {
            (Ok(Some(written)), _) => {
                report::tell(&written);
                if settings.browser && browser::has_audience() {
                    browser::open(&written.index);
                }
            }
            (Ok(None), Some(_)) => {}
            (Ok(None), None) => {
                say("nothing was recorded: the job used next to no memory, or did not load the library")
            }
            (Err(error), _) => {
                say(error);
                return 1;
            }
        }
        0
    }
}
