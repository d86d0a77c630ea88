//! What a scheduler has granted to the job, by the job's environment.

/// See the module's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// When Slurm's time limit ends the job, in seconds since the Unix epoch.
    pub ends_at: Option<u64>,
    /// The memory on this node that Slurm was asked for, in bytes.
    pub memory: Option<u64>,
    /// Whether the job is in a pod of Kubernetes.
    pub is_pod: bool,
}

impl Granted {
    /// By the values of variables.
    pub fn by(value: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| value(name)?.parse::<u64>().ok();
        let per_processor = || number("SLURM_MEM_PER_CPU")?.checked_mul(number("SLURM_CPUS_ON_NODE")?);
        let mebibytes = number("SLURM_MEM_PER_NODE").or_else(per_processor);
        Self {
            ends_at: number("SLURM_JOB_END_TIME"),
            memory: mebibytes
                .filter(|size| *size > 0)
                .and_then(|size| size.checked_mul(1 << 20)),
            is_pod: value("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_asked_for_by_node_or_by_processor() {
        let granted = |pairs: &[(&str, &str)]| {
            Granted::by(|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(granted(&[("SLURM_MEM_PER_NODE", "500")]).memory, Some(500 << 20));
        assert_eq!(
            granted(&[("SLURM_MEM_PER_CPU", "500"), ("SLURM_CPUS_ON_NODE", "4")]).memory,
            Some(2000 << 20)
        );
        // All that the node has.
        assert_eq!(granted(&[("SLURM_MEM_PER_NODE", "0")]), Granted::default());
        assert_eq!(
            granted(&[("SLURM_JOB_END_TIME", "1700000000")]).ends_at,
            Some(1_700_000_000)
        );
        assert!(granted(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]).is_pod);
    }
}
