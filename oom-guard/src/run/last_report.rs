//! The last report of a run, in a process of its own: the kernel may kill it, because memory may still be short.

use dumper::Unrecorded;
use dumper::run::Run;
use dumper::units::Bytes;
use dumper::unrecorded::Unseen;
use nix::sys::signal::Signal;

use crate::finish::material::Material;
use crate::finish::{Trigger, finish};
use crate::folder::tidy;
use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::process;
use crate::kernel::procfs;
use crate::run::record::Record;
use crate::run::shared_state::SharedState;
use crate::terminal::browser;
use crate::terminal::say::say;
use crate::verdict::consequences::a_child_ran_out;
use crate::verdict::observed::Observed;
use crate::verdict::{facts, judge};
use crate::watch::measure;
use crate::watch::room::Room;

/// How often the last report is tried, if the kernel kills each for want of memory.
const MOST_TRIES: usize = 4;

/// More than is in memory of a process of ours that becomes the job, and of any program that takes next to nothing from its heap.
const LARGE: u64 = 32 << 20;

/// Writes the report of a job that has ended.
pub struct LastReport<'a> {
    pub record: &'a Record,
    pub observed: &'a Observed,
    /// Learns the verdict at once, so that it is not lost with the process that gave it.
    pub shared: &'a SharedState,
    /// Whether the program can be recorded at all.
    pub can_be_recorded: bool,
    /// Whether the report may be opened in a browser.
    pub opens_browser: bool,
}

impl LastReport<'_> {
    /// Writes it, again if the kernel kills the process that writes it, once there is `room`.
    pub fn write(&self, room: &mut Room) {
        let mut end = self.try_apart();
        for _ in 1..MOST_TRIES {
            if end == Some(End::Signal(libc::SIGKILL)) {
                room.wait(End::Signal(libc::SIGKILL));
                end = self.try_apart();
            }
        }
        match end {
            Some(End::Signal(signal)) => cut_short(self.record, signal),
            Some(End::Status(_)) => {}
            // The limits allow no further process.
            None => drop(self.write_here()),
        }
    }

    /// In a process that Ctrl-C may interrupt; `None` if there can be none that could tell the verdict.
    fn try_apart(&self) -> Option<End> {
        if !self.shared.is_shared {
            return None;
        }
        let pid = process::beside(|| {
            process::let_through(&[Signal::SIGINT, Signal::SIGQUIT]);
            self.write_here()
        });
        process::wait_for(pid.ok()?)
    }

    /// Returns an exit status.
    fn write_here(&self) -> i32 {
        super::status_of(self.try_here())
    }

    fn try_here(&self) -> Result<(), String> {
        let record = self.record;
        let folders = [&record.folder.folder, &record.scratch.folder];
        let had_no_room = tidy::remove_unbegun(folders[1]);
        // Left by reports and measurements that the kernel has killed.
        folders.into_iter().for_each(tidy::remove_unfinished);
        let material = Material::load(folders[1]).inspect_err(|_| {
            if let Err(error) = record.save() {
                say(error);
            }
        })?;
        measure::note_most_resident(&material.processes, self.shared.most_resident());
        let unrecorded = Unrecorded::load(&record.folder.folder).unwrap_or_default();
        let is_job = |unseen: &Unseen| unseen.pid == self.observed.job.pid;
        let is_seen = !material.is_empty() || unrecorded.unseen.is_empty() && !self.is_large();
        if !is_seen || unrecorded.unseen.iter().any(is_job) {
            self.shared.tell_unrecorded();
        }
        let mut observed = self.observed.clone();
        observed.processes = facts::gather(&material.processes, observed.job.pid, &record.run.directory);
        facts::locate(&mut observed, &material.processes, &record.run.directory);
        // This reads all of /proc, which is worth it only if memory was short.
        if observed.near.is_some() {
            observed.killers = procfs::killers(&Host::this());
        }
        let outcome = judge(&observed);
        if a_child_ran_out(&outcome) {
            self.shared.tell_child_ran_out();
        }
        let run = Run {
            outcome: Some(outcome),
            ..record.run.clone()
        };
        let finished = finish(Trigger::JobEnded, &record.folder, folders[0], run, &material)?;
        match finished.page {
            Some(page) if finished.failed.is_empty() && self.opens_browser && browser::has_audience() => {
                browser::open(&page);
            }
            None if !had_no_room => self.say_nothing_was_recorded(&material, &unrecorded),
            _ => {}
        }
        Ok(())
    }

    fn say_nothing_was_recorded(&self, material: &Material, unrecorded: &Unrecorded) {
        // A program may start thousands of them.
        if let Some(first) = unrecorded.unseen.first() {
            let others = match unrecorded.unseen.len() as u64 + unrecorded.unseen_more - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let (pid, command, why) = (first.pid, &first.command, &first.why);
            say(format!(
                "nothing was recorded: process {pid} ({command}){others} was not seen: {why}"
            ));
            return;
        }
        let ending = self.record.run.ending.as_ref();
        let has_succeeded = ending.is_some_and(|ending| ending.status == Some(0));
        if material.is_unreadable() {
            say("no recording can be read");
        } else if self.can_be_recorded && self.is_large() {
            let most = Bytes(self.shared.most_resident());
            say(format!(
                "nothing was recorded: a process of the job had {most} in memory, but left no recording. Does something on the way \
                 (sudo, su, env -i) remove LD_PRELOAD from the environment?"
            ));
        } else if self.can_be_recorded && !has_succeeded {
            // The library begins a recording at the first sample, which a tiny job never comes to.
            say("nothing was recorded: the job used next to no memory, or did not load the library");
        }
    }

    /// Whether a process of the job was so large that it would have a recording, if it had loaded the library.
    fn is_large(&self) -> bool {
        self.shared.most_resident() > LARGE
    }
}

/// The last report has been ended by a signal.
pub fn cut_short(record: &Record, signal: i32) {
    // What is on disk may have the verdict, or not yet how the job ended.
    if Run::load(&record.folder.folder).is_ok_and(|run| run.ending.is_none())
        && let Err(error) = record.save()
    {
        say(error);
    }
    let folder = record.folder.path.display();
    say(format!(
        "the report was cut short by signal {signal}; to write it: fil-profile report {folder}"
    ));
}
