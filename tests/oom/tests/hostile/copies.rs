//! Copies of a run folder, and bundles: where the report on them is written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use oom::{Job, Python};
use tempfile::TempDir;

use crate::place::{Place, RUN, all};

/// A run of a job that has been recorded, in a folder of its own.
fn recorded() -> (TempDir, PathBuf) {
    let job = Job::code(Python::any(), "x = bytearray(20 << 20)").option("--keep-recording");
    let outcome = job.run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let run = outcome.run_folder();
    (outcome.into_folder(), run)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it is ours");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("it has one"))).expect("it is ours");
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("it is ours");
}

#[test]
fn a_copy_of_a_run_folder_is_reported_on_elsewhere_and_ones_own_in_its_place() {
    let (_folder, run) = recorded();
    let place = Place::new();
    fs::remove_dir_all(place.run()).expect("it is ours");
    copy(&run, &place.run());
    let before = all(&place.run());
    for number in 0..2 {
        let ended = place.fil_profile(&["report", "shared"]);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(all(&place.run()) == before, "{number}: {ended:?}");
        assert!(
            ended.said.contains("it is only read, and its report is in"),
            "{ended:?}"
        );
        let report = place.path("fil-result").join(format!("report-of-{RUN}"));
        assert!(report.join("index.html").exists(), "{ended:?}");
        // The second time, it is the folder of the first.
        assert_eq!(fs::read_dir(place.path("fil-result")).expect("it is there").count(), 1);
    }
    // A report on a run is no run.
    let ended = place.fil_profile(&["merge", "fil-result"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    fs::remove_file(place.run().join("index.html")).expect("it is ours");
    let ended = place.fil_profile(&["report", "--trust", "shared"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(place.run().join("index.html").exists(), "{ended:?}");

    // Moved, it is the same folder.
    let moved = place.path("moved");
    fs::rename(&run, &moved).expect("the same file system");
    fs::remove_file(moved.join("index.html")).expect("it is ours");
    let ended = place.fil_profile(&["report", "moved"]);
    assert!(moved.join("index.html").exists(), "{ended:?}");
}

#[test]
fn where_the_report_cannot_be_written_the_line_says_which_option_says_where() {
    let (_folder, run) = recorded();
    let place = Place::new();
    fs::remove_dir_all(place.run()).expect("it is ours");
    copy(&run, &place.run());
    fs::write(place.path("fil-result"), "a file").expect("it is ours");
    let ended = place.fil_profile(&["report", "shared"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.said.contains("fil-profile -o DIR report shared"), "{ended:?}");
}

#[test]
fn the_report_of_a_bundle_never_overwrites_what_stands_beside_it() {
    let (_folder, run) = recorded();
    let place = Place::new();
    fs::copy(run.join("profile.fil"), place.path("docs.fil")).expect("it is ours");
    fs::copy(run.join("profile.fil"), place.path("linked.fil")).expect("it is ours");
    copy(&place.victim(), &place.path("docs"));
    symlink(place.victim(), place.path("linked")).expect("it is ours");
    let before = (all(&place.path("docs")), all(&place.victim()));
    for (name, into) in [("docs", "docs-2"), ("linked", "linked-2")] {
        for _ in 0..2 {
            let ended = place.fil_profile(&["report", &format!("{name}.fil")]);
            assert_eq!(ended.status, Some(0), "{ended:?}");
            assert_eq!((all(&place.path("docs")), all(&place.victim())), before, "{ended:?}");
            assert!(place.path(into).join("index.html").exists(), "{ended:?}");
            assert!(!place.path(&format!("{name}-3")).exists(), "{ended:?}");
        }
    }
}
