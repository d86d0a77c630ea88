//! A container with a memory limit, run by runc, with this machine's system as its image.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Python, announce, built, workspace};

/// A container that is about to start; all paths that a job needs are in it at the same place, read-only.
#[derive(Debug)]
pub struct Container {
    place: TempDir,
    name: String,
    limit: u64,
    words: Vec<String>,
    environment: Vec<String>,
    mounts: Vec<Value>,
}

/// A container that runs; it is killed and removed with this value.
#[derive(Debug)]
pub struct Contained {
    container: Container,
    runc: Child,
}

impl Container {
    /// One that executes `words` as process 1 under a limit in bytes. None, and a word on it, where none can be run.
    #[track_caller]
    pub fn new<W: Into<String>>(limit: u64, words: impl IntoIterator<Item = W>) -> Option<Container> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        if let Some(why) = impossible() {
            announce(&format!("left out: containers, for {why}"));
            return None;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut container = Container {
            place: tempfile::tempdir().expect("a temporary folder can be made"),
            name: format!("fil-profile-test-{}-{number}", std::process::id()),
            limit,
            words: words.into_iter().map(Into::into).collect(),
            environment: vec!["PYTHONDONTWRITEBYTECODE=1".to_owned()],
            mounts: Vec::new(),
        };
        fs::create_dir(container.place.path().join("root")).expect("the temporary folder is writable");
        let python = Python::any()
            .path
            .ancestors()
            .nth(2)
            .expect("in <prefix>/bin")
            .to_owned();
        let tool = built::fil_profile().parent().expect("it is in a folder").to_owned();
        let system = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"].map(PathBuf::from);
        for path in system.into_iter().filter(|path| path.exists()) {
            container.bind(&path, &path, false);
        }
        for path in [&python, &tool, &workspace().join("tests/oom/victims")] {
            if !path.starts_with("/usr") {
                container.bind(path, path, false);
            }
        }
        let path = format!("PATH={}:{}/bin:/usr/bin:/bin", tool.display(), python.display());
        Some(container.env(path))
    }

    /// `NAME=VALUE`.
    #[must_use]
    pub fn env(mut self, pair: impl Into<String>) -> Container {
        self.environment.push(pair.into());
        self
    }

    /// A volume: an empty folder that the container may write to, at this path, and which is at [`Contained::volume`].
    #[must_use]
    pub fn volume(mut self, at: &str) -> Container {
        let volume = self.place.path().join("volumes").join(at.trim_start_matches('/'));
        fs::create_dir_all(&volume).expect("the temporary folder is writable");
        self.bind(&volume, Path::new(at), true);
        self
    }

    /// A folder of outside that the container may write to, at this path.
    #[must_use]
    pub fn mount(mut self, folder: &Path, at: &str) -> Container {
        self.bind(folder, Path::new(at), true);
        self
    }

    /// A file of outside that the container may read, at this path.
    #[must_use]
    pub fn with(mut self, file: &Path, at: &str) -> Container {
        self.bind(file, Path::new(at), false);
        self
    }

    /// An empty file that the container may write to, at this path.
    #[must_use]
    pub fn file(mut self, at: &str) -> Container {
        let file = self.place.path().join("volumes").join(at.trim_start_matches('/'));
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the temporary folder is writable");
        fs::write(&file, "").expect("the temporary folder is writable");
        self.bind(&file, Path::new(at), true);
        self
    }

    fn bind(&mut self, source: &Path, at: &Path, is_writable: bool) {
        let mode = if is_writable { "rw" } else { "ro" };
        self.mounts.push(json!({
            "destination": at, "type": "bind", "source": source, "options": ["rbind", mode]
        }));
    }

    /// Starts it.
    #[track_caller]
    pub fn start(self) -> Contained {
        let place = self.place.path();
        let bundle = place.join("config.json");
        fs::write(bundle, self.specification().to_string()).expect("the temporary folder is writable");
        let stream = |name: &str| File::create(place.join(name)).expect("the temporary folder is writable");
        let mut runc = self.runc();
        runc.args(["run", "--bundle"])
            .arg(place)
            .arg(&self.name)
            .stdin(Stdio::null());
        let runc = runc.stdout(stream("stdout")).stderr(stream("stderr")).spawn();
        Contained {
            runc: runc.expect("runc can be run"),
            container: self,
        }
    }

    fn runc(&self) -> Command {
        let mut command = Command::new("runc");
        command.arg("--root").arg(self.place.path().join("state"));
        command
    }

    fn specification(&self) -> Value {
        let mount = |at: &str, kind: &str, options: &[&str]| json!({"destination": at, "type": kind, "source": kind, "options": options});
        let mut mounts = vec![
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "mode=755"]),
            mount("/tmp", "tmpfs", &["nosuid", "mode=1777"]),
            mount("/sys", "sysfs", &["nosuid", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "ro"]),
        ];
        mounts.extend(self.mounts.iter().cloned());
        let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0}, "args": self.words, "env": self.environment, "cwd": "/tmp",
                "noNewPrivileges": true,
            },
            "root": {"path": "root", "readonly": false},
            "hostname": "container",
            "mounts": mounts,
            "linux": {
                "namespaces": namespaces,
                "cgroupsPath": format!("/{}", self.name),
                "resources": {"memory": {"limit": self.limit}},
            },
        })
    }
}

impl Contained {
    /// Where the volume at this path is outside.
    pub fn volume(&self, at: &str) -> PathBuf {
        self.container
            .place
            .path()
            .join("volumes")
            .join(at.trim_start_matches('/'))
    }

    /// What process 1 and its children have written to stdout so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.container.place.path().join("stdout")).unwrap_or_default()
    }

    /// And to stderr.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.container.place.path().join("stderr")).unwrap_or_default()
    }

    /// Its cgroup's name.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.container.name)
    }

    /// Waits until there is `text` on stdout.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.stdout().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} before the deadline: {self}");
            assert!(
                matches!(self.runc.try_wait(), Ok(None)),
                "ended before {text:?}: {self}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal to process 1, as `docker stop` does.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        built::run(self.container.runc().args(["kill", &self.container.name, name]));
    }

    /// Waits for the end, and returns the status as container engines see it.
    #[track_caller]
    pub fn finish(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            if let Some(status) = self.runc.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running at the deadline: {self}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl std::fmt::Display for Contained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = self.container.words.join(" ");
        write!(
            f,
            "{words}\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout(),
            self.stderr()
        )
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let _ = self
            .container
            .runc()
            .args(["delete", "--force", &self.container.name])
            .output();
        let _ = self.runc.wait();
    }
}

/// Why there can be none on this machine.
fn impossible() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("only root can run one here");
    }
    if !Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists() {
        return Some("this machine has no memory cgroups of version 1");
    }
    (!built::is_on_path("runc")).then_some("runc is not installed here")
}
