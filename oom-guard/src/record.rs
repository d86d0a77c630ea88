//! What is known of a run, in its folder: `run.json` and the reports.

use std::fs;
use std::time::Duration;

use dumper::report::{Occasion, Written};
use dumper::run::{Ending, Run};
use jiff::Zoned;
use nix::sys::wait::WaitStatus;

use crate::elf::{self, Watch};
use crate::exit::End;
use crate::folder::RunFolder;
use crate::limits::Limits;
use crate::say::say;
use crate::settings::Settings;
use crate::target::Target;
use crate::{browser, report, reports};

/// One run.
pub struct Record {
    /// Where.
    pub folder: RunFolder,
    run: Run,
    /// Why the program itself will leave no recording; what it starts may.
    unwatched: Option<&'static str>,
}

impl Record {
    /// A run of `target` that is about to start.
    pub fn new(folder: RunFolder, settings: &Settings, target: &Target, limits: Limits, now: &Zoned) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let run = Run {
            format: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: target.command(),
            directory: std::env::current_dir().unwrap_or_default(),
            host: host.trim().to_owned(),
            started: rfc3339(now),
            supervisor: std::process::id(),
            on_oom: settings.on_oom.name().to_owned(),
            address_space_limit: limits.address_space.bytes(),
            data_limit: limits.data.bytes(),
            ..Run::default()
        };
        let unwatched = match elf::watch(&target.program) {
            Watch::Ignored(why) => Some(why),
            Watch::Possible | Watch::Harmful(_) => None,
        };
        Self { folder, run, unwatched }
    }

    /// Writes `run.json`.
    pub fn save(&self) -> Result<(), dumper::Error> {
        self.run.save(&self.folder.path)
    }

    /// The job has started.
    pub fn started(&self) {
        if let Some(why) = self.unwatched {
            say(format!(
                "cannot watch {}: {why}; it runs all the same",
                self.run.command[0]
            ));
        }
        // A link less is no reason to tell anybody.
        let _ = self.folder.link_latest();
    }

    /// The job has ended.
    pub fn ended(&mut self, end: End, after: Duration) {
        let (status, signal) = match end {
            End::Status(status) => (Some(status), None),
            End::Signal(signal) => (None, Some(signal as i32)),
        };
        self.run.ending = Some(Ending {
            status,
            signal,
            ended: rfc3339(&Zoned::now()),
            seconds: after.as_secs_f64(),
        });
        if let Err(error) = self.save() {
            say(error);
        }
    }

    /// Writes a report while the job runs, says so, and returns an exit status.
    pub fn report_meanwhile(&self, occasion: Occasion) -> i32 {
        self.report(occasion, |written| match written {
            None => say("nothing has been recorded so far"),
            Some(written) => match &written.out_of_memory {
                Some(picture) if occasion == Occasion::AllocationFailed => {
                    let picture = picture.display();
                    say(format!("an allocation failed, the job goes on; so far: {picture}"));
                }
                _ => report::tell(&written),
            },
        })
    }

    /// Writes the last report in a process of its own, and opens it where it `may` be and somebody would see it.
    pub fn report_at_the_end(&self, may: bool) {
        let write = || {
            self.report(Occasion::Ended, |written| match written {
                // The library begins a recording at the first sample, which a tiny job never comes to.
                None if self.unwatched.is_some() || self.has_succeeded() => {}
                None => say("nothing was recorded: the job used next to no memory, or did not load the library"),
                Some(written) => {
                    report::tell(&written);
                    if may && browser::has_audience() {
                        browser::open(&written.index);
                    }
                }
            })
        };
        match reports::last(write) {
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let folder = self.folder.path.display();
                say(format!(
                    "the report was cut short by {signal}; to write it: fil-profile report {folder}"
                ));
            }
            Ok(_) => {}
            // No process can be had: then here.
            Err(_) => drop(write()),
        }
    }

    fn has_succeeded(&self) -> bool {
        self.run.ending.as_ref().is_some_and(|ending| ending.status == Some(0))
    }

    fn report(&self, occasion: Occasion, tell: impl FnOnce(Option<Written>)) -> i32 {
        match report::write(&self.folder, &self.folder.path, &self.run, occasion) {
            Ok(written) => {
                tell(written);
                0
            }
            Err(error) => {
                say(error);
                1
            }
        }
    }
}

fn rfc3339(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}
