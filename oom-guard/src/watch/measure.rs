//! Measures how much memory is resident: for each running process of the job, by area and for each large block, into a file beside its
//! recording.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::FileExt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dumper::Folder;
use dumper::folder::Place;
use dumper::measured::{Area, Charged, Fork, Measured, Measurements, Pages, SitePages};
use dumper::process::Process;
use dumper::profile::{Facts, State};
use dumper::recording::blocks::{self, Block};
use nix::unistd::Pid;
use recording::{Kind, protocol};

use crate::folder::names::parse_recording;
use crate::kernel::areas::Areas;
use crate::kernel::cgroup::{Cgroup, Level, Version};
use crate::kernel::host::Host;
use crate::kernel::kernel_file::{kibibytes, number, text, value};
use crate::kernel::page_bytes;
use crate::kernel::pagemap::Pagemap;
use crate::kernel::procfs;
use crate::watch::holders::Looks;
use crate::watch::limit_poller::deadly_bounds;

/// Processes that are measured, the largest first.
const MOST: usize = 20;
/// More than status, limits and memory.stat have.
const TEXT_BYTES: usize = 16 << 10;
/// A process is measured at most this often, until little changes during a measurement.
const LOOKS: usize = 3;
/// Little is at most this part of its memory.
const LITTLE: u64 = 50;
/// The kernel's counts of one process differ by less than one part in this many.
const ABOUT_THE_SAME: u64 = 64;
/// A thread's stack where the limit does not say (pthread_create(3)).
const USUAL_STACK: u64 = 2 << 20;

/// Why processes are measured, and what of them.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// In words.
    pub says: &'a str,
    /// The process in which an allocation has failed. It waits for the end of this, and no other is measured.
    pub failed: Option<u32>,
    /// Whether it is measured how much is in memory.
    pub pages: bool,
    /// Whether it is looked at which variables hold it.
    pub holders: bool,
}

/// Measures the processes that have recordings in a folder.
pub fn measure_processes(host: &Host, recordings: &Folder, occasion: Occasion) {
    let Occasion { says, failed, .. } = occasion;
    let mut newest: HashMap<i32, (u32, Place)> = HashMap::new();
    let mut recorded_pids = HashSet::new();
    for entry in recordings.entries().unwrap_or_default() {
        let path = Place::within(recordings, entry.name);
        let Some((pid, count)) = parse_recording(&path) else {
            continue;
        };
        recorded_pids.insert(pid);
        let is_wanted = failed.is_none_or(|failed| failed == pid.unsigned_abs());
        let is_newer = newest.get(&pid).is_none_or(|(known, _)| *known < count);
        if is_wanted && is_newer && procfs::is_running(host, pid) {
            newest.insert(pid, (count, path));
        }
    }
    let mut found: Vec<_> = newest
        .into_iter()
        .filter_map(|(pid, (_, path))| Some((pid, blocks::read(&path).ok()?, path)))
        .filter(|(_, (facts, _), _)| facts.state != State::Ended)
        .collect();
    found.sort_by_key(|(_, (facts, _), _)| std::cmp::Reverse(facts.live_bytes));
    let looks = occasion.holders.then(|| Looks::new(host, says, failed.is_some()));
    for (pid, recorded, path) in found.into_iter().take(MOST) {
        let epoch = recorded.0.kinds.oom_epoch;
        let pid = Pid::from_raw(pid);
        // A process whose allocation has failed waits, so nothing changes. Close to a limit, each measurement takes pages from the job.
        let measured = match failed.is_some() || is_short(host, pid) {
            _ if !occasion.pages => None,
            true => measure_with_change(host, pid, &recorded.0, &recorded.1, says).map(|(measured, _)| measured),
            false => steadiest(host, pid, recorded, &path, says),
        };
        if let Some(mut measured) = measured {
            let mut known = Measurements::load(&path);
            known.latest.iter().for_each(|earlier| measured.compare(earlier));
            known.add(measured, failed.is_some());
            if failed.is_none() {
                known.add_forks(forks(host, pid, |child| recorded_pids.contains(&child.as_raw())));
            }
            // A missing measurement does no harm.
            let _ = known.save(&path);
        }
        if let Some(looks) = &looks
            && let Ok((facts, blocks)) = blocks::read(&path)
        {
            looks.look(pid, &facts, &blocks, &path);
        }
        if failed.is_some() {
            answer(&path, epoch);
        }
    }
}

/// Notes the most that was resident of a process that was killed, as the kernel has told when the job had ended. That is the highest of the
/// job's processes: so it is no less than that of the only one that has not said that it ended. If it is that of another one, as of a child
/// with blocks of its own beside what it shares with its parent, then it is what the killed one said itself, or what its child had from it.
pub fn note_most_resident(processes: &[Process], most: u64) {
    let (ended, killed): (Vec<&Process>, Vec<&Process>) = processes
        .iter()
        .partition(|process| process.facts.state == State::Ended);
    let [process] = killed[..] else { return };
    let about = most - most / ABOUT_THE_SAME;
    let is_of_another = ended.iter().any(|other| other.facts.most_resident_bytes >= about);
    let is_fork = |other: &&&Process| other.facts.ppid == process.facts.pid && other.facts.inherited_bytes > 0;
    let from_it = ended.iter().filter(is_fork).map(|child| {
        let facts = &child.facts;
        facts
            .most_resident_bytes
            .saturating_sub(facts.peak_bytes - facts.peak_absent_bytes.min(facts.peak_bytes))
    });
    let most = match is_of_another {
        true => from_it.fold(process.facts.most_resident_bytes, u64::max),
        false => most,
    };
    if most == 0 || process.bundled.is_some() {
        return;
    }
    let known = Measurements {
        most_resident: most,
        ..Measurements::load(&process.path)
    };
    // A missing measurement does no harm.
    let _ = known.save(&process.path);
}

/// The forks of a process that have no recording of their own.
fn forks(host: &Host, pid: Pid, is_recorded: impl Fn(Pid) -> bool) -> Vec<Fork> {
    let forks = procfs::forks(host, pid).into_iter().filter(|fork| !is_recorded(*fork));
    let measured = forks.take(MOST).filter_map(|fork| {
        let sums = text(&host.of_process(fork, "smaps_rollup"), TEXT_BYTES)?;
        Some(Fork {
            pid: fork.as_raw().unsigned_abs(),
            copied_bytes: kibibytes(&sums, "Private_Dirty:")?,
        })
    });
    measured.collect()
}

/// Whether a limit that kills is close.
fn is_short(host: &Host, pid: Pid) -> bool {
    let bounds = deadly_bounds(host, Cgroup::find(host, pid).as_ref());
    bounds.iter().any(|bound| bound.is_near(0))
}

/// Ends the wait of the process whose allocation has failed.
fn answer(recording: &Place, epoch: u32) {
    let file = recording
        .reach()
        .and_then(|folder| folder.file_to_change(recording.name(), u64::MAX));
    let (at, bytes) = protocol::measured(epoch);
    let _ = file.and_then(|file| file.write_all_at(&bytes, at));
}

/// A process runs while it is measured, so its recording and its resident pages are of different times. Of a few measurements this returns
/// the one during which the least has changed.
fn steadiest(host: &Host, pid: Pid, recorded: (Facts, Vec<Block>), path: &Place, occasion: &str) -> Option<Measured> {
    let mut best: Option<(u64, Measured)> = None;
    let mut before = recorded;
    let mut last: Option<Measured> = None;
    for _ in 0..LOOKS {
        let Some((mut measured, [there, later])) = measure_with_change(host, pid, &before.0, &before.1, occasion)
        else {
            break;
        };
        let Ok(after) = blocks::read(path) else {
            return Some(best.map_or(measured, |(_, best)| best));
        };
        if let Some(last) = &last {
            measured.compare(last);
        }
        last = Some(measured.clone());
        let changed = there.abs_diff(later) + apart(&before.1, &after.1);
        before = after;
        let is_little = changed <= later / LITTLE;
        if best.as_ref().is_none_or(|(least, _)| changed < *least) {
            best = Some((changed, measured));
        }
        if is_little {
            break;
        }
    }
    let (_, mut best) = best?;
    last.iter().for_each(|last| best.compare(last));
    Some(best)
}

/// One measurement, with the resident bytes before and after it. None if the process has ended or is about to: the kernel frees the memory
/// of a killed process while the process still exists.
fn measure_with_change(
    host: &Host,
    pid: Pid,
    facts: &Facts,
    blocks: &[Block],
    occasion: &str,
) -> Option<(Measured, [u64; 2])> {
    let before = procfs::Usage::read(host, pid)?.resident;
    let mut measured = measure_process(host, pid, facts, blocks, occasion)?;
    let usage = procfs::Usage::read(host, pid)?;
    measured.high_water = usage.most_resident;
    let after = usage.resident;
    (after >= before / 2).then_some((measured, [before, after]))
}

/// Bytes of the blocks that are in one list alone.
fn apart(before: &[Block], after: &[Block]) -> u64 {
    let only = |these: &[Block], those: &[Block]| {
        let known: HashSet<(u64, u64)> = those.iter().map(|block| (block.address, block.bytes)).collect();
        let new = these
            .iter()
            .filter(|block| !known.contains(&(block.address, block.bytes)));
        new.map(|block| block.bytes).sum::<u64>()
    };
    only(before, after) + only(after, before)
}

fn measure_process(host: &Host, pid: Pid, facts: &Facts, blocks: &[Block], occasion: &str) -> Option<Measured> {
    let began = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let read = |name: &str| text(&host.of_process(pid, name), TEXT_BYTES);
    let status = read("status")?;
    let threads = value(&status, "Threads:").unwrap_or(1) as usize;
    let stack = read("limits")
        .and_then(|limits| procfs::soft_limit(&limits, "Max stack size"))
        .unwrap_or(USUAL_STACK);
    let level = Cgroup::find(host, pid).and_then(limited);
    let counts_hugetlb = level.as_ref().is_none_or(|level| level.counts_hugetlb(host));
    let mut areas = Areas::read(host, pid, threads, stack, counts_hugetlb)?;
    // Another process may have its number by now.
    areas.extents.get(&Area::Own)?;
    let asked = |block: &&Block| block.kind == Kind::PrivateFile || areas.pages(block.address, block.bytes).is_none();
    let bytes: u64 = blocks.iter().filter(asked).map(|block| block.bytes).sum();
    // What the process has seen itself of its own pages is in its sums.
    let written_before = blocks.iter().filter(|block| block.kind == Kind::PrivateFile);
    let written_before: u64 = written_before
        .map(|block| block.absent.map_or(0, |absent| block.bytes.saturating_sub(absent)))
        .sum();
    let mut pagemap = Pagemap::open(host, pid, bytes / page_bytes()).ok()?;
    move_pieces(&mut areas, &mut pagemap);
    let mut measured = Measured {
        time_ns: u64::try_from(now.as_nanos()).unwrap_or(0),
        occasion: occasion.to_owned(),
        oom_epoch: facts.kinds.oom_epoch,
        live_bytes: facts.live_bytes.saturating_sub(written_before),
        gone_bytes: facts.gone_bytes,
        kinds: *facts.kinds.at(dumper::Moment::Live),
        own_bytes: facts.own_bytes,
        stash_bytes: facts.stash_bytes,
        is_fork: facts.is_fork(),
        inherited_bytes: facts.inherited_bytes,
        areas: std::mem::take(&mut areas.extents),
        allocators: std::mem::take(&mut areas.allocators),
        page_tables: kibibytes(&status, "VmPTE:").unwrap_or(0),
        ..Measured::default()
    };
    let mut sites: BTreeMap<u32, Pages> = BTreeMap::new();
    let mut written: BTreeMap<u32, Pages> = BTreeMap::new();
    for block in blocks {
        // A block that has been freed by now has no pages.
        // Of a mapped file, only pagemap tells which pages are the process's own.
        let is_of_file = block.kind == Kind::PrivateFile;
        let known = areas.pages(block.address, block.bytes).filter(|_| !is_of_file);
        let Some(mut pages) = known.or_else(|| pagemap.measure(block.address, block.bytes).ok()) else {
            continue;
        };
        // The memory that an allocator has mapped belongs to its blocks.
        if block.kind.is_counted() {
            pages.resident = areas.claim(block.address, block.bytes, pages.resident);
        }
        if is_of_file {
            pages.resident = pages.resident.saturating_sub(std::mem::take(&mut pages.shared));
            add(written.entry(block.site).or_default(), &pages);
        }
        add(measured.blocks.entry(block.kind as u32).or_default(), &pages);
        if block.kind.is_counted() {
            add(sites.entry(block.site).or_default(), &pages);
        }
    }
    let of_sites = |sites: BTreeMap<u32, Pages>| {
        let sites = sites.into_iter();
        sites
            .map(|(site, pages)| SitePages {
                site,
                pages,
                ..SitePages::default()
            })
            .collect()
    };
    measured.sites = of_sites(sites);
    measured.written = of_sites(written);
    if let Some(level) = level {
        measured.others = procfs::others(host, &level.file("cgroup.procs"), &[pid]);
        measured.cgroup = Some(charged(&level));
    }
    measured.took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(0);
    Some(measured)
}

fn add(sum: &mut Pages, pages: &Pages) {
    sum.bytes += pages.bytes;
    sum.resident += pages.resident;
    sum.swapped += pages.swapped;
    sum.shared += pages.shared;
    sum.huge += pages.huge;
    // Independent of each other. `hypot` would ask for glibc 2.35.
    sum.error = ((sum.error as f64).powi(2) + (pages.error as f64).powi(2)).sqrt() as u64;
}

/// Moves stacks and variables to their own areas if they share a mapping with anonymous memory, as which they have been counted.
fn move_pieces(areas: &mut Areas, pagemap: &mut Pagemap) {
    for (area, start, bytes) in std::mem::take(&mut areas.pieces) {
        let Ok(pages) = pagemap.measure(start, bytes) else {
            continue;
        };
        let anonymous = areas.extents.entry(Area::Anonymous).or_default();
        let resident = pages.resident.min(anonymous.resident);
        let size = bytes.min(anonymous.size);
        anonymous.resident -= resident;
        anonymous.proportional = anonymous.proportional.saturating_sub(resident);
        anonymous.anonymous = anonymous.anonymous.saturating_sub(resident);
        anonymous.size -= size;
        let extent = areas.extents.entry(area).or_default();
        extent.resident += resident;
        extent.proportional += resident;
        extent.anonymous += resident;
        extent.size += size;
    }
}

/// The nearest cgroup that has a limit.
fn limited(cgroup: Cgroup) -> Option<Level> {
    let has_limit = |level: &Level| {
        let limits = level.limits();
        limits.memory.is_some() || limits.with_swap.is_some()
    };
    cgroup.levels.into_iter().find(has_limit)
}

fn charged(level: &Level) -> Charged {
    let stat = text(&level.file("memory.stat"), TEXT_BYTES).unwrap_or_default();
    let of = |key: &str| value(&stat, key);
    let sum = |keys: &[&str]| keys.iter().filter_map(|key| of(key)).sum::<u64>();
    let usage = level.charge().usage;
    let path = level.name.clone();
    let limit = level.limits().memory.unwrap_or(0);
    match level.version {
        Version::V2 => {
            let shared = sum(&["shmem"]);
            Charged {
                path,
                usage,
                limit,
                cache: sum(&["file"]).saturating_sub(shared),
                shared,
                // In one number from Linux 5.18 on.
                kernel: of("kernel").unwrap_or_else(|| sum(&["slab", "kernel_stack", "pagetables", "percpu", "sock"])),
                anonymous: sum(&["anon"]),
            }
        }
        Version::V1 => {
            let shared = sum(&["total_shmem"]);
            Charged {
                path,
                usage,
                limit,
                cache: sum(&["total_cache"]).saturating_sub(shared),
                shared,
                kernel: number(&level.file("memory.kmem.usage_in_bytes")).unwrap_or(0),
                anonymous: sum(&["total_rss"]),
            }
        }
    }
}
