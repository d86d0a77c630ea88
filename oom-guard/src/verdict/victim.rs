//! Who died, and how we know that.

use dumper::outcome::ProcessName;

use super::observed::{Observed, Progress};

/// Who died, and how we know that.
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

    /// The largest process beside the first that was cut off.
    pub fn child(observed: &Observed) -> Self {
        let others = observed.latest().filter(|facts| facts.name.pid != observed.job.pid);
        let cut = others.filter(|facts| facts.state == Progress::Cut);
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
