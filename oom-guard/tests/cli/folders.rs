//! Where the results are: in a folder of each run, however the job moves, and never in the job's way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::place::{Place, only_folder};

#[test]
fn a_run_leaves_its_folder_and_a_link_to_it() {
    let place = Place::with_library();
    place.run(&["run", "sh", "-c", "cd /; exit 7"]);
    let folder = place.run_folder();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        fs::read_link(place.path("fil-result/latest")).unwrap(),
        folder.file_name().unwrap()
    );
    let run = fs::read_to_string(folder.join("run.json")).unwrap();
    assert!(run.contains("\"status\": 7"), "{run}");
    assert!(!folder.join("message-pipe").exists());
}

#[test]
fn the_folder_is_absolute_from_the_start() {
    let place = Place::with_library();
    let outcome = place.run(&[
        "-o",
        "a/b",
        "run",
        "sh",
        "-c",
        "cd /; echo $FIL_PROFILE_RUN; cd $FIL_PROFILE_RUN; ls lock message-pipe run.json",
    ]);
    let folder = only_folder(&place.path("a/b"));
    assert_eq!(
        outcome.stdout,
        format!("{}\nlock\nmessage-pipe\nrun.json\n", folder.display())
    );
}

#[test]
fn where_no_folder_can_be_made_the_job_runs_unrecorded() {
    let place = Place::with_library();
    fs::write(place.path("file"), "").unwrap();
    for output in ["file/x", "/proc/x", "/sys/x", "file"] {
        let outcome = place.run(&["-o", output, "run", "sh", "-c", "echo ${LD_PRELOAD-none}; exit 7"]);
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (Some(7), "none\n"),
            "{outcome:?}"
        );
        assert_eq!(outcome.said().len(), 1, "{outcome:?}");
        assert!(outcome.stderr.contains(output), "{outcome:?}");
    }
}

/// It may have come with a repository.
#[test]
fn a_link_in_the_place_of_the_folder_for_results_is_followed_only_if_it_is_named() {
    let place = Place::with_library();
    fs::create_dir(place.path("precious")).unwrap();
    std::os::unix::fs::symlink("precious", place.path("fil-result")).unwrap();
    let outcome = place.run(&["run", "sh", "-c", "echo ${LD_PRELOAD-none}; exit 7"]);
    assert_eq!(
        (outcome.status, outcome.stdout.as_str()),
        (Some(7), "none\n"),
        "{outcome:?}"
    );
    assert_eq!(outcome.said().len(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("-o ./fil-result"), "{outcome:?}");
    assert_eq!(fs::read_dir(place.path("precious")).unwrap().count(), 0);

    let outcome = place.run(&["-o", "./fil-result", "run", "sh", "-c", "exit 7"]);
    assert_eq!(outcome.status, Some(7), "{outcome:?}");
    assert!(place.path("precious/latest").is_symlink(), "{outcome:?}");
}

/// Some programs have a file `latest` beside their results.
#[test]
fn files_of_the_names_of_our_links_stay() {
    let place = Place::with_library();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/latest"), "step500").unwrap();
    let outcome = place.run(&["-o", "out", "run", "sh", "-c", "exit 7"]);
    assert_eq!(outcome.status, Some(7), "{outcome:?}");
    assert_eq!(fs::read_to_string(place.path("out/latest")).unwrap(), "step500");
    assert!(
        outcome.stderr.contains("out/latest was not made by fil-profile"),
        "{outcome:?}"
    );
}

#[test]
fn a_job_does_not_depend_on_a_folder_of_source_files() {
    let place = Place::with_library();
    let mut command = place.command(&["run", "sh", "-c", "exit 7"]);
    let output = command.env("FIL_PROFILE_SOURCE", "/no/such/folder").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
}

#[test]
fn with_require_a_job_that_cannot_be_recorded_is_not_run() {
    let place = Place::with_library();
    let run = ["-o", "/proc/x", "run", "touch", "touched"];
    let refused = place.run(&[&["--require"][..], &run].concat());
    assert_eq!((refused.status, refused.said().len()), (Some(2), 1), "{refused:?}");
    assert!(refused.stderr.contains("/proc/x") && refused.stderr.contains("--require"));
    let mut command = place.command(&run);
    let status = command.env("FIL_PROFILE_REQUIRE", "1").output().unwrap().status;
    assert_eq!(status.code(), Some(2));
    assert!(!place.path("touched").exists());

    let without_library = Place::without_library();
    assert_eq!(without_library.run(&["--require", "run", "true"]).status, Some(2));
    assert_eq!(place.run(&["--require", "run", "sh", "-c", "exit 7"]).status, Some(7));
}

#[test]
fn files_are_their_owners_alone() {
    let place = Place::with_library();
    let look = "stat -c %a $FIL_PROFILE_RUN $FIL_PROFILE_RUN/*";
    let mut command = place.command_after("umask 0", &["run", "sh", "-c", look]);
    let stdout = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let (folder, files) = stdout.split_once('\n').unwrap();
    assert_eq!(folder, "700");
    assert!(
        files.lines().count() >= 3 && files.lines().all(|mode| mode == "600"),
        "{files}"
    );
}

#[test]
fn a_program_that_cannot_be_started_leaves_no_folder() {
    let place = Place::with_library();
    fs::write(place.path("broken"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(place.path("broken"), fs::Permissions::from_mode(0o755)).unwrap();
    for options in [&[][..], &["--no-children"]] {
        let outcome = place.run(&[options, &["run", "./broken"]].concat());
        assert_eq!((outcome.status, outcome.said().len()), (Some(127), 1), "{outcome:?}");
        assert_eq!(fs::read_dir(place.path("fil-result")).unwrap().count(), 0);
    }
}

#[test]
fn planted_links_are_never_followed_and_stay() {
    let place = Place::with_library();
    fs::create_dir(place.path("fil-result")).unwrap();
    fs::create_dir(place.path("precious")).unwrap();
    symlink(place.path("precious"), place.path("fil-result/latest")).unwrap();
    place.run(&["run", "true"]);
    assert_eq!(fs::read_dir(place.path("precious")).unwrap().count(), 0);
    assert_eq!(
        fs::read_link(place.path("fil-result/latest")).unwrap(),
        place.path("precious")
    );
}

#[test]
fn a_folder_in_the_place_of_the_link_is_left_alone() {
    let place = Place::with_library();
    fs::create_dir_all(place.path("fil-result/latest")).unwrap();
    let outcome = place.run(&["run", "sh", "-c", "exit 7"]);
    assert_eq!(outcome.status, Some(7));
    let mut names: Vec<_> = fs::read_dir(place.path("fil-result"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[1], "latest");
}

#[test]
fn a_run_without_recordings_has_nothing_to_report() {
    let place = Place::with_library();
    place.run(&["run", "true"]);
    for args in [
        &["report"][..],
        &["report", "fil-result"],
        &["report", "fil-result/latest"],
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains("nothing was recorded"), "{outcome:?}");
    }
}
