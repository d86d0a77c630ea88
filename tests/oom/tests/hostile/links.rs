//! Links in a run folder, and links to one: nothing at their end is deleted or written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use oom::Python;
use serde_json::json;

use crate::place::{COMMANDS, Place, all};

#[test]
fn a_link_to_the_users_files_in_a_run_folder_deletes_none_of_them() {
    for command in COMMANDS {
        for is_absolute in [true, false] {
            let place = Place::new();
            let target = match is_absolute {
                true => place.victim(),
                false => PathBuf::from("../../victim"),
            };
            symlink(target, place.run().join("recordings")).expect("it is ours");
            let before = (all(&place.victim()), all(&place.run()));
            let ended = place.fil_profile(command);
            assert_eq!(
                (all(&place.victim()), all(&place.run())),
                before,
                "{command:?}: {ended:?}"
            );
            let opens_it = ["report", "merge", "snapshot"].contains(&command[0]);
            let is_said = ended.said.contains("recordings is not followed");
            assert_eq!(is_said, opens_it, "{command:?}: {ended:?}");
        }
    }
}

#[test]
fn the_number_of_an_inode_alone_makes_no_run_folder_ones_own() {
    for made_in in [json!({}), json!({ "ns": null }), json!({ "ns": 0 }), json!({ "ns": 1 })] {
        let place = Place::new();
        fs::set_permissions(place.run(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        let about = fs::metadata(place.run()).expect("it is there");
        // Without the time, the number has to be enough.
        let Ok(_) = about.created() else { return };
        let mut note = made_in.clone();
        note["inode"] = json!(about.ino());
        place.adopt(&[("made_in", note)]);
        let before = all(&place.run());
        let ended = place.fil_profile(COMMANDS[0]);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(all(&place.run()) == before, "{made_in}: {ended:?}");
        assert!(!ended.said.contains("found a run"), "{made_in}: {ended:?}");
    }
}

#[test]
fn a_run_folder_of_ones_own_deletes_nothing_at_the_end_of_a_link_without_its_token() {
    let token = "0123456789abcdef0123456789abcdef";
    for (link, token) in [("", None), ("../", None), ("../", Some(token))] {
        let place = Place::new();
        let target = match link {
            "" => place.victim(),
            up => PathBuf::from(up).join("../victim"),
        };
        symlink(target, place.run().join("recordings")).expect("it is ours");
        let told = token.map_or(json!(null), |token| json!(token));
        place.adopt(&[("token", told)]);
        let before = all(&place.victim());
        let ended = place.fil_profile(COMMANDS[0]);
        assert_eq!(all(&place.victim()), before, "{ended:?}");
        assert!(ended.said.contains("recordings is not followed"), "{ended:?}");
    }
}

#[test]
fn who_has_learned_the_token_still_deletes_nothing_that_a_run_has_not_made() {
    let place = Place::new();
    symlink(place.victim(), place.run().join("recordings")).expect("it is ours");
    fs::set_permissions(place.victim(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    let token = "0123456789abcdef0123456789abcdef";
    fs::write(place.victim().join("token"), token).expect("it is ours");
    place.adopt(&[("token", json!(token))]);
    let ended = place.fil_profile(COMMANDS[0]);
    assert!(
        ended.said.contains("found a run that ended without a report"),
        "{ended:?}"
    );
    for name in ["thesis.tex", "sub/more", "index.html"] {
        let kept = fs::read_to_string(place.victim().join(name)).expect("it is still there");
        assert_eq!(kept, "precious");
    }
    assert!(!place.victim().join("1-0.recording").exists(), "{ended:?}");
}

#[test]
fn a_run_folder_that_is_exchanged_while_the_job_runs_takes_nothing_elsewhere() {
    let place = Place::new();
    fs::create_dir(place.path("open")).expect("it is ours");
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let code = "import os, subprocess, sys\n\
                [run] = [name for name in os.listdir('open') if name[0].isdigit()]\n\
                os.rename('open/' + run, 'open/away')\n\
                os.symlink(os.path.abspath('victim'), 'open/' + run)\n\
                subprocess.run([sys.executable, '-c', 'x = bytearray(50 << 20)'])\n\
                x = bytearray(50 << 20)\n\
                print('done')";
    let before = all(&place.victim());
    let python = Python::any().path.display().to_string();
    let ended = place.fil_profile(&["--no-browser", "-o", "open", "--python", &python, "run", "-c", code]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(all(&place.victim()), before, "{ended:?}");
    // What was opened is where the results are.
    assert!(place.path("open/away/run.json").exists(), "{ended:?}");
    assert!(!place.path("open/away/lock").exists(), "{ended:?}");
}

/// A job that keeps its recording because it has been killed together with its supervisor.
fn left_without_a_report(place: &Place, project: &str) -> PathBuf {
    fs::create_dir(place.path(project)).expect("it is ours");
    let code = "import os; x = bytearray(30 << 20); os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)";
    let python = Python::any().path.display().to_string();
    let output = &place.path(project).join("fil-result").display().to_string();
    place.fil_profile(&["--no-browser", "-o", output, "--python", &python, "run", "-c", code]);
    let entries = fs::read_dir(output).expect("it was made").flatten();
    let run = entries
        .map(|entry| entry.path())
        .find(|path| path.join("lock").exists());
    run.expect("a run without a report has a lock")
}

#[test]
fn a_link_for_results_that_came_with_a_repository_is_not_used_unless_it_is_named() {
    let place = Place::new();
    let run = left_without_a_report(&place, "project");
    symlink("project/fil-result", place.path("fil-result")).expect("it is ours");
    let before = all(&run);
    for (command, is_refused) in [
        (&["--no-browser", "run", "true"][..], false),
        (&["report"], true),
        (&["report", "--format", "folded"], true),
        (&["ls"], true),
    ] {
        let ended = place.fil_profile(command);
        assert!(all(&run) == before, "{command:?}: {ended:?}");
        assert!(
            ended
                .said
                .contains("it is a link to project/fil-result; to use it, name it: -o ./fil-result"),
            "{command:?}: {ended:?}"
        );
        assert_eq!(ended.status == Some(1), is_refused, "{command:?}: {ended:?}");
    }
    let ended = place.fil_profile(&["report", "fil-result"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(run.join("index.html").exists(), "{ended:?}");
}
