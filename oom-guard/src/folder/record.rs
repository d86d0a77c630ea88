//! What is known of a run, in its folder: `run.json` and the reports.

use std::cell::Cell;
use std::path::Path;

use dumper::outcome::{Kind, Limit, Outcome, ProcessName};
use dumper::report::{Occasion, near_limit, termination_message};
use dumper::run::{Ending, Run};
use dumper::units::Bytes;
use dumper::{LocalSource, Unrecorded};
use jiff::Zoned;
use nix::unistd::Pid;

use crate::commands::report::{Material, tell};
use crate::exit::End;
use crate::finish::unsupervised::{self, OOM_GROUP, is_about_memory, is_worth_a_report, keep, settle};
use crate::folder::RunFolder;
use crate::folder::workplace::Workplace;
use crate::kernel::elf::{self, Watch};
use crate::kernel::headroom::Bound;
use crate::kernel::kernel_file::text;
use crate::options::settings::Settings;
use crate::run::board::{Board, Ended};
use crate::run::reports::{self, Wanted};
use crate::run::slack::Slack;
use crate::start::limits::Limits;
use crate::start::target::Target;
use crate::terminal::say::say;
use crate::verdict::evidence::Evidence;
use crate::verdict::judge;
use crate::verdict::observed::{self, Observed, Sent};
use crate::watch::lookout::Near;
use crate::watch::measurer::Why;
use crate::{
    commands::browser, folder::termination, folder::tidy, kernel::identity, kernel::procfs, run::expendable,
    start::sanitizer, terminal::local_time, verdict::facts, watch::measure,
};

/// Of the last report, where the kernel kills each for want of memory.
const MOST_TRIES: usize = 4;

/// In the status of a process that writes the last report; the lower bit is whether it could not.
const A_CHILD_RAN_OUT: i32 = 2;

/// One run.
pub struct Record {
    /// Where.
    pub folder: RunFolder,
    /// Where its recordings are meanwhile.
    pub workplace: Workplace,
    run: Run,
    /// Why the program itself will leave no recording; what it starts may.
    unwatched: Option<&'static str>,
}

/// What a run is about to start with.
pub struct Beginning<'a> {
    /// What was asked for.
    pub settings: &'a Settings,
    /// What is to be run.
    pub target: &'a Target,
    /// The resource limits that the user set.
    pub limits: Limits,
    /// Of the cgroup and the machine.
    pub bounds: &'a [Bound],
    /// The kernel's counters.
    pub evidence: &'a Evidence,
    /// When.
    pub now: &'a Zoned,
}

impl Record {
    /// A run that is about to start.
    pub fn new(folder: RunFolder, workplace: Workplace, beginning: &Beginning) -> Self {
        let Beginning {
            settings,
            target,
            limits,
            evidence,
            ..
        } = beginning;
        let host = text(Path::new("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
        let mut identity = identity::read(evidence.cgroup.as_ref());
        if evidence.is_killed_as_group {
            identity.insert(OOM_GROUP.to_owned(), "1".to_owned());
        }
        let run = Run {
            format: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: target.command(),
            directory: std::env::current_dir().unwrap_or_default(),
            host: host.trim().to_owned(),
            started: rfc3339(beginning.now),
            made_in: folder.folder.birth().ok(),
            token: workplace.token.clone(),
            supervisor: std::process::id(),
            on_oom: settings.on_oom.name().to_owned(),
            rank: settings.rank.map_or(String::new(), |rank| rank.name().to_owned()),
            keep_recording: settings.keep_recording,
            text: settings.text,
            address_space_limit: limits.address_space.bytes(),
            data_limit: limits.data.bytes(),
            identity,
            limits: smallest_first(beginning.bounds, *limits),
            outcome: Some(unsupervised::beginning(evidence)),
            source: LocalSource::ThisMachine,
            ..Run::default()
        };
        let unwatched = match elf::watch(&target.program) {
            Watch::Ignored(why) => Some(why),
            Watch::Possible | Watch::Harmful(_) => None,
        };
        Self {
            folder,
            workplace,
            run,
            unwatched,
        }
    }

    /// Writes `run.json`.
    pub fn save(&self) -> Result<(), dumper::Error> {
        self.run.save(&self.folder.folder)
    }

    /// The limits at the start, the smallest first.
    pub fn limits(&self) -> &[Limit] {
        &self.run.limits
    }

    /// The job has started. Says what there is to say to that, unless it has been said already.
    pub fn started(&self, board: &Board) {
        if !board.is_to_announce() {
            return;
        }
        if let Some(why) = self.unwatched {
            say(format!(
                "cannot watch {}: {why}; it runs all the same",
                self.run.command[0]
            ));
        }
        let is_limited = self.run.limits.iter().any(|limit| !limit.path.is_empty());
        if is_limited && self.workplace.is_in_memory() {
            let place = self.workplace.path().display();
            say(format!(
                "{place} is in memory (tmpfs): the recordings there count as the job's, and are gone with the machine"
            ));
        }
        // A link less is no reason to tell anybody.
        let _ = self.folder.link_latest();
    }

    /// The job's first process.
    pub fn job(&self, pid: Pid) -> ProcessName {
        ProcessName {
            pid: pid.as_raw().unsigned_abs(),
            command: self.run.command.join(" "),
            is_child: false,
        }
    }

    /// The run has not come about.
    pub fn discard(&self) {
        self.workplace.discard();
        self.folder.discard();
    }

    /// The job has ended, which [`Record::report_at_the_end`] will write down.
    pub fn ended(&mut self, ended: Ended) {
        let (status, signal) = match ended.end {
            End::Status(status) => (Some(status), None),
            End::Signal(signal) => (None, Some(signal)),
        };
        self.run.ending = Some(Ending {
            status,
            signal,
            ended: rfc3339(&local_time::now()),
            seconds: ended.after.as_secs_f64(),
        });
    }

    /// Writes a report while the job runs, says so, and returns an exit status.
    pub fn report_meanwhile(&self, wanted: &Wanted) -> i32 {
        let occasion = match wanted {
            Wanted::Near(_) => Occasion::NearLimit,
            Wanted::Requested | Wanted::Terminating(_) => Occasion::Requested,
            Wanted::Failed => Occasion::AllocationFailed,
        };
        expendable::be_the_first_to_go();
        if matches!(wanted, Wanted::Near(_)) {
            expendable::limit_effort();
        }
        let why = match wanted {
            Wanted::Near(_) => Some("close to the limit"),
            Wanted::Requested | Wanted::Terminating(_) => Some("when a report was asked for"),
            Wanted::Failed => None,
        };
        why.inspect(|why| measure::all(Path::new("/"), &self.workplace.folder, why, None));
        let written = Material::load(&self.workplace.folder).and_then(|material| {
            match wanted {
                Wanted::Near(near) => self.tell_near(near, &material),
                Wanted::Terminating(sent) => self.remember(sent),
                Wanted::Requested | Wanted::Failed => {}
            }
            if material.is_empty() {
                if *wanted == Wanted::Requested {
                    say("nothing has been recorded so far");
                }
                return Ok(());
            }
            let written = material.write(&self.folder.folder, &self.run, occasion)?;
            if written.out_of_memory.is_some() {
                let _ = self.folder.link_out_of_memory();
            }
            // Where memory is short, the machine may be the next to go.
            if matches!(wanted, Wanted::Near(_) | Wanted::Failed) {
                keep(&self.folder);
            }
            match (wanted, &written.out_of_memory) {
                (Wanted::Failed, Some(picture)) => {
                    let picture = picture.display();
                    say(format!("an allocation failed, the job goes on; so far: {picture}"));
                }
                (Wanted::Near(_), _) => say(format!("the report so far: {}", written.index.display())),
                (Wanted::Terminating(_), _) => say(format!(
                    "the job was told to end; the report so far: {}",
                    written.index.display()
                )),
                _ => tell(&written),
            }
            Ok(())
        });
        status(written)
    }

    /// Measures what is in memory, and returns an exit status.
    pub fn measure(&self, why: Why) -> i32 {
        expendable::be_the_first_to_go();
        expendable::limit_effort();
        let (occasion, failed) = match why {
            Why::Failed(pid) => ("when an allocation failed", Some(pid)),
            Why::Grown => ("in passing", None),
        };
        measure::all(Path::new("/"), &self.workplace.folder, occasion, failed);
        0
    }

    /// SIGKILL may follow, and end us too: then the next run will know who began.
    fn remember(&self, sent: &Sent) {
        let mut run = self.run.clone();
        if let Some(outcome) = &mut run.outcome {
            outcome.signal = Some(sent.signal);
            outcome.sender = Some(sent.sender.clone());
        }
        let _ = run.save(&self.folder.folder);
    }

    /// What may be the last that anybody hears of the job.
    fn tell_near(&self, near: &Near, material: &Material) {
        let mut run = self.run.clone();
        run.outcome = Some(Outcome {
            limit: Some(near.bound.limit()),
            ..judge(&Observed {
                ending: observed::Ending::Running,
                ..Observed::default()
            })
        });
        let mut lines = near_limit(&run, &material.processes);
        if let Some(request) = near.request {
            let (asked, left, limit) = (Bytes(request.bytes), Bytes(near.bound.left()), Bytes(near.bound.bytes));
            let holders = lines.iter().position(|line| line.starts_with("Process "));
            let asks = format!(
                "Process {} asked for {asked}, and only {left} of {limit} are left",
                request.pid
            );
            lines.splice(..holders.unwrap_or(lines.len()), [asks]);
        }
        lines.iter().for_each(say);
        // Without such a file there is nobody to read it.
        let _ = termination::set(&termination::file(), &lines);
        if self.run.identity.contains_key(OOM_GROUP) {
            expendable::limit_growth(near.bound.left() / 2);
        }
    }

    /// Writes the last report in a process of its own, and opens it where it `may` be and somebody would see it. One that the kernel
    /// kills for want of memory is tried again, when there may be `slack`. Returns whether the job ended well though a child ran out of
    /// memory.
    pub fn report_at_the_end(&self, observed: &Observed, may: bool, slack: &mut Slack) -> bool {
        let a_child_ran_out = Cell::new(false);
        let write = || {
            let written = status(self.last_words(observed.clone(), may, &a_child_ran_out));
            written | if a_child_ran_out.get() { A_CHILD_RAN_OUT } else { 0 }
        };
        let mut last = reports::last(write);
        for _ in 1..MOST_TRIES {
            if last == Some(End::Signal(libc::SIGKILL)) {
                slack.wait(End::Signal(libc::SIGKILL));
                last = reports::last(write);
            }
        }
        match last {
            Some(End::Signal(signal)) => self.cut_short(signal),
            Some(End::Status(_)) => {}
            // No process can be had: then here.
            None => drop(write()),
        }
        match last {
            Some(End::Status(status)) => status & A_CHILD_RAN_OUT != 0,
            // The verdict is on disk before the report is.
            Some(End::Signal(_)) => Run::load(&self.folder.folder).is_ok_and(|run| unsupervised::a_child_ran_out(&run)),
            None => a_child_ran_out.get(),
        }
    }

    /// The last report has been ended by a signal.
    pub fn cut_short(&self, signal: i32) {
        // It may have had more to say, or not yet this.
        if Run::load(&self.folder.folder).is_ok_and(|run| run.ending.is_none()) {
            save(&self.run, &self.folder);
        }
        let folder = self.folder.path.display();
        say(format!(
            "the report was cut short by signal {signal}; to write it: fil-profile report {folder}"
        ));
    }

    fn last_words(&self, mut observed: Observed, may: bool, a_child_ran_out: &Cell<bool>) -> Result<(), String> {
        let mut run = self.run.clone();
        let had_no_room = tidy::remove_unbegun(&self.workplace.folder);
        // Of reports and measurements that the kernel has killed.
        tidy::remove_unfinished(&self.folder.folder);
        tidy::remove_unfinished(&self.workplace.folder);
        let material = Material::load(&self.workplace.folder).inspect_err(|_| save(&run, &self.folder))?;
        observed.processes = facts::gather(&material.processes, observed.job.pid, &run.directory);
        // All of /proc is looked through for them, and only where memory was short is that worth it.
        if observed.near.is_some() {
            observed.killers = procfs::killers(Path::new("/"));
        }
        run.outcome = Some(judge(&observed));
        a_child_ran_out.set(unsupervised::a_child_ran_out(&run));
        // The report may fail where the verdict does not; on a full disk it is the other way round, or both. Of a job that
        // ended well there is nothing that could not wait for its report.
        let has_ended_well = run
            .outcome
            .as_ref()
            .is_some_and(|outcome| outcome.kind == Kind::Finished);
        if !has_ended_well {
            save(&run, &self.folder);
        }
        let termination_log = termination::file();
        if termination_log.exists() {
            let _ = termination::set(
                &termination_log,
                &last_message(&run, &material).lines().collect::<Vec<_>>(),
            );
        }
        let mut page = None;
        if material.is_empty() && !is_worth_a_report(&run) {
            if !had_no_room {
                self.say_nothing_was_recorded(&material);
            }
        } else {
            let written = material.write(&self.folder.folder, &run, Occasion::Ended);
            let written = written.inspect_err(|_| save(&run, &self.folder))?;
            tell(&written);
            if written.out_of_memory.is_some() {
                let _ = self.folder.link_out_of_memory();
            }
            tidy::remove_small(&material.processes, &self.folder.folder);
            run.headline = written.headline.clone();
            if !written.failed.is_empty() {
                written.failed.iter().for_each(say);
                // What there is room for; the next run with the same `-o` has another try.
                material.bundle(&self.folder, &run, false, written);
                save(&run, &self.folder);
                return Ok(());
            }
            page = Some(written.index.clone()).filter(|_| may && browser::has_audience());
            material.bundle(&self.folder, &run, !run.keep_recording, written);
        }
        settle(run, &self.folder);
        page.as_deref().map(browser::open);
        Ok(())
    }

    fn say_nothing_was_recorded(&self, material: &Material) {
        let unrecorded = Unrecorded::load(&self.folder.folder).unwrap_or_default();
        let unseen = unrecorded.unseen.iter().filter(|unseen| unseen.why == sanitizer::WHY);
        // A program may start thousands of them.
        if let Some(first) = unseen.clone().next() {
            let others = match unseen.count() + unrecorded.unseen_more as usize - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            say(format!(
                "not watched: process {} ({}){others}: {}",
                first.pid,
                first.command,
                sanitizer::WHY
            ));
            return;
        }
        let has_succeeded = self.run.ending.as_ref().is_some_and(|ending| ending.status == Some(0));
        if material.is_unreadable() {
            say("no recording can be read");
        } else if self.unwatched.is_none() && !has_succeeded {
            // The library begins a recording at the first sample, which a tiny job never comes to.
            say("nothing was recorded: the job used next to no memory, or did not load the library");
        }
    }
}

fn save(run: &Run, folder: &RunFolder) {
    if let Err(error) = run.save(&folder.folder) {
        say(error);
    }
}

/// The message for Kubernetes; empty if the job did not run out of memory.
fn last_message(run: &Run, material: &Material) -> String {
    match is_about_memory(run) {
        true => termination_message(run, &material.processes),
        false => String::new(),
    }
}

/// The exit status of a process that wrote, or could not.
fn status(written: Result<(), String>) -> i32 {
    match written {
        Ok(()) => 0,
        Err(error) => {
            say(error);
            1
        }
    }
}

fn smallest_first(bounds: &[Bound], limits: Limits) -> Vec<Limit> {
    let own = limits.in_force().into_iter();
    let deadly = bounds.iter().map(|bound| Limit {
        usage: None,
        ..bound.limit()
    });
    let mut limits: Vec<_> = own.chain(deadly).collect();
    limits.sort_by_key(|limit| limit.bytes);
    // Memory, and memory and swap together, may have the same limit.
    limits.dedup();
    limits
}

fn rfc3339(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}
