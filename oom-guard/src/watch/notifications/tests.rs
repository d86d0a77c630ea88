//! Notifications of real cgroups, where this process may make one, and of files that are none.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

use super::*;
use crate::kernel::host::Host;

const LIMIT: u64 = 32 << 20;

/// A cgroup with a limit of [`LIMIT`], and in it a cgroup with a shell that is going to outgrow it.
struct Doomed {
    folder: PathBuf,
    shell: Child,
}

impl Doomed {
    /// None where we may not make cgroups, which is no failure of what is tested.
    fn new(name: &str) -> Option<Self> {
        let first = Path::new("/sys/fs/cgroup/memory");
        let (mount, limit) = if first.is_dir() {
            (first, "memory.limit_in_bytes")
        } else {
            (Path::new("/sys/fs/cgroup"), "memory.max")
        };
        let folder = mount.join(format!("filprofile-test-{name}-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&folder) {
            eprintln!("not tested: {}: {error}", folder.display());
            return None;
        }
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "echo ready; read line; exec tail /dev/zero"]);
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut doomed = Self { folder, shell };
        if let Err(error) = fs::write(doomed.folder.join(limit), LIMIT.to_string()) {
            eprintln!("not tested: no {limit}: {error}");
            return None;
        }
        // Only version 2 asks for this, and only version 2 has the file.
        let _ = File::options()
            .write(true)
            .open(doomed.folder.join("cgroup.subtree_control"))
            .and_then(|mut file| file.write_all(b"+memory"));
        fs::create_dir(doomed.folder.join("step")).unwrap();
        fs::write(doomed.folder.join("step/cgroup.procs"), doomed.pid().to_string()).unwrap();
        let mut ready = String::new();
        BufReader::new(doomed.shell.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        Some(doomed)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.shell.id() as i32)
    }

    fn grow(&mut self) {
        self.shell.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let _ = fs::remove_dir(self.folder.join("step"));
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Waits until `holds`, and takes what comes meanwhile; false after half a minute.
fn wait_until(notifications: &mut Notifications, mut holds: impl FnMut(&Notifications, bool) -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let mut sources = Sources::new();
        notifications.add_to(&mut sources, |id| id);
        let come = sources.wait(Duration::from_millis(10)).unwrap();
        come.iter().for_each(|id| notifications.take(*id));
        if holds(notifications, !come.is_empty()) {
            return true;
        }
    }
    false
}

/// How many notifications are waited for.
fn count(notifications: &Notifications) -> usize {
    let counted = std::cell::Cell::new(0);
    notifications.add_to(&mut Sources::new(), |_| counted.set(counted.get() + 1));
    counted.get()
}

#[test]
fn a_cgroup_that_runs_out_notifies_and_then_is_ignored_for_a_while() {
    let Some(mut doomed) = Doomed::new("notifies") else {
        return;
    };
    let cgroup = Cgroup::find(&Host::this(), doomed.pid()).unwrap();
    assert_eq!(cgroup.leaf().folder, doomed.folder.join("step"));
    let bounds = cgroup.bounds(0);
    let bound = bounds.iter().find(|bound| bound.bytes == LIMIT).unwrap();
    let mut notifications = Notifications::register(&Host::this(), Some(&cgroup), &bounds);
    notifications.add_late();
    let of_cgroup = |note: &&String| note.contains("filprofile-test") && !note.contains("memory.pressure");
    assert_eq!(notifications.notes().iter().find(of_cgroup), None);
    match cgroup.version {
        // The kernel will tell in time.
        Version::V1 => assert_eq!(notifications.pause(std::slice::from_ref(bound)), LONGEST_PAUSE),
        Version::V2 => assert_eq!(notifications.pause(std::slice::from_ref(bound)), bound.pause()),
    }
    assert!(!notifications.out_of_memory());

    doomed.grow();
    assert!(wait_until(&mut notifications, |_, has_come| has_come), "nothing came");
    assert!(notifications.is_resting(), "more would be taken at once");
    // The OOM notification alone is never ignored.
    let counted = usize::from(cgroup.version == Version::V1);
    assert_eq!(count(&notifications), counted);
    assert!(notifications.pause(&[]) <= REST);
    assert_eq!(doomed.shell.wait().unwrap().signal(), Some(9));
    assert!(
        wait_until(&mut notifications, |notifications, _| count(notifications) > counted),
        "it is ignored for ever"
    );
    let must = match cgroup.version {
        Version::V1 => vec![
            doomed.folder.join("memory.usage_in_bytes"),
            doomed.folder.join("step/memory.oom_control"),
        ],
        Version::V2 => vec![doomed.folder.join("memory.events")],
    };
    let has_come = |notifications: &Notifications, file: &Path| {
        notifications.received().iter().any(|notified| notified.file == file)
    };
    for file in &must {
        let come = wait_until(&mut notifications, |notifications, _| has_come(notifications, file));
        assert!(
            come,
            "no notification of {}: {:?}",
            file.display(),
            notifications.received()
        );
    }
    assert_eq!(notifications.out_of_memory(), cgroup.version == Version::V1);
}

#[test]
fn a_removed_cgroup_has_not_run_out() {
    let Some(mut doomed) = Doomed::new("removed") else {
        return;
    };
    let cgroup = Cgroup::find(&Host::this(), doomed.pid()).unwrap();
    let mut notifications = Notifications::register(&Host::this(), Some(&cgroup), &cgroup.bounds(0));
    doomed.shell.kill().unwrap();
    doomed.shell.wait().unwrap();
    assert!(wait_until(&mut notifications, |_, _| fs::remove_dir(
        &cgroup.leaf().folder
    )
    .is_ok()));
    if cgroup.version == Version::V1 {
        assert!(
            wait_until(&mut notifications, |_, has_come| has_come),
            "the kernel notifies of it"
        );
    }
    assert!(!notifications.out_of_memory());
}

#[test]
fn where_nothing_can_be_registered_we_look_all_the_more_often() {
    for fixture in ["v1/before", "v2/before"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture);
        let host = Host::at(&root);
        let cgroup = Cgroup::find(&host, Pid::from_raw(7)).unwrap();
        let bounds = cgroup.bounds(0);
        let mut notifications = Notifications::register(&host, Some(&cgroup), &bounds);
        notifications.add_late();
        assert!(notifications.notes().len() >= 2, "{:?}", notifications.notes());
        assert_eq!(notifications.pause(&bounds), bounds[0].pause());
        assert!(bounds[0].pause() < LONGEST_PAUSE);
        assert!(!notifications.out_of_memory());
    }
}
