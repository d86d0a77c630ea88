//! "Everything on one page: start here." A real browser opens it from its file, hovers, zooms, searches, sorts and switches views;
//! real checkers look at its HTML and whether everybody can use it.

use std::path::PathBuf;
use std::process::Command;

use oom::{Cgroup, Job, MIB, Outcome, Python, announce, fil_profile, speed_of, use_pages, workspace};

fn page(outcome: &Outcome) -> PathBuf {
    outcome.file("index.html").canonicalize().expect("it is there")
}

fn text(outcome: &Outcome) -> String {
    std::fs::read_to_string(page(outcome)).expect("it is UTF-8")
}

#[test]
fn a_reader_can_use_the_page_of_every_kind_of_run() {
    let python = Python::any();
    let ran_out = Job::python(python, "steady_arrays.py")
        .limit_address_space(300 * MIB)
        .run();
    assert_eq!(ran_out.status, Some(1), "{ran_out}");
    // Long enough to be seen several times.
    let fine = Job::python(python, "workers.py").arg("fork").arg("1.5").run();
    assert_eq!(fine.status, Some(0), "{fine}");
    assert!(text(&fine).contains("\"class\":\"process-4\""), "{fine}");
    let grown = Job::python(python, "grows_steadily.py")
        .env("PYTHONPATH", workspace().join("python"))
        .arg("in phases")
        .run();
    assert_eq!(grown.status, Some(0), "{grown}");
    for part in ["data-key=\"growth\"", "id=\"phases\""] {
        assert!(text(&grown).contains(part), "{part}: {grown}");
    }
    let damaged = Job::python(python, "steady_arrays.py")
        .limit_address_space(300 * MIB)
        .run();
    damage(&damaged);
    let odd = Job::python(python, "odd_names.py").run();
    assert_eq!(odd.status, Some(0), "{odd}");
    let killed =
        Cgroup::limited(150 * MIB).map(|cgroup| Job::python(python, "child_is_killed.py").within(&cgroup).run());
    let runs = [
        Some(&ran_out),
        Some(&fine),
        Some(&damaged),
        Some(&odd),
        Some(&grown),
        killed.as_ref(),
    ];
    let pages: Vec<PathBuf> = runs.into_iter().flatten().map(page).collect();
    if use_pages(&pages) {
        announce(&format!("{} pages were used in a real browser", pages.len()));
    }
}

/// How long it takes depends on the machine, and is printed.
#[test]
fn a_page_of_twenty_thousand_callstacks_can_be_used() {
    let job = Job::python(Python::any(), "distinct_stacks.py")
        .arg("20000")
        .arg("40000");
    let outcome = job.exact().run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let text = text(&outcome);
    let (_, data) = text.split_once("id=\"data\">").expect("the page has data");
    let (data, _) = data.split_once("</script>").expect("it ends");
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    let frames = data["graphs"][0]["up"].as_array().map_or(0, Vec::len);
    assert!(frames >= 20_000, "{frames} frames: {outcome}");
    use_pages(&[page(&outcome)]);
    if let Some(speed) = speed_of(&page(&outcome)) {
        announce(&format!("{frames} frames: {}", speed.trim_end()));
    }
}

/// Cuts off the end of the recording, and has the report made of what is left.
fn damage(outcome: &Outcome) {
    let folder = outcome.run_folder();
    let files = std::fs::read_dir(&folder).expect("it is there").flatten();
    let mut recordings = files
        .map(|file| file.path())
        .filter(|path| path.extension() == Some("recording".as_ref()));
    let recording = recordings.next().expect("there is a recording");
    let bytes = std::fs::read(&recording).expect("it is readable");
    std::fs::write(&recording, &bytes[..bytes.len() * 3 / 4]).expect("it is writable");
    // The bundle has all of it.
    std::fs::remove_file(folder.join("profile.fil")).expect("there is a bundle");
    let report = Command::new(fil_profile()).arg("report").arg(&folder).output();
    let report = report.expect("it can be run");
    assert!(report.status.success(), "{report:?}");
    let text = std::fs::read_to_string(folder.join("index.html")).expect("it is UTF-8");
    assert!(text.contains("The recording is damaged"), "{report:?}");
}
