//! "A run folder that somebody else has made is read at most: nothing is deleted, changed or followed because of what stands in it."

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oom::fil_profile;
use tempfile::TempDir;

/// A run that ended without a report, by what stands in its folder.
const RUN: &str = r#"{"format": 1, "version": "0.1.0", "command": ["python3", "x.py"], "directory": "/",
    "started": "2026-01-01T00:00:00.000+00:00", "host": "vm", "supervisor": 1, "report_written": false, "on_oom": "report"}"#;

/// A folder with a run folder that somebody else has made, in `shared`, beside files of the user's, in `victim`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        std::fs::create_dir_all(place.run()).expect("it is ours");
        std::fs::write(place.run().join("run.json"), RUN).expect("it is ours");
        std::fs::write(place.run().join("lock"), "vm\nboot\n1\n1\nlocked\n").expect("it is ours");
        std::fs::create_dir_all(place.victim().join("sub")).expect("it is ours");
        for name in [
            "thesis.tex",
            "sub/more",
            "1-0.recording",
            "1-0.measured",
            "doorbell",
            "token",
            "run.json",
            ".run.json.1.unfinished",
        ] {
            std::fs::write(place.victim().join(name), "precious").expect("it is ours");
        }
        place
    }

    fn run(&self) -> PathBuf {
        self.0.path().join("shared/2026-01-01T000000.000")
    }

    fn victim(&self) -> PathBuf {
        self.0.path().join("victim")
    }

    fn fil_profile(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(fil_profile());
        command.args(arguments).current_dir(self.0.path());
        command.output().expect("the program can be run")
    }
}

/// The commands that come by a run folder.
const COMMANDS: [&[&str]; 6] = [
    &["--no-browser", "-o", "shared", "run", "true"],
    &["report", "shared"],
    &["ls", "shared"],
    &["merge", "shared"],
    &["snapshot", "shared/2026-01-01T000000.000"],
    &["report", "--format", "folded", "shared"],
];

/// Every file below a folder, with its bytes.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("it is still there") {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true => found.extend(all(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).expect("it can be read"))),
        }
    }
    found
}

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
            let before = all(&place.victim());
            let output = place.fil_profile(command);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(all(&place.victim()), before, "{command:?}: {said}");
            let opens_it = command[0] != "ls" && command[0] != "merge";
            assert!(
                !opens_it || said.contains("recordings is not followed"),
                "{command:?}: {said}"
            );
        }
    }
}

#[test]
fn a_run_folder_that_claims_the_victims_own_token_deletes_nothing_but_what_a_run_makes() {
    // The token is secret: its folder is open to the user alone. Who has learned it nevertheless gains next to nothing.
    let place = Place::new();
    symlink(place.victim(), place.run().join("recordings")).expect("it is ours");
    let token = "0123456789abcdef0123456789abcdef";
    std::fs::write(place.victim().join("token"), token).expect("it is ours");
    let run = RUN.replacen('{', &format!("{{\"token\": \"{token}\", "), 1);
    std::fs::write(place.run().join("run.json"), run).expect("it is ours");
    place.fil_profile(COMMANDS[0]);
    for name in ["thesis.tex", "sub/more"] {
        let kept = std::fs::read_to_string(place.victim().join(name)).expect("it is still there");
        assert_eq!(kept, "precious");
    }
}
