//! A run folder that somebody else has made, beside files of the user's, and the commands that come by it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use oom::fil_profile;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name of the run folder in `shared`.
pub const RUN: &str = "2026-01-01T000000.000";
/// Whoever takes longer waits for something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The commands that come by a run folder in `shared`.
pub const COMMANDS: [&[&str]; 7] = [
    &["--no-browser", "-o", "shared", "run", "true"],
    &["report", "shared"],
    &["report", "shared/2026-01-01T000000.000"],
    &["ls", "shared"],
    &["merge", "shared"],
    &["snapshot", "shared/2026-01-01T000000.000"],
    &["report", "--format", "folded", "shared"],
];

/// A folder with a run folder that somebody else has made, in `shared`, beside files of the user's, in `victim`.
pub struct Place(TempDir);

/// What a command has said, and its exit status.
#[derive(Debug)]
pub struct Ended {
    pub said: String,
    pub status: Option<i32>,
}

impl Place {
    pub fn new() -> Self {
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
            "message-pipe",
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
    pub fn adopt(&self, more: &[(&str, Value)]) {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self) -> PathBuf {
        self.path("shared").join(RUN)
    }

    pub fn victim(&self) -> PathBuf {
        self.path("victim")
    }

    pub fn fil_profile(&self, arguments: &[&str]) -> Ended {
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
pub fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
