//! What a supervisor does from its beginning to its end. The job's parent makes all of it, and each supervisor that it forks gets a copy.

use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;
use recording::protocol::{OOM_STATUS, OnOom};

use crate::kernel::end::End;
use crate::options::settings::Settings;
use crate::run::forced_exit::ForcedExit;
use crate::run::killed_first;
use crate::run::last_report::{self, LastReport};
use crate::run::meanwhile;
use crate::run::measurer::Measurer;
use crate::run::record::Record;
use crate::run::reports::{Reports, Wanted};
use crate::run::shared_state::{Ended, SharedState};
use crate::run::supervise::{Duties, Events, Source};
use crate::terminal::say::say;
use crate::verdict::evidence::CountersAtStart;
use crate::watch::doorbell::Doorbell;
use crate::watch::entered::Entered;
use crate::watch::limit_poller::LimitPoller;
use crate::watch::room::Room;
use crate::watch::sampling::Sampling;

/// What a supervisor needs.
pub struct Supervisor {
    /// Watches the limits.
    pub poller: LimitPoller,
    /// Notes cgroups that processes of the job enter.
    pub entered: Entered,
    /// Keeps the timeline.
    pub sampling: Sampling,
    /// The ends of its own children, if it is not the job's parent.
    pub children: SignalFd,
    /// The messages of the preload.
    pub doorbell: Option<Doorbell>,
    /// The run.
    pub record: Record,
    /// Why the program itself will leave no recording; the processes that it starts may leave some.
    pub unwatched: Option<&'static str>,
    /// The kernel's counters before the job.
    pub evidence: CountersAtStart,
    /// `--on-oom=exit`.
    pub on_oom: OnOom,
}

/// Does the work in a process that has just been forked, and returns its exit status. `supervisor` is taken in that process only.
pub fn work_apart(supervisor: &mut Option<Supervisor>, shared: &SharedState, settings: &Settings) -> i32 {
    let Some(supervisor) = supervisor.take() else { return 1 };
    let of_cgroups = supervisor.record.limits().iter().filter(|limit| !limit.path.is_empty());
    killed_first::before_the_parent(of_cgroups.map(|limit| limit.bytes).min());
    if let Some(job) = shared.wait_for_job() {
        let source = Source::Parent { signals_taken: 0 };
        shared.tell_ours(supervisor.work(source, job, shared, settings));
    }
    0
}

/// Ends a run that no supervisor has finished; `signal` has killed the last one. Returns how `fil-profile` must end.
pub fn give_up(supervisor: Option<Supervisor>, shared: &SharedState, signal: Option<i32>) -> End {
    let Some(ended) = shared.end() else {
        return End::Status(1);
    };
    let end = ForcedExit::new(shared).reported_end(ended.end);
    if let Some(mut supervisor) = supervisor {
        supervisor.record.ended(Ended { end, ..ended });
        last_report::cut_short(&supervisor.record, signal.unwrap_or(0));
    }
    end
}

impl Supervisor {
    /// Watches the job until it has ended, writes the last report, and returns how `fil-profile` must end. That does not depend on whether
    /// the report succeeds.
    pub fn work(mut self, source: Source, job: Pid, shared: &SharedState, settings: &Settings) -> End {
        if shared.is_to_announce() {
            self.announce();
        }
        let mut record = self.record;
        self.poller.watch(job);
        self.sampling.watch(job);
        self.entered.watch(job);
        let (ended, observed) = {
            let write = |wanted: &Wanted| meanwhile::report(&record, wanted);
            let measure = |why| meanwhile::measure(&record, why);
            let mut duties = Duties {
                reports: Reports::new(&write, shared),
                measurer: Measurer::new(&measure, shared),
                poller: self.poller,
                sampling: self.sampling,
                entered: self.entered,
                forced_exit: ForcedExit::new(shared),
                shared,
                on_oom: self.on_oom,
                signals: Vec::new(),
            };
            let ended = Events::new(source, self.children, self.doorbell).supervise(job, &mut duties);
            (ended, duties.observed(ended, record.job(job), &self.evidence))
        };
        record.ended(ended);
        let mut room = Room::in_cgroup(self.evidence.cgroup.as_ref());
        let report = LastReport {
            record: &record,
            observed: &observed,
            shared,
            can_be_recorded: self.unwatched.is_none(),
            opens_browser: settings.browser,
        };
        report.write(&mut room);
        match ended.end {
            End::Status(0) if settings.fail_on_child_oom && shared.a_child_ran_out() => {
                say(format!(
                    "the job ended with status 0; this ends with {OOM_STATUS}, as --fail-on-child-oom asks"
                ));
                End::Status(OOM_STATUS)
            }
            end => end,
        }
    }

    /// Says what the user should know about a job that has just started.
    fn announce(&self) {
        let record = &self.record;
        if let Some(why) = self.unwatched {
            let program = &record.run.command[0];
            say(format!("cannot watch {program}: {why}; it runs all the same"));
        }
        let is_limited = record.limits().iter().any(|limit| !limit.path.is_empty());
        if is_limited && record.scratch.is_in_memory() {
            let place = record.scratch.path().display();
            say(format!(
                "{place} is in memory (tmpfs): the recordings there count as the job's, and are gone with the machine"
            ));
        }
        // Best effort: a missing link does no harm.
        let _ = record.folder.link_latest();
    }
}
