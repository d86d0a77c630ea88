//! "`fil-profile merge` of a job array and of a step of many tasks under a real Slurm."

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use oom::{Place, Report, Slurm, Svg, place, victim, with_path};

fn runs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    let runs = entries.filter(|entry| entry.path().join("run.json").exists() && !entry.path().is_symlink());
    runs.map(|entry| entry.path()).collect()
}

#[test]
fn an_array_and_a_step_of_many_tasks_are_one_report_each() {
    let Some(slurm) = Slurm::of_nodes(2) else { return };
    let folder = slurm.folder();
    fs::copy(victim("array_task.py"), folder.join("job.py")).expect("the folder is writable");
    let at = |marker| Place {
        file: "job.py".to_owned(),
        line: place("array_task.py", marker).line,
    };
    let merged = |results: &str| {
        let mut command = slurm.tool(oom::fil_profile().to_str().expect("a plain path"));
        let output = slurm.wait(command.args(["-o", results, "merge", results]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let entries = fs::read_dir(folder.join(results)).expect("it is there").flatten();
        let folder = entries
            .map(|entry| entry.path())
            .find(|path| path.join("merged.json").exists());
        let folder = folder.unwrap_or_else(|| panic!("no merged.json: {said}"));
        Svg::load(&folder.join("merged.svg"));
        (Report::load(&folder.join("merged.json")), said)
    };

    // Task 2 runs out.
    let script = "#!/bin/sh\nexec fil-profile -o array run job.py task 2\n";
    fs::write(folder.join("array.sh"), script).expect("the folder is writable");
    let mut command = slurm.tool("sbatch");
    command.args([
        "--wait",
        "--array=0-4",
        "--mem=200M",
        "--time=5",
        "--output=array-%a.log",
        "array.sh",
    ]);
    let output = slurm.wait(with_path(&mut command));
    let (report, said) = merged("array");
    assert_eq!(report.number("/tasks"), Some(5), "{said}{output:?}{}", slurm.log());
    assert_eq!(report.at("/ran_out"), &serde_json::json!(["task 2"]), "{said}{report}");
    let held = report.text("/stacks/0/place");
    assert!(held.contains(&at("GROWS").to_string()), "{report}");
    let names: Vec<_> = (0..5)
        .map(|task| report.text(&format!("/runs/{task}/name")).to_owned())
        .collect();
    assert_eq!(names, ["task 0", "task 1", "task 2", "task 3", "task 4"]);
    // Task 4 holds 100 MiB beside its interpreter.
    let largest = report.number("/runs/4/peak_bytes").expect("a number");
    assert!((100 << 20..120 << 20).contains(&largest), "{report}");
    assert_eq!(report.at("/enough_for_all/at_least").as_bool(), Some(true), "{report}");
    assert!(said.contains("1 of 5 tasks ran out of memory: task 2."), "{said}");

    // Of the four tasks of a step, two on each node, none grows.
    let mut command = slurm.tool("srun");
    command.args(["--mem=900M", "--nodes=2", "--ntasks=4", "--overcommit", "--time=5"]);
    command.args(["fil-profile", "-o", "ranks", "run", "job.py", "rank", "9"]);
    let output = slurm.wait(with_path(&mut command));
    assert!(output.status.success(), "{output:?}\n{}", slurm.log());
    let (report, said) = merged("ranks");
    let names: Vec<_> = (0..4)
        .map(|rank| report.text(&format!("/runs/{rank}/name")).to_owned())
        .collect();
    assert_eq!(names, ["rank 0", "rank 1", "rank 2", "rank 3"], "{said}");
    let mut places = BTreeSet::new();
    for run in runs_in(&folder.join("ranks")) {
        let run = Report::load(&run.join("run.json"));
        places.insert(run.text("/identity/SLURMD_NODENAME").to_owned());
    }
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(said.contains("None of 4 tasks ran out of memory."), "{said}");
    let enough = report.number("/enough_for_all/bytes").expect("a number");
    assert!((80 << 20..100 << 20).contains(&enough), "{report}");
    assert_eq!(report.at("/enough_for_all/at_least").as_bool(), Some(false), "{report}");
}
