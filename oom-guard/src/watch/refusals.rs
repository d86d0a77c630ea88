//! What is refused to a job while it runs, and which of its processes it ends itself. Only at that moment can be seen how much of a limit
//! is in use, and how much a process holds.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use dumper::outcome::{Limit, LimitKind, ProcessName};
use nix::unistd::{Pid, Uid};
use recording::protocol::message::Refusal;

use crate::kernel::host::Host;
use crate::kernel::procfs;
use crate::kernel::refusing::{self, ProcessCounters};
use crate::start::limits::ResourceLimits;
use crate::verdict::observed::{AtFailure, KillWithin, Observed, Raised, Refused};
use crate::verdict::role::Role;
use crate::watch::message_pipe::{Raising, Refusing, Sending};

/// How many of each are kept: the last ones.
const MOST: usize = 64;

/// Notes it for the verdict.
pub struct Refusals {
    host: Host,
    limits: ResourceLimits,
    processes: ProcessCounters,
    /// The file systems in memory that were full before the job: then it is not the job that has filled them.
    were_full: Vec<String>,
    at_failures: Vec<AtFailure>,
    refused: Vec<Refused>,
    kills: Vec<KillWithin>,
    raised: Vec<Raised>,
}

impl Refusals {
    /// For a job that will be started in this process's cgroup, with the limits that its user set.
    pub fn new(host: &Host, limits: ResourceLimits) -> Self {
        Self {
            host: host.clone(),
            limits,
            processes: ProcessCounters::read(host, Pid::this()),
            were_full: refusing::full_file_systems(host)
                .into_iter()
                .map(|full| full.path)
                .collect(),
            at_failures: Vec::new(),
            refused: Vec::new(),
            kills: Vec::new(),
            raised: Vec::new(),
        }
    }

    /// An allocation has failed in this process, which waits.
    pub fn failed(&mut self, pid: u32) {
        let bounds = refusing::bounds(&self.host, Pid::from_raw(pid.cast_signed()));
        let bounds = bounds.into_iter().map(|bound| self.limits.of_the_user(bound)).collect();
        self.at_failures.retain(|known| known.pid != pid);
        push(&mut self.at_failures, AtFailure { pid, bounds });
    }

    /// Something else has been refused.
    pub fn refused(&mut self, refusing: Refusing) {
        let limit = self.limit(&refusing);
        let refused = Refused {
            time_ns: now_ns(),
            process: self.name(refusing.pid),
            what: refusing.what,
            limit,
            node: refusing.node,
            place: None,
        };
        push(&mut self.refused, refused);
    }

    fn limit(&self, refusing: &Refusing) -> Option<Limit> {
        let of = |kind, bytes| Limit {
            kind,
            bytes,
            ..Limit::default()
        };
        match refusing.what {
            // The limit of the user does not apply to root.
            Refusal::Thread | Refusal::Process => {
                let most = self.limits.processes.bytes().or(refusing.limit)?;
                (!Uid::effective().is_root()).then(|| of(LimitKind::UserProcesses, most))
            }
            Refusal::LockedMemory => refusing.limit.map(|most| of(LimitKind::LockedMemory, most)),
            Refusal::HugePages => refusing::huge_pages(&self.host),
            Refusal::FileSystem => refusing::file_system(&refusing.folder),
        }
    }

    /// A process of the job is about to end another one.
    pub fn ends(&mut self, sending: Sending) {
        let Sending {
            pid,
            signal,
            victim,
            node,
            resident,
        } = sending;
        // Asked a second time, it holds less.
        if self.kills.iter().any(|kill| kill.victim.pid == victim) {
            return;
        }
        let process = Pid::from_raw(victim.cast_signed());
        let kill = KillWithin {
            time_ns: now_ns(),
            signal: signal.cast_signed(),
            is_parent: procfs::ancestors(&self.host, process).first() == Some(&Pid::from_raw(pid.cast_signed())),
            node,
            place: None,
            role: Role::Unknown,
            resident_bytes: resident,
            sender: self.name(pid),
            victim: self.name(victim),
        };
        push(&mut self.kills, kill);
    }

    /// A process of the job has printed an exception, in a job that was started in this folder.
    pub fn raised(&mut self, raising: Raising, directory: &Path) {
        let place = raising.place.map(|(file, line, function)| {
            let file = file.strip_prefix(directory).unwrap_or(&file).display();
            match &*function {
                "-" => format!("{file}:{line}"),
                function => format!("{file}:{line} ({function})"),
            }
        });
        let raised = Raised {
            time_ns: now_ns(),
            pid: raising.pid,
            name: raising.name,
            is_about_memory: raising.is_about_memory,
            place,
        };
        push(&mut self.raised, raised);
    }

    /// Whether a process of the job has itself ended this one.
    pub fn has_ended(&self, pid: u32) -> bool {
        self.kills.iter().any(|kill| kill.victim.pid == pid)
    }

    /// The limits of processes in which an allocation has failed.
    pub fn at_failures(&self) -> &[AtFailure] {
        &self.at_failures
    }

    fn name(&self, pid: u32) -> ProcessName {
        procfs::name(&self.host, Pid::from_raw(pid.cast_signed()), true)
    }

    /// The job has ended: adds what is known.
    pub fn tell(self, observed: &mut Observed) {
        observed.processes_refused = self.processes.moved();
        observed.at_failures = self.at_failures;
        observed.refused = self.refused;
        observed.kills_within = self.kills;
        observed.raised = self.raised;
        let full = refusing::full_file_systems(&self.host);
        observed.full = full.into_iter().find(|full| !self.were_full.contains(&full.path));
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == MOST {
        list.remove(0);
    }
    list.push(item);
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(0)
}
