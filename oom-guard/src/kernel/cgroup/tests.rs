//! The readers, against real files in `tests/fixtures` and against the shapes that containers have.

use std::fs;

use std::path::Path;

use super::*;
use crate::kernel::headroom;

const MIB: u64 = 1 << 20;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn of_fixture(name: &str) -> Cgroup {
    Cgroup::find(&Host::at(&fixture(name)), Pid::from_raw(7)).unwrap()
}

fn names(cgroup: &Cgroup) -> Vec<&str> {
    cgroup.levels.iter().map(|level| level.name.as_str()).collect()
}

#[test]
fn every_ancestor_is_found_in_either_version() {
    let first = of_fixture("v1/before");
    assert_eq!((first.version, first.is_whole, first.is_own), (Version::V1, true, true));
    assert_eq!(names(&first), ["/batch/step", "/batch", "/"]);
    assert!(first.leaf().folder.ends_with("sys/fs/cgroup/memory/batch/step"));

    // The root of version 2 counts no memory.
    let second = of_fixture("v2/before");
    assert_eq!(
        (second.version, second.is_whole, second.is_own),
        (Version::V2, true, true)
    );
    assert_eq!(names(&second), ["/job/step", "/job"]);
}

#[test]
fn only_what_has_a_limit_is_a_bound() {
    for (name, kind, path) in [
        ("v1/after", LimitKind::CgroupV1, "/batch"),
        ("v2/after", LimitKind::CgroupV2, "/job"),
    ] {
        let bounds = of_fixture(name).bounds(0);
        let [bound] = &bounds[..] else { panic!("{bounds:?}") };
        assert_eq!((bound.kind, bound.path.as_str(), bound.bytes), (kind, path, 50 * MIB));
        assert!(bound.used < MIB, "{bound:?}");
    }
}

#[test]
fn a_cgroup_full_of_page_cache_has_room() {
    let cgroup = of_fixture("v1/cached");
    let charge = cgroup.levels[1].charge();
    assert!(charge.usage > 48 * MIB && charge.reclaimable > 47 * MIB, "{charge:?}");
    let bound = headroom::tightest(cgroup.bounds(0)).unwrap();
    assert!(bound.used < 2 * MIB && !bound.is_near(0), "{bound:?}");
}

#[test]
fn a_kill_is_counted_where_the_victim_was_and_the_shortage_where_the_limit_is() {
    let counters = |name| {
        let levels = of_fixture(name).levels;
        [0, 1].map(|index: usize| levels[index].counters().unwrap())
    };
    let ([step, batch], [step_before, batch_before]) = (counters("v1/after"), counters("v1/cached"));
    assert_eq!((step.kills, batch.kills), (Some(1), Some(0)));
    assert_eq!((step_before.kills, batch.peak), (Some(0), Some(50 * MIB)));
    assert_eq!((step.met, batch.ooms, batch.swap_met), (Some(0), None, Some(0)));
    assert!(batch.met > batch_before.met);

    let [step, job] = counters("v2/after");
    assert_eq!((step.kills, step.kills_below, step.ooms), (Some(1), Some(1), Some(0)));
    assert_eq!((job.kills, job.kills_below, job.ooms), (Some(0), Some(1), Some(1)));
    assert_eq!((job.peak, job.met, job.throttled), (Some(50 * MIB), Some(35), Some(0)));
    assert_eq!(job.group_kills, Some(0));
    assert_eq!(counters("v2/before")[0].kills, Some(0));
}

/// A folder that looks like `/`.
struct Machine(tempfile::TempDir);

impl Machine {
    /// `mounts` are lines of mountinfo without what nobody reads: `root point type options`.
    fn new(membership: &str, mounts: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("proc/7/cgroup", membership);
        let line = |mount: &&str| {
            let (places, kind) = mount.rsplit_once(" - ").unwrap();
            format!("35 31 0:32 {places} rw,relatime shared:9 - {kind}\n")
        };
        machine.write("proc/self/mountinfo", &mounts.iter().map(line).collect::<String>());
        machine
    }

    fn write(&self, file: &str, content: &str) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A cgroup of version 1 or 2 in this folder with this limit.
    fn with(self, folder: &str, limit: &str) -> Self {
        self.write(&format!("{folder}/memory.usage_in_bytes"), "1000\n");
        self.write(&format!("{folder}/memory.limit_in_bytes"), limit);
        self.write(&format!("{folder}/memory.current"), "1000\n");
        self.write(&format!("{folder}/memory.max"), limit);
        self.write(&format!("{folder}/cgroup.type"), "domain\n");
        self
    }

    fn cgroup(&self) -> Option<Cgroup> {
        Cgroup::find(&Host::at(self.0.path()), Pid::from_raw(7))
    }

    fn found(&self) -> Vec<(String, String)> {
        let levels = self.cgroup().unwrap().levels.into_iter();
        let below = |folder: PathBuf| folder.strip_prefix(self.0.path()).unwrap().display().to_string();
        levels.map(|level| (level.name, below(level.folder))).collect()
    }
}

const V1: &str = "/ /sys/fs/cgroup/memory - cgroup cgroup rw,memory";
const V2: &str = "/ /sys/fs/cgroup - cgroup2 cgroup2 rw,nsdelegate";

fn pair(name: &str, folder: &str) -> (String, String) {
    (name.to_owned(), folder.to_owned())
}

#[test]
fn a_container_shows_its_own_cgroup_as_the_root() {
    // Docker with version 1: the host's path, and a mount that begins there.
    let mount = "/docker/abc /sys/fs/cgroup/memory - cgroup cgroup rw,memory";
    let top = "sys/fs/cgroup/memory";
    let machine = Machine::new("4:cpu,cpuacct:/x\n3:memory:/docker/abc\n", &[mount]).with(top, "100\n");
    assert_eq!(machine.found(), [pair("/docker/abc", top)]);
    assert!(!machine.cgroup().unwrap().is_whole);

    let machine = Machine::new("3:memory:/docker/abc/inner\n", &[mount]).with(top, "100\n");
    let inner = "sys/fs/cgroup/memory/inner";
    let machine = machine.with(inner, "50\n");
    assert_eq!(
        machine.found(),
        [pair("/docker/abc/inner", inner), pair("/docker/abc", top)]
    );

    // A namespace of its own, with version 2.
    let machine = Machine::new("0::/\n", &[V2]).with("sys/fs/cgroup", "100\n");
    assert_eq!(machine.found(), [pair("/", "sys/fs/cgroup")]);
    assert!(!machine.cgroup().unwrap().is_whole);
}

#[test]
fn pages_of_hugetlbfs_count_in_version_2_if_it_is_mounted_so() {
    let counts = |mounts: &[&str], membership: &str, folder: &str| {
        let machine = Machine::new(membership, mounts).with(folder, "100\n");
        machine
            .cgroup()
            .unwrap()
            .leaf()
            .counts_hugetlb(&Host::at(machine.0.path()))
    };
    let accounted = format!("{V2},memory_hugetlb_accounting");
    assert!(!counts(&[V2], "0::/\n", "sys/fs/cgroup"));
    assert!(counts(&[&accounted], "0::/\n", "sys/fs/cgroup"));
    assert!(!counts(&[V1, &accounted], "3:memory:/\n", "sys/fs/cgroup/memory"));
}

#[test]
fn where_the_path_leads_nowhere_the_root_of_the_mount_counts() {
    for (membership, mount, top) in [
        ("3:memory:/kubepods/pod1/abc\n", V1, "sys/fs/cgroup/memory"),
        (
            "3:memory:/docker/abc\n",
            "/docker/other /sys/fs/cgroup/memory - cgroup x rw,memory",
            "sys/fs/cgroup/memory",
        ),
        ("0::/../../neighbour\n", V2, "sys/fs/cgroup"),
        ("0::/gone (deleted)\n", V2, "sys/fs/cgroup"),
    ] {
        let machine = Machine::new(membership, &[mount])
            .with(top, "100\n")
            .with("sys/neighbour", "1\n");
        let folders: Vec<_> = machine.found().into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(folders, [top], "{membership}");
    }
}

#[test]
fn where_the_path_leads_nowhere_on_the_whole_tree_nothing_is_known() {
    // A namespace of cgroups without a mount of its own: which folder is meant is not said.
    let machine = Machine::new(
        "3:memory:/\n",
        &["/../.. /sys/fs/cgroup/memory - cgroup cgroup rw,memory"],
    );
    let machine = machine.with("sys/fs/cgroup/memory", "100\n");
    assert!(machine.cgroup().is_some());
    machine.write("sys/fs/cgroup/memory/release_agent", "\n");
    assert_eq!(machine.cgroup(), None);
}

#[test]
fn the_version_that_has_the_memory_controller_is_taken() {
    let unified = "/ /sys/fs/cgroup/unified - cgroup2 cgroup2 rw";
    let places = ["sys/fs/cgroup/memory/a", "sys/fs/cgroup/unified/a"];
    for (membership, version) in [
        ("2:memory:/a\n0::/a\n", Version::V1),
        ("2:cpu:/a\n0::/a\n", Version::V2),
    ] {
        let machine = Machine::new(membership, &[V1, unified])
            .with(places[0], "1\n")
            .with(places[1], "1\n");
        assert_eq!(machine.cgroup().unwrap().version, version);
    }
    // Nobody counts memory.
    let machine = Machine::new("2:cpu:/a\n0::/a\n", &[unified]);
    machine.write("sys/fs/cgroup/unified/a/cgroup.procs", "7\n");
    assert_eq!(machine.cgroup(), None);
    assert_eq!(Machine::new("", &[V1]).cgroup(), None);
    assert_eq!(Machine::new("2:memory:/a\n", &[]).cgroup(), None);
}

#[test]
fn where_the_controller_is_off_the_next_cgroup_above_is_charged() {
    let machine = Machine::new("0::/job/step\n", &[V2]).with("sys/fs/cgroup/job", "100\n");
    machine.write("sys/fs/cgroup/job/step/cgroup.procs", "7\n");
    let cgroup = machine.cgroup().unwrap();
    assert_eq!((names(&cgroup), cgroup.is_own), (vec!["/job"], false));
}

#[test]
fn of_several_mounts_the_one_that_shows_most_is_taken() {
    let part = "/a /mnt/part\\040of\\040it - cgroup2 cgroup2 rw";
    let machine = Machine::new("0::/a/b\n", &[part, V2]).with("mnt/part of it/b", "1\n");
    assert_eq!(machine.found(), [pair("/a/b", "mnt/part of it/b")]);
    let machine = machine.with("sys/fs/cgroup/a/b", "1\n").with("sys/fs/cgroup/a", "1\n");
    assert_eq!(
        machine.found(),
        [pair("/a/b", "sys/fs/cgroup/a/b"), pair("/a", "sys/fs/cgroup/a")]
    );
}

#[test]
fn a_limit_that_cannot_be_seen_is_known_by_its_size() {
    let top = "sys/fs/cgroup/memory";
    let machine = Machine::new("3:memory:/\n", &[V1]).with(top, "9223372036854771712\n");
    machine.write(
        "sys/fs/cgroup/memory/memory.stat",
        "hierarchical_memory_limit 104857600\ntotal_active_file 400\n",
    );
    let bounds = machine.cgroup().unwrap().bounds(0);
    let [hidden] = &bounds[..] else { panic!("{bounds:?}") };
    assert_eq!(
        (hidden.path.as_str(), hidden.bytes, hidden.used),
        ("/..", 100 * MIB, 600)
    );
    // That of the cgroup itself is not hidden.
    let machine = machine.with(top, "104857600\n");
    assert_eq!(machine.cgroup().unwrap().bounds(0).len(), 1);
}

#[test]
fn an_ancestor_that_leaves_its_children_alone_does_not_count() {
    let (a, b) = ("sys/fs/cgroup/memory/a", "sys/fs/cgroup/memory/a/b");
    let machine = Machine::new("3:memory:/a/b\n", &[V1]).with(a, "1\n").with(b, "2\n");
    assert_eq!(machine.found().len(), 2);
    machine.write("sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n");
    assert_eq!(machine.found(), [pair("/a/b", b)]);
}

#[test]
fn swap_counts_as_far_as_every_level_allows_it() {
    let (a, b) = ("sys/fs/cgroup/a", "sys/fs/cgroup/a/b");
    let machine = Machine::new("0::/a/b\n", &[V2]).with(a, "5000\n").with(b, "max\n");
    machine.write("sys/fs/cgroup/a/memory.stat", "active_anon 600\ninactive_anon 300\n");
    let swappable = |free| machine.cgroup().unwrap().bounds(free)[0].swappable;
    assert_eq!((swappable(0), swappable(100), swappable(10_000)), (0, 100, 900));
    machine.write("sys/fs/cgroup/a/b/memory.swap.max", "70\n");
    machine.write("sys/fs/cgroup/a/b/memory.swap.current", "20\n");
    assert_eq!(swappable(10_000), 50);
    machine.write("sys/fs/cgroup/a/b/memory.swap.max", "max\n");
    assert_eq!(swappable(10_000), 900);
}
