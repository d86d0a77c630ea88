//! `run.json`, as the supervisor of a run fills it in.

use dumper::LocalSource;
use dumper::label::command_line;
use dumper::outcome::{Limit, Outcome, ProcessName};
use dumper::run::{Ending, Headline, Run};
use jiff::Zoned;
use nix::unistd::Pid;

use crate::finish::from_disk::outcome_at_start;
use crate::folder::RunFolder;
use crate::folder::scratch::Scratch;
use crate::kernel::end::End;
use crate::kernel::headroom::Bound;
use crate::kernel::host::Host;
use crate::kernel::identity::{self, OOM_GROUP};
use crate::kernel::kernel_file::text;
use crate::options::settings::Settings;
use crate::run::shared_state::Ended;
use crate::start::limits::ResourceLimits;
use crate::start::target::Target;
use crate::terminal::local_time::{self, rfc3339};
use crate::verdict::evidence::CountersAtStart;
use crate::verdict::observed::Sent;

/// One run.
pub struct Record {
    /// Where.
    pub folder: RunFolder,
    /// Where its recordings are while it lasts.
    pub scratch: Scratch,
    /// What `run.json` says, or will say.
    pub run: Run,
}

/// What is known when a run starts.
pub struct Beginning<'a> {
    /// What was asked for.
    pub settings: &'a Settings,
    /// What is to be run.
    pub target: &'a Target,
    /// The resource limits that the user set.
    pub limits: ResourceLimits,
    /// The limits of the cgroup and of the machine.
    pub bounds: &'a [Bound],
    /// The kernel's counters.
    pub evidence: &'a CountersAtStart,
    /// When.
    pub now: &'a Zoned,
}

impl Record {
    /// For a run that will start now.
    pub fn new(folder: RunFolder, scratch: Scratch, beginning: &Beginning) -> Self {
        let Beginning {
            settings,
            target,
            limits,
            evidence,
            ..
        } = beginning;
        let host = text(&Host::this().file("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
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
            token: scratch.token.clone(),
            supervisor: std::process::id(),
            on_oom: settings.on_oom,
            rank: settings.rank,
            keep_recording: settings.keep_recording,
            text: settings.text,
            no_holders: settings.no_holders,
            address_space_limit: limits.address_space.bytes(),
            data_limit: limits.data.bytes(),
            identity,
            limits: smallest_first(beginning.bounds, *limits),
            outcome: Some(outcome_at_start(evidence)),
            source: LocalSource::ThisMachine,
            ..Run::default()
        };
        Self { folder, scratch, run }
    }

    /// Writes `run.json`.
    pub fn save(&self) -> Result<(), dumper::Error> {
        self.run.save(&self.folder.folder)
    }

    /// The limits at the start, the smallest first.
    pub fn limits(&self) -> &[Limit] {
        &self.run.limits
    }

    /// The job's first process.
    pub fn job(&self, pid: Pid) -> ProcessName {
        ProcessName {
            pid: pid.as_raw().unsigned_abs(),
            command: command_line(&self.run.command),
            is_child: false,
        }
    }

    /// Removes the folders of a run that did not start.
    pub fn discard(&self) {
        self.scratch.discard();
        self.folder.discard();
    }

    /// Notes how the job has ended; the last report writes it down.
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

    /// The verdict so far, as it is in the file: only the processes that write reports change it while the job runs.
    pub fn outcome(&self) -> Option<Outcome> {
        let on_disk = Run::load(&self.folder.folder).ok();
        on_disk.map_or(self.run.outcome.clone(), |run| run.outcome)
    }

    /// Notes who told the job to end. SIGKILL may follow and end us too: then the next run will know who began.
    pub fn save_with_signal(&self, sent: &Sent) {
        let outcome = Outcome {
            signal: Some(sent.signal),
            sender: Some(sent.sender.clone()),
            ..self.outcome().unwrap_or_default()
        };
        self.save_while_running(Some(outcome), None);
    }

    /// Writes `run.json` with what is known of a job that runs. A failure does no harm: it is all in the last report.
    pub fn save_while_running(&self, outcome: Option<Outcome>, headline: Option<Headline>) {
        let run = Run {
            outcome,
            headline,
            ..self.run.clone()
        };
        let _ = run.save(&self.folder.folder);
    }
}

fn smallest_first(bounds: &[Bound], limits: ResourceLimits) -> Vec<Limit> {
    let own = limits.in_force().into_iter();
    let deadly = bounds.iter().map(|bound| Limit {
        usage: None,
        ..bound.limit()
    });
    let mut limits: Vec<_> = own.chain(deadly).collect();
    limits.sort_by_key(|limit| limit.bytes);
    // The limits of memory, and of memory and swap together, may be the same number.
    limits.dedup();
    limits
}
