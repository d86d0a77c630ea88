//! Cgroups that processes of the job have entered after its start. The kernel counts kills in the cgroup where the killed process is.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::kernel::cgroup::{Cgroup, Level};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{keep_open, text};
use crate::verdict::evidence::{Counted, CountersAtStart};

/// How many such cgroups are remembered, and how many below the job's own are known at its start.
const MOST: usize = 16;
const MOST_BELOW: usize = 1000;

/// More than /proc/PID/cgroup has.
const MEMBERSHIP_BYTES: usize = 64 << 10;

/// The cgroups that were entered.
pub struct Entered {
    host: Host,
    own: Option<Level>,
    /// Whether other processes than the job's are in its own cgroup. They may make cgroups below it, too.
    is_shared: bool,
    below_at_start: HashSet<PathBuf>,
    /// The texts of /proc/PID/cgroup that are known.
    memberships: Vec<String>,
    seen: Vec<Seen>,
}

struct Seen {
    at_first: CountersAtStart,
    /// At the last look: a cgroup may be removed.
    at_last: Counted,
}

impl Entered {
    /// For a job that will be started in the cgroup of `evidence`.
    pub fn new(host: &Host, evidence: &CountersAtStart) -> Self {
        let own = evidence.cgroup.as_ref().map(Cgroup::leaf).cloned();
        Self {
            host: host.clone(),
            is_shared: evidence.is_shared,
            below_at_start: own.iter().flat_map(|own| below(&own.folder)).collect(),
            own,
            memberships: text(&membership(host, Pid::this()), MEMBERSHIP_BYTES)
                .into_iter()
                .collect(),
            seen: Vec::new(),
        }
    }

    /// The job has been started.
    pub fn watch(&self, job: Pid) {
        keep_open(&membership(&self.host, job));
    }

    /// Looks where this process of the job is.
    pub fn look(&mut self, pid: Pid) {
        let Some(membership) = text(&membership(&self.host, pid), MEMBERSHIP_BYTES) else {
            return;
        };
        // A process that has ended is in no cgroup.
        if membership.is_empty() || self.memberships.len() > MOST || self.memberships.contains(&membership) {
            return;
        }
        self.memberships.push(membership);
        if let Some(cgroup) = Cgroup::find(&self.host, pid) {
            self.note(CountersAtStart::of(&self.host, Some(cgroup), false));
        }
    }

    /// Reads the counters again.
    pub fn read(&mut self) {
        for seen in &mut self.seen {
            let now = seen.at_first.after();
            if now.levels.first().is_some_and(|level| level.after.is_some()) {
                seen.at_last = now;
            }
        }
    }

    /// How the counters have changed, of the last cgroup first. Call this when the job has ended.
    pub fn after(&mut self) -> Vec<Counted> {
        let new: Vec<_> = match &self.own {
            Some(own) if !self.is_shared => below(&own.folder).filter(|folder| self.is_new(folder)).collect(),
            _ => Vec::new(),
        };
        for folder in new {
            self.note(CountersAtStart::of(&self.host, self.below_own(&folder), false));
        }
        self.read();
        self.seen.iter().rev().map(|seen| seen.at_last.clone()).collect()
    }

    fn note(&mut self, mut at_first: CountersAtStart) {
        let Some(cgroup) = &at_first.cgroup else { return };
        let leaf = cgroup.leaf().folder.clone();
        let is_known = |seen: &Seen| {
            seen.at_first
                .cgroup
                .as_ref()
                .is_some_and(|known| known.leaf().folder == leaf)
        };
        let is_own = self.own.as_ref().is_some_and(|own| own.folder == leaf);
        if is_own || self.seen.len() == MOST || self.seen.iter().any(is_known) {
            return;
        }
        if self.is_new(&leaf) {
            at_first.began_at_zero();
        }
        self.seen.push(Seen {
            at_last: at_first.after(),
            at_first,
        });
    }

    /// Whether this cgroup is below the job's own and was made after the job's start.
    fn is_new(&self, folder: &Path) -> bool {
        let Some(own) = &self.own else { return false };
        let mut above = folder.ancestors();
        let child = above.find(|above| above.parent() == Some(&own.folder));
        self.below_at_start.len() < MOST_BELOW && child.is_some_and(|child| !self.below_at_start.contains(child))
    }

    /// The cgroup of a folder that is directly below the job's own.
    fn below_own(&self, folder: &Path) -> Option<Cgroup> {
        let own = self.own.as_ref()?;
        let name = folder.file_name()?.to_string_lossy();
        Some(Cgroup {
            version: own.version,
            levels: vec![Level {
                version: own.version,
                folder: folder.to_owned(),
                name: format!("{}/{name}", own.name.trim_end_matches('/')),
            }],
            is_whole: false,
            is_own: true,
        })
    }
}

fn membership(host: &Host, pid: Pid) -> PathBuf {
    host.of_process(pid, "cgroup")
}

/// The cgroups directly below one.
fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).take(MOST_BELOW)
}
