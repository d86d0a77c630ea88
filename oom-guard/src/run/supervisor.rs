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
use crate::watch::deaths::Deaths;
use crate::watch::entered::Entered;
use crate::watch::kills::Kills;
use crate::watch::limit_poller::LimitPoller;
use crate::watch::message_pipe::MessagePipe;
use crate::watch::refusals::Refusals;
use crate::watch::room::Room;
use crate::watch::sampling::Sampling;

/// The exit status where a job could not be recorded under `--require`.
const UNRECORDED_STATUS: i32 = 2;

/// What a supervisor needs.
pub struct Supervisor {
    /// Watches the limits.
    pub poller: LimitPoller,
    /// Notes cgroups that processes of the job enter.
    pub entered: Entered,
    /// Notices kills of the job's processes.
    pub kills: Kills,
    /// Keeps the timeline.
    pub sampling: Sampling,
    /// Notes what is refused to the job.
    pub refusals: Refusals,
    /// The ends of its own children, if it is not the job's parent.
    pub children: SignalFd,
    /// The messages of the preload.
    pub pipe: Option<MessagePipe>,
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
        self.poller.watch(job);
        self.sampling.family.watch(job);
        self.entered.watch(job);
        self.resume();
        let mut record = self.record;
        let (ended, observed) = {
            let write = |wanted: &Wanted| meanwhile::report(&record, wanted);
            let measure = |why| meanwhile::measure(&record, why);
            let mut duties = Duties {
                reports: Reports::new(&write, shared),
                measurer: Measurer::new(&measure, shared, !record.run.no_holders),
                poller: self.poller,
                sampling: self.sampling,
                entered: self.entered,
                kills: self.kills,
                forced_exit: ForcedExit::new(shared),
                shared,
                evidence: &self.evidence,
                job: record.job(job),
                on_oom: self.on_oom,
                refusals: self.refusals,
                deaths: Deaths::default(),
                directory: &record.run.directory,
                resident: 0,
                signals: Vec::new(),
                own_time: None,
                has_told_of_waiting: false,
            };
            let ended = Events::new(source, self.children, self.pipe).supervise(job, &mut duties);
            (ended, duties.at_end(ended))
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
            End::Status(0) if settings.require && shared.is_unrecorded() => {
                say(format!(
                    "the job ended with status 0 and was not recorded; this ends with {UNRECORDED_STATUS}, as --require asks"
                ));
                End::Status(UNRECORDED_STATUS)
            }
            end => end,
        }
    }

    /// Takes over from an earlier supervisor, which may have told of kills.
    fn resume(&mut self) {
        let told = self.record.outcome().map_or(Vec::new(), |outcome| outcome.killed);
        self.kills.resume(told, &mut self.sampling.family);
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
