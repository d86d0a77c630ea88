//! Who the job is to its scheduler: in run.json, in the folder's name, and without its secrets.

use crate::place::Place;

#[test]
fn a_slurm_task_has_its_job_and_rank_in_its_folders_name() {
    let place = Place::with_library();
    let mut command = place.command(&["run", "true"]);
    for (name, value) in [
        ("SLURM_JOB_ID", "74"),
        ("SLURM_ARRAY_JOB_ID", "71"),
        ("SLURM_ARRAY_TASK_ID", "3"),
        ("SLURM_PROCID", "0"),
        ("SLURM_MEM_PER_NODE", "200"),
        ("SLURM_JWT", "secret"),
        ("DATABASE_PASSWORD", "secret"),
    ] {
        command.env(name, value);
    }
    assert!(command.status().unwrap().success());
    let folder = place.run_folder();
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.ends_with("-job71_3-rank0"), "{name}");
    let run = place.run_json();
    assert!(run.contains("\"SLURM_MEM_PER_NODE\": \"200\""), "{run}");
    assert!(!run.contains("secret"), "{run}");
}

#[test]
fn the_limits_at_the_start_are_kept_the_smallest_first() {
    let place = Place::with_library();
    place
        .command_after("ulimit -Sv 300000", &["run", "true"])
        .output()
        .unwrap();
    let run = place.run_json();
    let (_, limits) = run.split_once("\"limits\": [").unwrap();
    let bytes = limits
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"bytes\": "));
    let bytes: Vec<u64> = bytes
        .map(|number| number.trim_end_matches(',').parse().unwrap())
        .collect();
    assert!(bytes.len() >= 2 && bytes.is_sorted(), "{run}");
    assert!(bytes.contains(&307_200_000), "{run}");
}
