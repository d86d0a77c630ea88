//! "Each example of `docs/` is run as far as this machine can": the manifests and commands themselves, in containers of runc.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use oom::{Container, Folded, MIB, Place, Python, Report, example, fil_profile, place, victim};
use yaml_rust2::{Yaml, YamlLoader};

const LIMIT: u64 = 200 * MIB;

/// The job of the examples, and the line in it that a report has to name.
fn job() -> Place {
    Place {
        file: "job.py".to_owned(),
        line: place("steady_arrays.py", "HERE").line,
    }
}

fn manifest(first_name: &str) -> Yaml {
    let text = example("kubernetes.md", &format!("  name: {first_name}"));
    let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let manifest = documents.into_iter().next().expect("it is not empty");
    assert_eq!(manifest["apiVersion"].as_str(), Some("batch/v1"));
    assert_eq!(manifest["kind"].as_str(), Some("Job"));
    manifest["spec"]["template"]["spec"].clone()
}

fn items(list: &Yaml) -> Vec<Yaml> {
    list.as_vec().cloned().unwrap_or_default()
}

fn text(value: &Yaml) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value:?} is no text"))
        .to_owned()
}

/// A container of a pod, as the kubelet would start it; each volume is a folder of its name below `volumes`.
fn container(pod: &Yaml, described: &Yaml, volumes: &Path) -> Option<Container> {
    let words = items(&described["command"])
        .into_iter()
        .chain(items(&described["args"]));
    let mut container = Container::new(LIMIT, words.map(|word| text(&word)))?;
    for variable in items(&described["env"]) {
        let source = &variable["valueFrom"];
        let value = match (variable["value"].as_str(), source["fieldRef"]["fieldPath"].as_str()) {
            (Some(value), _) => value.to_owned(),
            (None, Some(path)) => format!("the pod's {path}"),
            (None, None) => {
                let resource = text(&source["resourceFieldRef"]["resource"]);
                let (kind, name) = resource.split_once('.').expect("limits.memory and its like");
                text(&described["resources"][kind][name])
            }
        };
        container = container.env(format!("{}={value}", text(&variable["name"])));
    }
    let known: Vec<_> = items(&pod["volumes"])
        .iter()
        .map(|volume| text(&volume["name"]))
        .collect();
    for mount in items(&described["volumeMounts"]) {
        let name = text(&mount["name"]);
        assert!(known.contains(&name), "the pod has no volume {name}");
        let folder = volumes.join(&name);
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        container = container.mount(&folder, &text(&mount["mountPath"]));
    }
    Some(container.with(&victim("steady_arrays.py"), "/app/job.py"))
}

#[test]
fn the_manifest_of_a_job() {
    let volumes = tempfile::tempdir().expect("a temporary folder can be made");
    let pod = manifest("train");
    let train = &pod["containers"][0];
    let Some(container) = container(&pod, train, volumes.path()) else {
        return;
    };
    let mut train = container.file("/dev/termination-log").start();
    assert_eq!(train.finish().code(), Some(137), "{train}");
    let report = Report::load(&volumes.path().join("results/latest/report.json"));
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{train}{report}");
    assert!(report.held_at(&job()).0 > 150 * MIB, "{train}{report}");
    for (name, value) in [
        ("POD_NAME", "the pod's metadata.name"),
        ("POD_NAMESPACE", "the pod's metadata.namespace"),
        ("NODE_NAME", "the pod's spec.nodeName"),
        ("MEMORY_LIMIT", "4Gi"),
    ] {
        assert_eq!(report.text(&format!("/run/identity/{name}")), value, "{report}");
    }
    let message = std::fs::read_to_string(train.volume("/dev/termination-log")).expect("it is UTF-8");
    assert!(report.is_told_in(&message), "{message}");
}

#[test]
fn the_manifest_of_a_job_with_a_collector() {
    let volumes = tempfile::tempdir().expect("a temporary folder can be made");
    let pod = manifest("train-collected");
    let (collector, train) = (&pod["initContainers"][0], &pod["containers"][0]);
    assert_eq!(
        collector["restartPolicy"].as_str(),
        Some("Always"),
        "that is what makes it a sidecar"
    );
    let Some(collector) = container(&pod, collector, volumes.path()) else {
        return;
    };
    let mut collector = collector.start();
    let train = container(&pod, train, volumes.path()).expect("the collector could be started");
    let mut train = train.with(&victim("churns.py"), "/app/job.py").start();
    train.wait_for_stdout("holding");
    // Process 1 dies, and with it everything in its container.
    train.signal("KILL");
    assert_eq!(train.finish().code(), Some(128 + Signal::SIGKILL as i32), "{train}");
    assert!(
        !volumes.path().join("results/latest/out-of-memory.svg").exists(),
        "{train}"
    );
    collector.signal("TERM");
    assert_eq!(collector.finish().code(), Some(0), "{collector}");
    let kept = volumes.path().join("kept/latest");
    assert_eq!(
        Report::load(&kept.join("report.json")).kind(),
        "everything_killed",
        "{collector}"
    );
    let held = Folded::load(&kept.join("out-of-memory.prof"));
    let line = place("churns.py", "HERE").line;
    assert!(held.at(&Place { line, ..job() }) >= 20 * MIB, "{held}");
}

#[test]
fn the_command_for_docker() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = example("docker.md", "mkdir -p results");
    // In the place of docker stands a program that says which words it was given.
    let docker = "docker() { printf '%s\\n' \"$@\" > words; }\n";
    let ran = Command::new("sh")
        .args(["-e", "-c", &(docker.to_owned() + &script)])
        .current_dir(folder.path())
        .status();
    assert!(ran.expect("sh can be run").success(), "{script}");
    let words = std::fs::read_to_string(folder.path().join("words")).expect("it is UTF-8");
    let mut words = words.lines();
    assert_eq!(words.next(), Some("run"));
    let (mut mounts, mut environment, mut limit) = (Vec::new(), Vec::new(), "");
    loop {
        match words.next().expect("an image follows the options") {
            "-v" => mounts.push(words.next().expect("source:target").split_once(':').expect("a colon")),
            "-e" => environment.push(words.next().expect("a variable")),
            "--rm" => {}
            word if word.starts_with("--memory=") => limit = &word[9..],
            word if word.starts_with('-') => panic!("{word} is not known here"),
            _image => break,
        }
    }
    assert_eq!(limit, "2g", "less will do here");
    let Some(mut container) = Container::new(LIMIT, words) else {
        return;
    };
    container = container.with(&victim("steady_arrays.py"), "/app/job.py");
    for (source, target) in mounts {
        container = container.mount(Path::new(source), target);
    }
    let container = environment.into_iter().fold(container, Container::env);
    let mut contained = container.start();
    assert_eq!(contained.finish().code(), Some(137), "{contained}");
    let report = Report::load(&folder.path().join("results/latest/report.json"));
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{contained}{report}");
    assert!(report.held_at(&job()).0 > 150 * MIB, "{contained}{report}");
}

#[test]
fn the_command_for_a_shell_with_ulimit() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::copy(victim("steady_arrays.py"), folder.path().join("job.py")).expect("it is writable");
    let script = example("ulimit.md", "(ulimit -Sv 500000; fil-profile run job.py)");
    let programs = [fil_profile(), &Python::any().path].map(|program| program.parent().expect("it is in a folder"));
    let path = std::env::join_paths(programs.into_iter().chain([Path::new("/usr/bin"), Path::new("/bin")]));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path.expect("no colons in these"));
    let output = shell.output().expect("sh can be run");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = Report::load(&folder.path().join("fil-result/latest/report.json"));
    assert_eq!(report.kind(), "allocation_failed_fatal", "{output:?}{report}");
    assert!(report.held_at(&job()).0 > 300 * MIB, "{output:?}{report}");
}
