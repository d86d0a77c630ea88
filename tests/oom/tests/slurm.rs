//! "Slurm: the job, its rank and its node are in the report, and the example of `docs/slurm.md` works as it stands."

use std::path::{Path, PathBuf};

use oom::{Folded, Place, Report, Slurm, Svg, assert_close, example, place, victim, with_path};

fn runs(slurm: &Slurm) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(slurm.folder().join("fil-result"))
        .into_iter()
        .flatten()
        .flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut runs: Vec<_> = entries.map(|entry| entry.path()).collect();
    runs.sort();
    runs
}

#[track_caller]
fn is_right(run: &Path, here: &Place, log: &str) -> Report {
    let report = Report::load(&run.join("report.json"));
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{log}{report}");
    assert_eq!(report.text("/outcome/certainty"), "certain", "{log}{report}");
    // Slurm sets it some levels above the job's own cgroup.
    assert_eq!(report.number("/outcome/limit/bytes"), Some(200 << 20), "{log}{report}");
    assert!(report.text("/outcome/limit/path").contains("/job_"), "{log}{report}");
    Svg::load(&run.join("out-of-memory.svg"));
    let folded = Folded::load(&run.join("out-of-memory.prof"));
    let truth = log.lines().rev().find_map(|line| line.trim().parse().ok());
    assert_close(folded.at(here), truth.expect("the victim says how much"), 5.0, &log);
    assert!(log.contains(&here.to_string()), "{log}");
    assert!(report.is_told_in(log), "{log}{report}");
    report
}

#[test]
fn a_batch_job_and_a_step_that_use_more_than_they_asked_for() {
    let Some(slurm) = Slurm::start() else { return };
    let folder = slurm.folder();
    std::fs::copy(victim("steady_arrays.py"), folder.join("job.py")).expect("the folder is writable");
    std::fs::write(folder.join("job.sbatch"), example("slurm.md", "#!/bin/bash")).expect("the folder is writable");
    let here = Place {
        file: "job.py".to_owned(),
        line: place("steady_arrays.py", "HERE").line,
    };

    // The options of the command line go before those of the script, which asks for gigabytes.
    let mut command = slurm.tool("sbatch");
    command.args([
        "--wait",
        "--mem=200M",
        "--cpus-per-task=1",
        "--time=5",
        "--output=log",
        "job.sbatch",
    ]);
    let output = slurm.wait(with_path(&mut command));
    let log = std::fs::read_to_string(folder.join("log"));
    let log = log.unwrap_or_else(|error| panic!("no log: {error}; {output:?}\n{}", slurm.log()));
    let run = runs(&slurm).pop().unwrap_or_else(|| panic!("no run folder: {log}"));
    let report = is_right(&run, &here, &log);
    assert!(log.contains("oom-kill event"), "Slurm saw no kill: {log}");
    assert!(!output.status.success(), "{output:?}");
    let name = run.file_name().expect("it has one").to_string_lossy().into_owned();
    let job = report.text("/run/identity/SLURM_JOB_ID").to_owned();
    assert!(
        !job.is_empty() && name.contains(&format!("-job{job}")),
        "{name}: {report}"
    );
    for variable in [
        "SLURM_JOB_NAME",
        "SLURM_PROCID",
        "SLURMD_NODENAME",
        "SLURM_MEM_PER_NODE",
    ] {
        assert!(
            !report.text(&format!("/run/identity/{variable}")).is_empty(),
            "no {variable}: {report}"
        );
    }
    assert_eq!(report.text("/run/identity/SLURM_MEM_PER_NODE"), "200", "{report}");

    let state = slurm.wait(slurm.tool("scontrol").args(["--oneliner", "show", "job", &job]));
    let state = String::from_utf8_lossy(&state.stdout);
    assert!(state.contains("JobState=OUT_OF_MEMORY"), "{state}");

    // A step of two tasks, which start at the same moment: each has a folder of its own.
    let mut command = slurm.tool("srun");
    command.args([
        "--mem=200M",
        "--ntasks=2",
        "--overcommit",
        "--time=5",
        "--no-kill",
        "--kill-on-bad-exit=0",
    ]);
    command.args(["fil-profile", "run", "-c", "kept = bytearray(20 << 20)"]);
    let output = slurm.wait(with_path(&mut command));
    assert!(output.status.success(), "{output:?}\n{}", slurm.log());
    let names: Vec<_> = runs(&slurm)
        .iter()
        .map(|run| run.to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for rank in ["rank0", "rank1"] {
        assert!(names[1..].iter().any(|name| name.ends_with(rank)), "{names:?}");
    }

    // Killed within a step, it is to Slurm what it is without us.
    let mut command = slurm.tool("srun");
    command.args(["--mem=200M", "--time=5", "fil-profile", "run", "job.py"]);
    let output = slurm.wait(with_path(&mut command));
    let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Slurm's own words.
    assert!(log.contains("task 0: Out Of Memory"), "{log}");
    assert!(!output.status.success(), "{log}");
    let run = runs(&slurm).pop().expect("there are three already");
    let report = is_right(&run, &here, &log);
    assert_eq!(report.text("/run/identity/SLURM_STEP_ID"), "0", "{report}");
}
