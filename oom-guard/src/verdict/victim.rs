//! The process that died, and how we know.

use dumper::outcome::ProcessName;

use super::observed::{Observed, ProcessState};

/// The process that died.
pub struct Victim {
    pub process: Option<ProcessName>,
    /// Whether the kernel has told us its signal. Otherwise a status, or what its recording lacks, says so.
    pub is_seen: bool,
}

impl Victim {
    pub fn job(observed: &Observed) -> Self {
        Self {
            process: Some(observed.job.clone()),
            is_seen: true,
        }
    }

    /// The largest process, except the job's first, that ended without its exit handlers.
    pub fn child(observed: &Observed) -> Self {
        let others = observed.latest().filter(|facts| facts.name.pid != observed.job.pid);
        let cut = others.filter(|facts| facts.state == ProcessState::Cut);
        let largest = cut.max_by_key(|facts| facts.live_bytes);
        Self {
            process: largest.map(|facts| ProcessName {
                is_child: true,
                ..facts.name.clone()
            }),
            is_seen: false,
        }
    }
}
