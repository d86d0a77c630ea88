//! Whether what a scheduler has granted to the job explains a signal.

use std::time::Duration;

use dumper::units::Bytes;
use nix::libc::{SIGKILL, SIGTERM};

use super::observed::Observed;

/// A job is asked to end about when its time is over: schedulers look at the time now and then.
const EARLY: Duration = Duration::from_secs(5);

/// What explains that the job got this signal; to be read after the sentence.
pub fn explains(observed: &Observed, signal: i32) -> String {
    let granted = observed.granted;
    if ![SIGTERM, SIGKILL].contains(&signal) {
        return String::new();
    }
    let ended = Duration::from_nanos(observed.ended_ns);
    if granted
        .ends_at
        .is_some_and(|end| ended + EARLY >= Duration::from_secs(end))
    {
        return "; by then the time limit of the Slurm job was over".to_owned();
    }
    if let Some(memory) = granted.memory.filter(|memory| observed.resident_bytes > *memory) {
        let [held, memory] = [observed.resident_bytes, memory].map(Bytes);
        return format!(
            "; it had {held} in memory and had asked Slurm for {memory} (--mem), which Slurm may enforce so"
        );
    }
    let sender = observed.sent(signal).or(observed.asked()).map(|sent| sent.sender.pid);
    if granted.is_pod && sender == Some(0) {
        return "; `kubectl describe pod` says whether the pod was evicted or deleted, or a probe failed".to_owned();
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::granted::Granted;
    use crate::verdict::observed::Sent;

    #[test]
    fn a_signal_is_explained_by_what_was_granted() {
        let slurm = Granted {
            ends_at: Some(1_700_000_000),
            memory: Some(500 << 20),
            is_pod: false,
        };
        let at = |seconds: u64, resident_mib: u64, granted| Observed {
            ended_ns: seconds * 1_000_000_000,
            resident_bytes: resident_mib << 20,
            granted,
            ..Observed::default()
        };
        assert!(explains(&at(1_700_000_001, 540, slurm), SIGTERM).contains("time limit of the Slurm job"));
        let memory = explains(&at(1_600_000_000, 540, slurm), SIGKILL);
        assert!(
            memory.contains("had 540.0 MiB in memory and had asked Slurm for 500.0 MiB"),
            "{memory}"
        );
        assert_eq!(explains(&at(1_600_000_000, 400, slurm), SIGKILL), "");
        assert_eq!(explains(&at(1_700_000_001, 540, slurm), nix::libc::SIGSEGV), "");
        let mut pod = at(
            1,
            1,
            Granted {
                is_pod: true,
                ..Granted::default()
            },
        );
        assert_eq!(explains(&pod, SIGTERM), "");
        pod.signals.push(Sent {
            signal: SIGTERM,
            sender: dumper::outcome::ProcessName::default(),
        });
        assert!(explains(&pod, SIGTERM).contains("kubectl describe pod"));
    }
}
