//! Finds the files of a process's memory cgroup. /proc/PID/cgroup names the cgroup and mountinfo says where it is mounted; in a container
//! the two may disagree.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::Pid;

use super::{Cgroup, Level, Version};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{number, text};

/// A machine with many containers has thousands of mounts, so only one line is in memory at a time.
const LINE_BUFFER: usize = 1024;

/// More than /proc/PID/cgroup has: a line for each controller, each with a path.
const MEMBERSHIP_BYTES: usize = 64 << 10;

pub(super) fn find(host: &Host, pid: Pid) -> Option<Cgroup> {
    let (version, mount, leaf) = locate(host, pid, "memory")?;
    let levels = mount.levels(version, &leaf);
    let is_own = levels.first()?.folder == leaf;
    Some(Cgroup {
        version,
        levels,
        is_own,
        is_whole: mount.is_whole(version),
    })
}

/// The folder of a process's cgroup and those of its ancestors, in the hierarchy that has `controller`.
pub(super) fn folders(host: &Host, pid: Pid, controller: &str) -> Vec<PathBuf> {
    let Some((_, mount, leaf)) = locate(host, pid, controller) else {
        return Vec::new();
    };
    let levels = leaf.ancestors().take_while(|folder| folder.starts_with(&mount.point));
    levels.map(Path::to_owned).collect()
}

fn locate(host: &Host, pid: Pid, controller: &str) -> Option<(Version, Mount, PathBuf)> {
    let membership = text(&host.of_process(pid, "cgroup"), MEMBERSHIP_BYTES)?;
    // If both versions are mounted, a controller belongs to version 1 if that has a line for it.
    let (version, name) = match named(&membership, controller) {
        Some(name) => (Version::V1, name),
        None => (Version::V2, named(&membership, "")?),
    };
    let mounts = mounts(host, version, controller);
    let name = Path::new(name.strip_suffix(" (deleted)").unwrap_or(name));
    // If a part of the tree is mounted twice, the mount that shows the most ancestors is used.
    let shown = mounts
        .iter()
        .enumerate()
        .filter_map(|(index, mount)| Some((index, mount.folder_of(name)?)));
    let shown = shown.min_by_key(|(index, _)| mounts[*index].root.components().count());
    // The path may be that of the host, or `/`, while a mount shows the container's own cgroup as its root. A mount of the hierarchy's
    // root does not, and then the right cgroup is not known.
    let private = || mounts.iter().position(|mount| !mount.is_whole(version));
    let (index, leaf) = shown.or_else(|| private().map(|index| (index, mounts[index].point.clone())))?;
    Some((version, mounts.into_iter().nth(index)?, leaf))
}

/// The path in the line of a controller; version 2 has the line without controllers.
fn named<'a>(membership: &'a str, controller: &str) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let mut controllers = fields.next()?.split(',');
        let path = fields.next()?;
        controllers.any(|name| name == controller).then_some(path)
    })
}

/// A mounted part of the hierarchy.
#[derive(Debug)]
struct Mount {
    /// The cgroup at the top of the mount.
    root: PathBuf,
    /// Where it is mounted.
    point: PathBuf,
}

/// The mounts of a controller in a version, as this process sees them, because this process opens the files.
fn mounts(host: &Host, version: Version, controller: &str) -> Vec<Mount> {
    let Ok(file) = File::open(host.file("/proc/self/mountinfo")) else {
        return Vec::new();
    };
    let lines = BufReader::with_capacity(LINE_BUFFER, file).split(b'\n');
    let mut mounts: Vec<Mount> = Vec::new();
    for line in lines.map_while(Result::ok) {
        if let Some((shows, point)) = parse(&line, version, controller) {
            let point = host.file(&point);
            // A later mount hides an earlier one in the same place.
            mounts.retain(|mount| mount.point != point);
            mounts.push(Mount { root: shows, point });
        }
    }
    mounts.retain(|mount| mount.point.is_dir());
    mounts
}

/// Whether version 2 is mounted with the option by which it counts pages of hugetlbfs.
pub(super) fn counts_hugetlb(host: &Host) -> bool {
    let Ok(file) = File::open(host.file("/proc/self/mountinfo")) else {
        return false;
    };
    let lines = BufReader::with_capacity(LINE_BUFFER, file).split(b'\n');
    let mut lines = lines.map_while(Result::ok);
    lines.any(|line| {
        let mut options = line
            .rsplit(|byte| *byte == b' ')
            .next()
            .unwrap_or_default()
            .split(|byte| *byte == b',');
        parse(&line, Version::V2, "memory").is_some() && options.any(|option| option == b"memory_hugetlb_accounting")
    })
}

/// A line of mountinfo (man 5 proc): `id parent major:minor root point options [optional]… - type source options`.
fn parse(line: &[u8], version: Version, controller: &str) -> Option<(PathBuf, PathBuf)> {
    let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let options = fields.get(dash + 3)?;
    let has_it = match version {
        Version::V1 => {
            let mut names = options.split(|byte| *byte == b',');
            fields[dash + 1] == b"cgroup" && names.any(|name| name == controller.as_bytes())
        }
        Version::V2 => fields[dash + 1] == b"cgroup2",
    };
    (has_it && dash >= 6).then(|| (unescaped(fields[3]), unescaped(fields[4])))
}

/// Spaces, tabs, line feeds and backslashes are written as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *byte == b'\\');
        let octal = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*byte));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    OsStr::from_bytes(&bytes).into()
}

impl Mount {
    /// The folder of a cgroup in this mount, if it is visible there. A path with `..` is not.
    fn folder_of(&self, name: &Path) -> Option<PathBuf> {
        let below = name.strip_prefix(&self.root).ok()?;
        let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        let folder = self.point.join(below);
        (is_plain && folder.is_dir()).then_some(folder)
    }

    /// The cgroups from `leaf` up to the top of this mount that count memory.
    fn levels(&self, version: Version, leaf: &Path) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        for folder in leaf.ancestors().take_while(|folder| folder.starts_with(&self.point)) {
            let counts = match version {
                Version::V1 => folder.join("memory.usage_in_bytes").exists(),
                Version::V2 => folder.join("memory.current").exists(),
            };
            // Before Linux 5.11 the limit of a cgroup of version 1 did not have to apply to those below it.
            let is_apart = !levels.is_empty() && number(&folder.join("memory.use_hierarchy")) == Some(0);
            if is_apart {
                break;
            }
            if counts {
                let below = folder.strip_prefix(&self.point).unwrap_or(Path::new(""));
                levels.push(Level {
                    version,
                    folder: folder.to_owned(),
                    name: self.root.join(below).to_string_lossy().trim_end_matches('/').to_owned(),
                });
            }
        }
        for level in levels.iter_mut().filter(|level| level.name.is_empty()) {
            level.name.push('/');
        }
        levels
    }

    /// Whether the top of the mount is the root of the hierarchy: some files exist only there, others everywhere else.
    fn is_whole(&self, version: Version) -> bool {
        match version {
            Version::V1 => self.point.join("release_agent").exists(),
            Version::V2 => !self.point.join("cgroup.type").exists(),
        }
    }
}
