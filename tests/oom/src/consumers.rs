//! Those who read our formats: packages of npm, installed once below cargo's target folder, Go's `pprof`, and Python's protobuf.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::venv::protobuf_python;
use crate::{announce, built, workspace};

/// What the tools of `pprof` or `speedscope` find in a file; none, with a word on why, where there is no npm.
#[track_caller]
pub fn read_by(format: &str, file: &Path) -> Option<Value> {
    let folder = packages()?;
    let script = workspace().join("tests/oom/consumers/read.js");
    let printed = built::run(Command::new("node").arg(script).arg(format).arg(folder).arg(file));
    let found: Value = serde_json::from_str(&printed).expect("the script prints JSON");
    assert_eq!(found["problem"], Value::Null, "{format} cannot read {}", file.display());
    Some(found)
}

/// What `go tool pprof` prints of a file with these options; none, with a word on why, where there is no Go.
pub fn go_pprof(options: &[&str], file: &Path) -> Option<String> {
    if !built::is_on_path("go") {
        announce("there is no go: its pprof is not asked");
        return None;
    }
    let mut pprof = Command::new("go");
    Some(built::run(pprof.args(["tool", "pprof"]).args(options).arg(file)))
}

/// The schema that pprof publishes, where the distribution's package `golang-github-google-pprof-dev` puts it.
const SCHEMA: &str = "/usr/share/gocode/src/github.com/google/pprof/proto/profile.proto";

/// What Python's protobuf finds in a profile by that schema; none, with a word on why, where it is not there.
#[track_caller]
pub fn read_by_schema(file: &Path) -> Option<Value> {
    if !Path::new(SCHEMA).exists() {
        announce(&format!("there is no {SCHEMA}: Python's protobuf is not asked"));
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let script = workspace().join("tests/oom/consumers/read.py");
    let mut python = Command::new(&protobuf_python().path);
    let printed = built::run(python.arg(script).arg(SCHEMA).arg(folder.path()).arg(file));
    let found: Value = serde_json::from_str(&printed).expect("the script prints JSON");
    assert_eq!(found["problem"], Value::Null, "{}", file.display());
    Some(found)
}

fn packages() -> Option<&'static PathBuf> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        if !["node", "npm"].into_iter().all(built::is_on_path) {
            announce("there is no npm: pprof's and speedscope's own readers are not asked");
            return None;
        }
        let folder = built::target().join("consumers");
        let wanted = workspace().join("tests/oom/consumers/package.json");
        let list = folder.join("package.json");
        let read = |path: &Path| std::fs::read(path).ok();
        if read(&list) != read(&wanted) || !folder.join("node_modules/.package-lock.json").exists() {
            std::fs::create_dir_all(&folder).expect("the target folder is writable");
            std::fs::copy(&wanted, &list).expect("the target folder is writable");
            // Their scripts would build native parts, which nobody needs to read a file.
            let mut npm = Command::new("npm");
            npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
            built::run(npm.current_dir(&folder));
        }
        Some(folder)
    });
    ready.as_ref()
}
