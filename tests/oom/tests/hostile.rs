//! "A run folder that your `fil-profile` has not made there is read at most: whatever stands in it, nothing of yours is deleted,
//! changed or waited for."

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::sys::stat::Mode;
use oom::{Job, Python, fil_profile};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name of the run folder in `shared`.
const RUN: &str = "2026-01-01T000000.000";
/// Whoever takes longer waits for something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The commands that come by a run folder in `shared`.
const COMMANDS: [&[&str]; 7] = [
    &["--no-browser", "-o", "shared", "run", "true"],
    &["report", "shared"],
    &["report", "shared/2026-01-01T000000.000"],
    &["ls", "shared"],
    &["merge", "shared"],
    &["snapshot", "shared/2026-01-01T000000.000"],
    &["report", "--format", "folded", "shared"],
];

/// A folder with a run folder that somebody else has made, in `shared`, beside files of the user's, in `victim`.
struct Place(TempDir);

/// What a command has said, and its exit status.
#[derive(Debug)]
struct Ended {
    said: String,
    status: Option<i32>,
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        fs::create_dir_all(place.run()).expect("it is ours");
        fs::write(place.run().join("run.json"), place.facts().to_string()).expect("it is ours");
        fs::write(place.run().join("lock"), "vm\nboot\n1\n1\nlocked\n").expect("it is ours");
        fs::create_dir_all(place.victim().join("sub")).expect("it is ours");
        for name in [
            "thesis.tex",
            "sub/more",
            "1-0.recording",
            "1-0.measured",
            "doorbell",
            "token",
            "run.json",
            "index.html",
            ".run.json.1.unfinished",
        ] {
            fs::write(place.victim().join(name), "precious").expect("it is ours");
        }
        place
    }

    /// Of a run that ended without a report.
    fn facts(&self) -> Value {
        json!({
            "format": 1, "version": "0.1.0", "command": ["python3", "x.py"], "directory": "/",
            "started": "2026-01-01T00:00:00.000+00:00", "host": "vm", "supervisor": 1, "report_written": false,
            "on_oom": "report",
        })
    }

    /// As if this user's fil-profile had made the run folder.
    fn adopt(&self, more: &[(&str, Value)]) {
        fs::set_permissions(self.run(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        let about = fs::metadata(self.run()).expect("it is there");
        let made = about.created().ok().map(|time| time.duration_since(UNIX_EPOCH));
        let ns = made.map(|since| since.expect("after 1970").as_nanos() as u64);
        let mut facts = self.facts();
        facts["made_in"] = json!({ "inode": about.ino(), "ns": ns });
        for (name, value) in more {
            facts[name] = value.clone();
        }
        fs::write(self.run().join("run.json"), facts.to_string()).expect("it is ours");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.path("shared").join(RUN)
    }

    fn victim(&self) -> PathBuf {
        self.path("victim")
    }

    fn fil_profile(&self, arguments: &[&str]) -> Ended {
        let streams = tempfile::tempdir().expect("a temporary folder can be made");
        let stderr = streams.path().join("stderr");
        let mut child = Command::new(fil_profile())
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("FIL_PROFILE_OUTPUT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&stderr).expect("it is ours"))
            .spawn()
            .expect("the program can be run");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().expect("it is our child") {
                Some(status) => break status.code(),
                None if Instant::now() > deadline => {
                    child.kill().expect("it is our child");
                    child.wait().expect("it is our child");
                    panic!("{arguments:?} waits for something");
                }
                None => std::thread::yield_now(),
            }
        };
        let said = fs::read_to_string(&stderr).expect("just written");
        Ended { said, status }
    }
}

/// Every file below a folder, with its bytes; of what is no regular file, the name.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("it is still there") {
        let path = entry.expect("it can be listed").path();
        let about = path.symlink_metadata().expect("it is still there");
        if about.is_dir() {
            found.extend(all(&path));
        } else if about.is_file() && about.len() < 1 << 20 {
            found.insert(path.clone(), fs::read(&path).expect("it can be read"));
        } else {
            found.insert(path, Vec::new());
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

/// What somebody can put into a run folder in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instead {
    Pipe,
    Device,
    Sparse,
    Folder,
    LinkToVictim,
}

fn put(what: Instead, path: &Path, place: &Place) {
    let _ = fs::remove_file(path);
    match what {
        Instead::Pipe => nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("it is ours"),
        Instead::Device => symlink("/dev/zero", path).expect("it is ours"),
        Instead::Sparse => File::create(path)
            .and_then(|file| file.set_len(3 << 30))
            .expect("sparse files can be made"),
        Instead::Folder => fs::create_dir(path).expect("it is ours"),
        Instead::LinkToVictim => symlink(place.victim().join("thesis.tex"), path).expect("it is ours"),
    }
}

#[test]
fn what_is_no_file_of_sensible_size_is_refused_at_once_and_the_job_starts() {
    let names = [
        "run.json",
        "lock",
        "timeline.csv",
        "unrecorded.json",
        "view.json",
        "1-0.recording",
        "1-0.measured",
        "profile.fil",
        "doorbell",
        ".run.json.1.unfinished",
    ];
    use Instead::{Device, Folder, LinkToVictim, Pipe, Sparse};
    for what in [Pipe, Device, Sparse, Folder, LinkToVictim] {
        for is_own in [false, true] {
            let place = Place::new();
            if is_own {
                place.adopt(&[]);
            }
            for name in names
                .iter()
                .filter(|name| **name != "run.json" && !(is_own && **name == "lock"))
            {
                put(what, &place.run().join(name), &place);
            }
            let before = all(&place.victim());
            for command in COMMANDS {
                let ended = place.fil_profile(command);
                assert_eq!(all(&place.victim()), before, "{what:?}, {command:?}: {ended:?}");
                assert!(
                    command[2..].last() != Some(&"true") || ended.status == Some(0),
                    "{ended:?}"
                );
            }
        }
        let place = Place::new();
        put(what, &place.run().join("run.json"), &place);
        let before = all(&place.victim());
        for command in COMMANDS {
            let ended = place.fil_profile(command);
            assert_eq!(all(&place.victim()), before, "{what:?}, {command:?}: {ended:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_a_line() {
    for (what, why) in [
        (Instead::Pipe, "timeline.csv: not a regular file"),
        (Instead::Device, "timeline.csv: a link, which is not followed"),
        (Instead::Sparse, "timeline.csv: larger than"),
    ] {
        let place = Place::new();
        put(what, &place.run().join("timeline.csv"), &place);
        let ended = place.fil_profile(&["report", "shared"]);
        let lines = ended.said.lines().filter(|line| line.contains(why));
        assert_eq!(lines.count(), 1, "{what:?}: {ended:?}");
    }
}

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

#[test]
fn a_folder_with_very_many_entries_holds_nobody_up() {
    let place = Place::new();
    for number in 0..3000 {
        fs::create_dir(place.path("shared").join(format!("2025-01-01T{number:06}.000"))).expect("it is ours");
    }
    for number in 0..20_000 {
        let name = format!("{number}-0.recording");
        fs::hard_link(place.victim().join("thesis.tex"), place.run().join(name)).expect("it is ours");
    }
    for command in COMMANDS {
        let ended = place.fil_profile(command);
        assert!(
            ended.said.lines().count() < 100,
            "{command:?}: {} lines",
            ended.said.lines().count()
        );
    }
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

#[test]
fn folders_that_take_long_to_read_delay_no_job() {
    let place = Place::new();
    let words = vec!["\"\""; 2_700_000].join(",");
    let file = place.path("run.json");
    fs::write(&file, format!("{{\"is_copy\":true,\"command\":[{words}]}}")).expect("it is ours");
    for number in 0..100 {
        let run = place.path("shared").join(format!("2026-01-02T{number:06}.000"));
        fs::create_dir(&run).expect("it is ours");
        fs::hard_link(&file, run.join("run.json")).expect("it is ours");
        fs::write(run.join("lock"), "vm\nboot\n1\n1\nlocked\n").expect("it is ours");
    }
    let begin = Instant::now();
    let ended = place.fil_profile(COMMANDS[0]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}
