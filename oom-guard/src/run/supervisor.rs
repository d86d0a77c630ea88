//! What a supervisor does from its beginning to its end. All of it is made by the job's parent, and each supervisor that is forked has
//! it anew.

use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use crate::folder::record::Record;
use crate::kernel::end::End;
use crate::options::settings::Settings;
use crate::run::board::{Board, Ended};
use crate::run::expendable;
use crate::run::glass::Glass;
use crate::run::last_report::{self, LastReport};
use crate::run::meanwhile;
use crate::run::reports::{Reports, Wanted};
use crate::run::slack::Slack;
use crate::run::supervise::{Duties, Events, Source};
use crate::terminal::say::say;
use crate::verdict::OOM_STATUS;
use crate::verdict::evidence::Evidence;
use crate::watch::doorbell::Doorbell;
use crate::watch::lookout::Lookout;
use crate::watch::measurer::Measurer;
use crate::watch::sampling::Sampling;

/// What a supervisor works with.
pub struct Supervisor {
    /// Watches the limits.
    pub lookout: Lookout,
    /// Keeps the timeline.
    pub sampling: Sampling,
    /// Tells of its own children, where it is not the job's parent.
    pub children: SignalFd,
    /// By which the preload tells of what has happened.
    pub doorbell: Option<Doorbell>,
    /// The run.
    pub record: Record,
    /// Why the program itself will leave no recording; the processes that it starts may leave some.
    pub unwatched: Option<&'static str>,
    /// The kernel's counters before the job.
    pub evidence: Evidence,
    /// `--on-oom=exit`.
    pub exits_on_oom: bool,
}

/// Does the work in a process that has just been forked, and returns its exit status. What is taken is taken there alone.
pub fn work_apart(supervisor: &mut Option<Supervisor>, board: &Board, settings: &Settings) -> i32 {
    let Some(supervisor) = supervisor.take() else { return 1 };
    let of_cgroups = supervisor.record.limits().iter().filter(|limit| !limit.path.is_empty());
    expendable::go_before_the_parent(of_cgroups.map(|limit| limit.bytes).min());
    if let Some(job) = board.wait_for_job() {
        let source = Source::Parent { signals_taken: 0 };
        board.tell_ours(supervisor.work(source, job, board, settings));
    }
    0
}

/// What is left to do when no supervisor has come to its end, the last one for this signal; returns how `fil-profile` shall end.
pub fn give_up(supervisor: Option<Supervisor>, board: &Board, signal: Option<i32>) -> End {
    let Some(ended) = board.end() else {
        return End::Status(1);
    };
    let end = Glass::new(board).end(ended.end);
    if let Some(mut supervisor) = supervisor {
        supervisor.record.ended(Ended { end, ..ended });
        last_report::cut_short(&supervisor.record, signal.unwrap_or(0));
    }
    end
}

impl Supervisor {
    /// Watches over the job until it has ended, writes the last report, and returns how `fil-profile` shall end, whatever becomes of
    /// the report.
    pub fn work(mut self, source: Source, job: Pid, board: &Board, settings: &Settings) -> End {
        if board.is_to_announce() {
            self.announce();
        }
        let mut record = self.record;
        self.lookout.watch(job);
        self.sampling.watch(job);
        let (ended, observed) = {
            let write = |wanted: &Wanted| meanwhile::report(&record, wanted);
            let measure = |why| meanwhile::measure(&record, why);
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
            let ended = Events::new(source, self.children, self.doorbell).supervise(job, &mut duties);
            (ended, duties.observed(ended, record.job(job), &self.evidence))
        };
        record.ended(ended);
        let mut slack = Slack::of(self.evidence.cgroup.as_ref());
        let report = LastReport {
            record: &record,
            observed: &observed,
            board,
            can_be_recorded: self.unwatched.is_none(),
            opens_browser: settings.browser,
        };
        report.write(&mut slack);
        match ended.end {
            End::Status(0) if settings.fail_on_child_oom && board.a_child_ran_out() => {
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
        if is_limited && record.workplace.is_in_memory() {
            let place = record.workplace.path().display();
            say(format!(
                "{place} is in memory (tmpfs): the recordings there count as the job's, and are gone with the machine"
            ));
        }
        // A link less is no reason to tell anybody.
        let _ = record.folder.link_latest();
    }
}
