//! "In a container: as process 1 it reaps and forwards, and a job that the kernel kills is reported and told to Kubernetes."

use oom::{Container, Folded, MIB, Report, Svg, assert_close, place, victim};

const LIMIT: u64 = 200 * MIB;

fn python(name: &str) -> Vec<String> {
    let script = victim(name).to_str().expect("a plain name").to_owned();
    ["fil-profile", "-o", "/results", "run"]
        .map(str::to_owned)
        .into_iter()
        .chain([script])
        .collect()
}

#[test]
fn a_job_that_the_kernel_kills() {
    let Some(container) = Container::new(LIMIT, python("steady_arrays.py")) else {
        return;
    };
    let container = container.volume("/results").file("/dev/termination-log");
    let container = container
        .env("POD_NAME=train-x7")
        .env("POD_NAMESPACE=batch")
        .env("AWS_SECRET_ACCESS_KEY=hidden");
    let mut contained = container.start();
    assert_eq!(contained.finish().code(), Some(137), "{contained}");

    let run = contained.volume("/results/latest");
    let report = Report::load(&run.join("report.json"));
    assert_eq!(report.kind(), "oom_killed_by_cgroup", "{contained}{report}");
    assert_eq!(report.text("/outcome/certainty"), "certain", "{report}");
    assert_eq!(report.number("/outcome/limit/bytes"), Some(LIMIT), "{report}");
    assert_eq!(report.text("/outcome/limit/path"), contained.cgroup(), "{report}");
    assert_eq!(report.text("/run/identity/POD_NAME"), "train-x7", "{report}");
    assert_eq!(report.text("/run/identity/POD_NAMESPACE"), "batch", "{report}");
    let text = std::fs::read_to_string(run.join("run.json")).expect("it is UTF-8");
    assert!(!text.contains("hidden"), "a secret is stored: {text}");

    let here = place("steady_arrays.py", "HERE");
    Svg::load(&run.join("out-of-memory.svg"));
    let folded = Folded::load(&run.join("out-of-memory.prof"));
    let truth = contained.stdout().lines().last().and_then(|line| line.parse().ok());
    assert_close(folded.at(&here), truth.expect("it says how much"), 5.0, &contained);

    // What `kubectl describe pod` shows.
    let message = std::fs::read_to_string(contained.volume("/dev/termination-log")).expect("it is UTF-8");
    assert!(message.len() < 4096, "{} bytes: {message}", message.len());
    assert!(message.contains(&here.to_string()), "{message}");
    assert!(report.is_told_in(&message), "{message}");
}

#[test]
fn orphans_are_reaped_and_a_request_to_end_reaches_the_job() {
    let Some(container) = Container::new(LIMIT, python("first_in_container.py")) else {
        return;
    };
    let mut contained = container.volume("/results").start();
    contained.wait_for_stdout("no orphan is left");
    contained.signal("TERM");
    assert_eq!(contained.finish().code(), Some(3), "{contained}");
    assert!(contained.stdout().ends_with("asked to end\n"), "{contained}");
    let peak = Folded::load(&contained.volume("/results/latest/peak-memory.prof"));
    let held = peak.at(&place("first_in_container.py", "HERE"));
    assert_close(held, 30 * MIB, 2.0, &contained);
}

#[test]
fn a_job_that_ends_well_leaves_no_message_of_death() {
    let words = [
        "fil-profile",
        "-o",
        "/results",
        "run",
        "-c",
        "kept = bytearray(20 << 20)",
    ];
    let Some(container) = Container::new(LIMIT, words) else {
        return;
    };
    let mut contained = container.volume("/results").file("/dev/termination-log").start();
    assert_eq!(contained.finish().code(), Some(0), "{contained}");
    let message = std::fs::read_to_string(contained.volume("/dev/termination-log")).expect("it is UTF-8");
    assert_eq!(message, "", "{contained}");
}
