//! Notices while the job runs on that the OOM killer has killed processes of it, and finds out which.
//!
//! The kernel counts a kill before it sends SIGKILL, but does not say which process it has killed. That is one that is gone since the count
//! has grown, and whose recording, if it has one, does not say that it has ended.

use std::time::{Duration, Instant};

use dumper::outcome::{Killed, ProcessName};

use crate::kernel::cgroup::Counters;
use crate::kernel::host::Host;
use crate::kernel::kernel_file::keep_open;
use crate::kernel::procfs::{self, VMSTAT};
use crate::terminal::local_time;
use crate::verdict::evidence::{Counted, CountersAtStart};
use crate::watch::entered::Entered;
use crate::watch::family::{Family, Gone};
use crate::watch::room::LONGEST_KILL;

/// How many killed processes are remembered: the first ones.
const MOST: usize = 20;

/// The time between two looks for a killed process that is not gone yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Within this time a kill of a process of ours is counted as such. Only after it, a process without a recording is taken for the killed one:
/// shells come and go all the time.
const OWN_KILL: Duration = Duration::from_millis(200);

/// The kernel kills none that is smaller, if it can.
const LEAST_UNRECORDED: u64 = 8 << 20;

/// The kills in one job.
pub struct Kills {
    host: Host,
    evidence: CountersAtStart,
    /// The machine's counter at the last look.
    machine: Option<u64>,
    /// Kills in the job's cgroups at the last look.
    counted: u64,
    /// Kills of which it is known whose they were, or that it will not be known.
    settled: u64,
    /// Since when a kill is unsettled.
    unsettled_since: Option<Instant>,
    is_due: bool,
    /// The processes of the job that were killed.
    pub killed: Vec<Killed>,
}

impl Kills {
    /// Since the counters were read for the first time.
    pub fn since(host: &Host, evidence: &CountersAtStart) -> Self {
        if evidence.cgroup.is_some() {
            keep_open(&host.file(VMSTAT));
        }
        Self {
            host: host.clone(),
            machine: evidence.machine_kills,
            evidence: evidence.clone(),
            counted: 0,
            settled: 0,
            unsettled_since: None,
            is_due: false,
            killed: Vec::new(),
        }
    }

    /// Takes over from a supervisor that was killed.
    pub fn resume(&mut self, killed: Vec<Killed>, family: &mut Family) {
        for killed in &killed {
            family.was_killed(killed.process.pid, true);
        }
        self.settled = killed.len() as u64;
        self.killed = killed;
    }

    /// The kernel is killing a process: a look is due once that is over.
    pub fn make_due(&mut self) {
        self.is_due = true;
    }

    /// Whether a look is due, although no sample is.
    pub fn is_due(&self) -> bool {
        self.is_due || self.unsettled_since.is_some()
    }

    /// How long to wait at most until the next look.
    pub fn pause(&self) -> Duration {
        if self.unsettled_since.is_some() {
            PAUSE
        } else {
            Duration::MAX
        }
    }

    /// Looks whether processes of the job have been killed, and returns whether new ones were found. `own` processes of ours were. `is_short`
    /// says whether memory was short: the machine's counter alone proves little.
    pub fn look(&mut self, own: u64, is_short: bool, entered: &mut Entered, family: &mut Family) -> bool {
        self.is_due = false;
        if self.has_counted() {
            self.counted = count(&self.evidence.after(), &entered.after(), is_short);
        }
        self.settle(self.counted.saturating_sub(own), family)
    }

    /// The last look, when the job has ended; the kernel has killed so many processes that are not sought.
    pub fn look_last(&mut self, not_sought: u64, is_short: bool, entered: &mut Entered, family: &mut Family) {
        self.machine = None;
        self.unsettled_since = Instant::now().checked_sub(OWN_KILL);
        self.look(not_sought, is_short, entered, family);
    }

    /// Whether no kill has been counted of which nothing is known.
    pub fn is_quiet(&self) -> bool {
        let now = procfs::machine_kills(&self.host);
        self.unsettled_since.is_none() && !self.is_due && now.is_none_or(|now| Some(now) == self.machine)
    }

    /// Whether a kill has been counted of which it is not known yet whose it was.
    pub fn is_unsettled(&self) -> bool {
        self.is_due()
    }

    fn has_counted(&mut self) -> bool {
        let now = procfs::machine_kills(&self.host);
        let is_same = now.is_some() && now == self.machine;
        self.machine = now;
        !is_same
    }

    fn settle(&mut self, counted: u64, family: &mut Family) -> bool {
        let Some(new) = counted.checked_sub(self.settled).filter(|new| *new > 0) else {
            self.unsettled_since = None;
            return false;
        };
        let is_sure = self.unsettled_since.is_some_and(|since| since.elapsed() >= OWN_KILL);
        let is_likely = |gone: &Gone| gone.is_recorded || is_sure && gone.resident >= LEAST_UNRECORDED;
        let mut gone: Vec<_> = family.gone().into_iter().filter(is_likely).collect();
        gone.truncate(usize::try_from(new).unwrap_or(usize::MAX));
        for gone in &gone {
            let is_kept = self.killed.len() < MOST;
            family.was_killed(gone.pid, is_kept);
            self.killed.extend(is_kept.then(|| killed(gone)));
        }
        self.settled += gone.len() as u64;
        self.unsettled_since = match (self.settled < counted, self.unsettled_since) {
            (false, _) => None,
            (true, None) => Some(Instant::now()),
            // It had no recording, or has ended in a way that we do not see.
            (true, Some(since)) if since.elapsed() > LONGEST_KILL => {
                self.settled = counted;
                None
            }
            (true, since) => since,
        };
        !gone.is_empty()
    }
}

fn killed(gone: &Gone) -> Killed {
    Killed {
        process: ProcessName {
            pid: gone.pid,
            command: gone.command.clone(),
            is_child: true,
        },
        time: local_time::rfc3339(&local_time::now()),
        resident_bytes: gone.resident,
        ..Killed::default()
    }
}

/// Kills in the job's own cgroup, below it, and in those that processes of the job have entered.
fn count(counted: &Counted, entered: &[Counted], is_short: bool) -> u64 {
    let grown = |counted: &Counted, counter: fn(&Counters) -> Option<u64>| {
        let own = counted.levels.first()?;
        own.change(counter).grown()
    };
    let here = |counted: &Counted| grown(counted, |of| of.kills);
    let elsewhere: u64 = entered.iter().filter_map(here).sum();
    match here(counted) {
        // Version 2 counts below, too, and still when a cgroup there is gone.
        Some(here) => (here + elsewhere).max(grown(counted, |of| of.kills_below).unwrap_or(0)),
        None if is_short => counted.machine_kills.grown().unwrap_or(0).max(elsewhere),
        None => elsewhere,
    }
}

#[cfg(test)]
mod tests;
