//! Alarms of real cgroups, where this process may make one, and of files that are none.

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

/// Waits until `holds`, and answers what rings meanwhile; false after half a minute.
fn wait_until(alarms: &mut Alarms, mut holds: impl FnMut(&Alarms, bool) -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let mut sources = Sources::new();
        alarms.add_to(&mut sources, |alarm| alarm);
        let rung = sources.wait(Duration::from_millis(10)).unwrap();
        rung.iter().for_each(|alarm| alarms.answer(*alarm));
        if holds(alarms, !rung.is_empty()) {
            return true;
        }
    }
    false
}

/// How many alarms are listened to.
fn count(alarms: &Alarms) -> usize {
    let heard = std::cell::Cell::new(0);
    alarms.add_to(&mut Sources::new(), |_| heard.set(heard.get() + 1));
    heard.get()
}

#[test]
fn a_cgroup_that_runs_out_rings_and_then_rests() {
    let Some(mut doomed) = Doomed::new("rings") else { return };
    let cgroup = Cgroup::find(&Host::this(), doomed.pid()).unwrap();
    assert_eq!(cgroup.leaf().folder, doomed.folder.join("step"));
    let bounds = cgroup.bounds(0);
    let bound = bounds.iter().find(|bound| bound.bytes == LIMIT).unwrap();
    let mut alarms = Alarms::set(&Host::this(), Some(&cgroup), &bounds);
    alarms.add_late();
    let of_cgroup = |note: &&String| note.contains("filprofile-test") && !note.contains("memory.pressure");
    assert_eq!(alarms.notes().iter().find(of_cgroup), None);
    match cgroup.version {
        // The kernel will tell in time.
        Version::V1 => assert_eq!(alarms.pause(std::slice::from_ref(bound)), LONGEST_PAUSE),
        Version::V2 => assert_eq!(alarms.pause(std::slice::from_ref(bound)), bound.pause()),
    }
    assert!(!alarms.out_of_memory());

    doomed.grow();
    assert!(wait_until(&mut alarms, |_, has_rung| has_rung), "it never rang");
    assert!(alarms.is_resting(), "it does not rest");
    // That of want of memory alone is heard always.
    let heard = usize::from(cgroup.version == Version::V1);
    assert_eq!(count(&alarms), heard);
    assert!(alarms.pause(&[]) <= REST);
    assert_eq!(doomed.shell.wait().unwrap().signal(), Some(9));
    assert!(
        wait_until(&mut alarms, |alarms, _| count(alarms) > heard),
        "it never ceases to rest"
    );
    let must = match cgroup.version {
        Version::V1 => vec![
            doomed.folder.join("memory.usage_in_bytes"),
            doomed.folder.join("step/memory.oom_control"),
        ],
        Version::V2 => vec![doomed.folder.join("memory.events")],
    };
    let has_rung = |alarms: &Alarms, file: &Path| alarms.rings().iter().any(|rings| rings.file == file);
    for file in &must {
        let rung = wait_until(&mut alarms, |alarms, _| has_rung(alarms, file));
        assert!(rung, "{} has not rung: {:?}", file.display(), alarms.rings());
    }
    assert_eq!(alarms.out_of_memory(), cgroup.version == Version::V1);
}

#[test]
fn a_removed_cgroup_has_not_run_out() {
    let Some(mut doomed) = Doomed::new("removed") else {
        return;
    };
    let cgroup = Cgroup::find(&Host::this(), doomed.pid()).unwrap();
    let mut alarms = Alarms::set(&Host::this(), Some(&cgroup), &cgroup.bounds(0));
    doomed.shell.kill().unwrap();
    doomed.shell.wait().unwrap();
    assert!(wait_until(&mut alarms, |_, _| fs::remove_dir(&cgroup.leaf().folder).is_ok()));
    if cgroup.version == Version::V1 {
        assert!(
            wait_until(&mut alarms, |_, has_rung| has_rung),
            "the kernel rings for it"
        );
    }
    assert!(!alarms.out_of_memory());
}

#[test]
fn where_no_alarm_can_be_set_we_look_all_the_more_often() {
    for fixture in ["v1/before", "v2/before"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(fixture);
        let host = Host::at(&root);
        let cgroup = Cgroup::find(&host, Pid::from_raw(7)).unwrap();
        let bounds = cgroup.bounds(0);
        let mut alarms = Alarms::set(&host, Some(&cgroup), &bounds);
        alarms.add_late();
        assert!(alarms.notes().len() >= 2, "{:?}", alarms.notes());
        assert_eq!(alarms.pause(&bounds), bounds[0].pause());
        assert!(bounds[0].pause() < LONGEST_PAUSE);
        assert!(!alarms.out_of_memory());
    }
}
