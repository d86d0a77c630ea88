//! Memory cgroups of version 1, made for a test and removed with it; only one test has any at a time, since the kernel counts
//! some kills for the machine as a whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::announce;

const HIERARCHY: &str = "/sys/fs/cgroup/memory";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A memory cgroup below the hierarchy's root; what is left in it is killed and it is removed with this value.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Cgroup {
    /// A cgroup with this limit in bytes. None, and a word on it, where cgroups cannot be made here; a machine where they
    /// can be but this one cannot is an error.
    #[track_caller]
    pub fn limited(bytes: u64) -> Option<Cgroup> {
        let cgroup = Cgroup::unlimited()?;
        cgroup.write("memory.limit_in_bytes", bytes);
        Some(cgroup)
    }

    /// A cgroup without a limit of its own.
    #[track_caller]
    pub fn unlimited() -> Option<Cgroup> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        if let Some(why) = impossible() {
            announce(&format!("left out: kills in a memory cgroup of version 1, for {why}"));
            return None;
        }
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("fil-profile-test-{}-{number}", std::process::id());
        Some(Cgroup::make(Path::new(HIERARCHY).join(name), Some(alone)))
    }

    /// A cgroup below this one, without a limit of its own.
    #[track_caller]
    pub fn child(&self, name: &str) -> Cgroup {
        Cgroup::make(self.folder.join(name), None)
    }

    #[track_caller]
    fn make(folder: PathBuf, alone: Option<MutexGuard<'static, ()>>) -> Cgroup {
        fs::create_dir(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        Cgroup { folder, _alone: alone }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name in the hierarchy, as `/proc/PID/cgroup` has it.
    pub fn name(&self) -> String {
        let below = self.folder.strip_prefix(HIERARCHY).expect("it was made there");
        format!("/{}", below.display())
    }

    /// Writes a number to one of its files.
    #[track_caller]
    pub fn write(&self, file: &str, number: u64) {
        let path = self.folder.join(file);
        fs::write(&path, number.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The number in one of its files.
    #[track_caller]
    pub fn number(&self, file: &str) -> u64 {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let number = text.trim().parse();
        number.unwrap_or_else(|_| panic!("no number in {}: {text:?}", path.display()))
    }

    /// How many of its processes the kernel has killed for memory.
    #[track_caller]
    pub fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.folder.join("memory.oom_control")).expect("every memory cgroup has it");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills
            .and_then(|kills| kills.parse().ok())
            .expect("the kernel counts kills")
    }

    /// Words that move a process here and execute what follows them.
    pub fn launcher(&self) -> [String; 4] {
        let script = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", self.folder.display());
        ["/bin/sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]
    }

    fn members(&self) -> Vec<Pid> {
        let list = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        list.lines()
            .filter_map(|pid| pid.parse().ok())
            .map(Pid::from_raw)
            .collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.folder).is_err() && self.folder.exists() && Instant::now() < deadline {
            for pid in self.members() {
                // It may have ended by itself in the meantime.
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Why no cgroup can be made on this machine.
fn impossible() -> Option<&'static str> {
    if !geteuid().is_root() {
        return Some("only root may make one");
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some(HIERARCHY));
    let Some(mount) = mount else {
        return Some("this machine has none");
    };
    let options = mount.split(' ').nth(3).unwrap_or_default();
    let is_read_only = options.split(',').any(|option| option == "ro");
    is_read_only.then_some("they are mounted read-only here")
}
