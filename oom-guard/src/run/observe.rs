//! What a supervisor knows of its job, for the verdict.

use std::thread;
use std::time::Duration;

use nix::libc::{SIGKILL, SIGSEGV};
use nix::unistd::Pid;

use crate::kernel::end::End;
use crate::kernel::host::Host;
use crate::kernel::{log, process, procfs};
use crate::run::shared_state::Ended;
use crate::run::supervise::Duties;
use crate::terminal::local_time::{self, rfc3339};
use crate::verdict::granted::Granted;
use crate::verdict::observed::{Ending, Observed};

impl Duties<'_> {
    /// What is known of the job that has ended, without the recordings.
    pub fn at_end(mut self, ended: Ended) -> Observed {
        let host = &Host::this();
        let own_seconds = self
            .own_time
            .map_or(u64::MAX, |(own, read)| at_most_later(own, read.elapsed()));
        self.poller.take_last_notifications();
        self.reports.finish();
        self.measurer.finish();
        // If SIGKILL has ended the job, that kill is most likely the job's own.
        let of_job = u64::from(ended.end == End::Signal(SIGKILL));
        let not_sought = self.shared.kills() + of_job;
        let is_short = self.poller.near().is_some();
        let family = &mut self.sampling.family;
        self.kills.look_last(not_sought, is_short, &mut self.entered, family);
        for (gone, signal) in family.unwaited() {
            self.deaths.note(gone, signal);
        }
        family.close();
        // Other processes matter only if a limit is shared with them.
        let limited = self.evidence.cgroup.as_ref().filter(|_| self.poller.is_limited());
        let others = limited.map(|cgroup| {
            let members = cgroup.leaf().file("cgroup.procs");
            let mut starters = procfs::ancestors(host, Pid::this());
            starters.push(Pid::this());
            starters.extend(self.shared.probe());
            procfs::others(host, &members, &starters)
        });
        let mut others = others.unwrap_or_default();
        // Without those that use nothing: ended processes of the job that are not waited for yet.
        others.retain(|other| other.resident_bytes > 0);
        let mut observed = Observed {
            ending: match ended.end {
                End::Status(status) => Ending::Status(status),
                End::Signal(signal) => Ending::Signal(signal),
            },
            ended_ns: ended.at_ns,
            ended: rfc3339(&local_time::now()),
            was_ended: self.forced_exit.is_done(),
            others,
            resident_bytes: self.resident,
            granted: Granted::by(|name| std::env::var(name).ok()),
            ..self.observed()
        };
        observed.died = self.deaths.at_end(&self.kills, &self.refusals);
        self.refusals.tell(&mut observed);
        if ended.end == End::Signal(SIGSEGV) {
            observed.stack_overflowed = log::has_overflowed_its_stack(host, Pid::from_raw(self.job.pid.cast_signed()));
        }
        // The limit is on a process, and the kernel's count is of its children too.
        let used = self.shared.processor_seconds().min(own_seconds);
        observed.processor_time = process::most_processor_time().map(|most| [used, most]);
        observed
    }

    /// What is known of the job that runs.
    pub(super) fn observed(&mut self) -> Observed {
        let evidence = self.evidence;
        // Before the counters: no kill that they do not count yet is to be subtracted from them.
        let own_kills = self.shared.kills();
        Observed {
            ending: Ending::Running,
            job: self.job.clone(),
            killed: self.kills.killed.clone(),
            signals: self.signals.clone(),
            counted: evidence.after(),
            entered: self.entered.after(),
            own_kills,
            is_limit_reported: self.poller.out_of_memory() || self.shared.is_out_of_memory(),
            notified: self.poller.notified(),
            is_shared: evidence.is_shared,
            is_killed_as_group: evidence.is_killed_as_group,
            bounds: self.poller.bounds().to_vec(),
            near: self.poller.near().cloned(),
            on_oom: self.on_oom,
            ..Observed::default()
        }
    }
}

/// The processor time of a process in seconds, if it has used all processors since it was read.
fn at_most_later(own: Duration, since: Duration) -> u64 {
    let processors =
        thread::available_parallelism().map_or(u32::MAX, |number| u32::try_from(number.get()).unwrap_or(u32::MAX));
    own.saturating_add(since.saturating_mul(processors))
        .as_secs()
        .saturating_add(1)
}
