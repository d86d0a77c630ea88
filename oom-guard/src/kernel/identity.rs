//! The job's identity for administrators: its ids in Slurm, Kubernetes and others. The environment may hold secrets, so only the variables
//! in this list are ever kept.

use std::collections::BTreeMap;
use std::path::Path;

use crate::kernel::cgroup::Cgroup;

/// The variables by which schedulers and Kubernetes manifests identify a job. Whole names and no prefixes: `SLURM_JWT` is a password.
const VARIABLES: [&str; 38] = [
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_CLUSTER_NAME",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_STEP_ID",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_MEM_PER_NODE",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_RESTART_COUNT",
    "SLURMD_NODENAME",
    "PBS_JOBID",
    "PBS_JOBNAME",
    "PBS_ARRAY_INDEX",
    "LSB_JOBID",
    "LSB_JOBINDEX",
    "SGE_TASK_ID",
    "KUBERNETES_SERVICE_HOST",
    "JOB_COMPLETION_INDEX",
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "POD_IP",
    "NODE_NAME",
    "CONTAINER_NAME",
    "MEMORY_LIMIT",
    "MEMORY_REQUEST",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "RANK",
    "HOSTNAME",
    "container",
];

/// The name under which a run notes that the kernel kills all processes of its cgroup at once.
pub const OOM_GROUP: &str = "memory.oom.group";

/// No job's name is longer.
const MOST_CHARS: usize = 200;

/// What is known, by the variable's name; `cgroup` is its path.
pub type Identity = BTreeMap<String, String>;

/// That of a job in this process's environment and a cgroup.
pub fn read(cgroup: Option<&Cgroup>) -> Identity {
    collect(|name| std::env::var(name).ok(), cgroup)
}

fn collect(variable: impl Fn(&str) -> Option<String>, cgroup: Option<&Cgroup>) -> Identity {
    let variables = VARIABLES.iter().filter_map(|name| {
        let value = variable(name).filter(|value| !value.is_empty())?;
        Some(((*name).to_owned(), value.chars().take(MOST_CHARS).collect()))
    });
    let mut identity: Identity = variables.collect();
    if let Some(cgroup) = cgroup {
        identity.insert("cgroup".to_owned(), cgroup.leaf().name.clone());
    }
    for (file, name) in [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")] {
        if Path::new(file).exists() {
            identity
                .entry("container".to_owned())
                .or_insert_with(|| name.to_owned());
        }
    }
    identity
}

/// What tells this run's folder from those of the same job's other tasks: `job7_3-rank0`; none outside of Slurm.
pub fn label(identity: &Identity) -> Option<String> {
    let value = |name: &str| identity.get(name).map(|value| plain(value));
    let job = match (value("SLURM_ARRAY_JOB_ID"), value("SLURM_ARRAY_TASK_ID")) {
        (Some(job), Some(task)) => format!("{job}_{task}"),
        _ => value("SLURM_JOB_ID")?,
    };
    let rank = value("SLURM_PROCID").map(|rank| format!("-rank{rank}"));
    Some(format!("job{job}{}", rank.unwrap_or_default()))
}

/// What may stand in a file's name.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Identity {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        collect(|name| find(name).map(|(_, value)| (*value).to_owned()), None)
    }

    #[test]
    fn secrets_are_not_kept() {
        let identity = with(&[
            ("SLURM_JOB_ID", "7"),
            ("SLURM_JWT", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("KUBERNETES_TOKEN", "secret"),
            ("POD_NAME", "load-x7"),
            ("NODE_NAME", ""),
        ]);
        assert_eq!(identity.get("SLURM_JOB_ID").map(String::as_str), Some("7"));
        assert_eq!(identity.get("POD_NAME").map(String::as_str), Some("load-x7"));
        assert!(!identity.contains_key("NODE_NAME"));
        assert!(!identity.values().any(|value| value == "secret"), "{identity:?}");
    }

    #[test]
    fn tasks_of_one_array_and_ranks_of_one_step_are_told_apart() {
        let label = |variables| label(&with(variables));
        assert_eq!(label(&[("POD_NAME", "x")]), None);
        assert_eq!(label(&[("SLURM_JOB_ID", "71")]).as_deref(), Some("job71"));
        let array = [
            ("SLURM_JOB_ID", "74"),
            ("SLURM_ARRAY_JOB_ID", "71"),
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("SLURM_PROCID", "12"),
        ];
        assert_eq!(label(&array).as_deref(), Some("job71_3-rank12"));
        assert_eq!(label(&[("SLURM_JOB_ID", "../7 1")]).as_deref(), Some("job71"));
    }
}
