//! Measurements of a process's memory from /proc, in the file `<recording>.measured` beside its recording. A recording knows how much
//! memory was requested, a measurement how much of it was resident.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod up_to_date;

pub(crate) use up_to_date::Large;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::kinds::ByKind;
use super::moment::Moment;
use crate::bounded::{self, LISTED, SITES};
use crate::error::Error;
use crate::folder::Place;
use crate::outcome::Other;
use crate::save::save;
use crate::units;

/// A line for each call site that holds blocks, three times.
const MOST_BYTES: u64 = 128 << 20;
/// A measurement counts as one of the peak if at least this many percent of the peak were held at its time, and no more than the rest had
/// been freed since the peak.
const SAME_PERCENT: u64 = 90;

/// What has been measured of one process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurements {
    /// Version of this file's format: 1.
    pub format: u32,
    /// The last measurement.
    pub latest: Option<Measured>,
    /// The measurement with the most resident memory.
    pub highest: Option<Measured>,
    /// The measurement at a failed allocation, taken before the program continued.
    pub failed: Option<Measured>,
    /// Its forks that have no recording of their own, when they had copied the most.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub forks: Vec<Fork>,
    /// The most that was ever resident, as the kernel has told when the process had ended; 0 if it has not.
    pub most_resident: u64,
}

/// A fork of a process that has no recording of its own, since it holds next to nothing but what it has inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fork {
    /// Process id.
    pub pid: u32,
    /// Pages that it has written to, and shares with nobody: copies of what it has inherited.
    pub copied_bytes: u64,
}

/// What was measured at one time. All sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// `near the limit`, and so on.
    pub occasion: String,
    /// Failed allocations that began a moment of their own, until then.
    pub oom_epoch: u32,
    /// What the recording said was held then, without what is written to mappings of files.
    pub live_bytes: u64,
    /// The same by kind.
    pub kinds: ByKind,
    /// What the preload uses for its tables, and holds in reserve.
    pub own_bytes: u64,
    /// The stash.
    pub stash_bytes: u64,
    /// Whether it is a fork of another process of the job, with which it may share pages.
    pub is_fork: bool,
    /// By what is mapped.
    pub areas: BTreeMap<Area, Extent>,
    /// Files of libraries that have an allocator, without their folders.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub allocators: Vec<String>,
    /// The process's page tables.
    pub page_tables: u64,
    /// The blocks that the recording keeps one by one, by kind as in [`recording::Kind`].
    #[serde(deserialize_with = "bounded::map::<_, _, _, LISTED>")]
    pub blocks: BTreeMap<u32, Pages>,
    /// The same for each site that has any.
    #[serde(deserialize_with = "bounded::list::<_, _, SITES>")]
    pub sites: Vec<SitePages>,
    /// The cgroup, where there is one with a limit.
    pub cgroup: Option<Charged>,
    /// Who else was in it.
    #[serde(deserialize_with = "bounded::list::<_, _, LISTED>")]
    pub others: Vec<Other>,
    /// What it has inherited, if it is a fork; see [`Facts::inherited_bytes`]. Bundles have fields by their places, so what is new comes last.
    pub inherited_bytes: u64,
    /// Of what was held at the peak until then, so much had been freed.
    pub gone_bytes: u64,
    /// The most that had been resident until then, by the kernel's count.
    pub high_water: u64,
    /// Bytes in `areas`, `blocks` and `sites` that became resident after the measurement, as the kernel's count at the end says.
    pub added: u64,
    /// For each site that has private mappings of files: `resident` is what the program has written of them.
    #[serde(deserialize_with = "bounded::list::<_, _, SITES>")]
    pub written: Vec<SitePages>,
    /// Much became resident after the measurement, and in which blocks is not known.
    pub is_doubtful: bool,
}

/// What part of a process's address space is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The heaps of the C library's allocator.
    Heap,
    /// Anonymous memory of any other use.
    Anonymous,
    /// Stacks.
    Stacks,
    /// Programs and libraries, with their variables.
    Libraries,
    /// Other files of a disk: page cache, and what was changed of private ones.
    Files,
    /// Shared memory.
    Shared,
    /// fil-profile's library and recording.
    Own,
    /// Address space that cannot be touched.
    Reserved,
    /// Of a later version.
    #[serde(other)]
    Other,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extent {
    /// Of address space.
    pub size: u64,
    /// In memory.
    pub resident: u64,
    /// In memory, with what several processes have divided among them.
    pub proportional: u64,
    /// Of `resident`, what other processes have mapped, too.
    pub shared: u64,
    /// Of `resident`, what no file stands behind.
    pub anonymous: u64,
    /// In swap.
    pub swapped: u64,
    /// Of `resident`, in huge pages.
    pub huge: u64,
    /// Of `resident`, what the program has given up by `MADV_FREE` and the kernel has not yet taken.
    pub lazy: u64,
    /// Not in `resident`: pages of hugetlbfs, where the cgroup's limit does not count them.
    pub uncounted: u64,
}

/// Pages of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pages {
    /// What was asked for.
    pub bytes: u64,
    /// In memory, and no more of a block than was asked for.
    pub resident: u64,
    /// In swap.
    pub swapped: u64,
    /// Of `resident`, of a file or shared memory.
    pub shared: u64,
    /// Of `resident`, in huge pages.
    pub huge: u64,
    /// One standard deviation of `resident`, where only a part of the pages was looked at.
    pub error: u64,
}

/// Those of one site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SitePages {
    /// Its place in the recording.
    pub site: u32,
    /// Of all its large blocks.
    pub pages: Pages,
    /// Not as much of it was resident at another look.
    pub is_growing: bool,
    /// Of private mappings of files, what of `resident` the process has seen itself, which is in its sums, or is not mapped any more.
    pub seen: u64,
}

/// What is charged to a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charged {
    /// As the kernel names it.
    pub path: String,
    /// All of it.
    pub usage: u64,
    /// Page cache that the kernel can take back.
    pub cache: u64,
    /// Shared memory, mapped or not.
    pub shared: u64,
    /// What the kernel has for its own use, page tables and all.
    pub kernel: u64,
    /// What all processes of the cgroup have that no file stands behind.
    pub anonymous: u64,
    /// The limit; 0 if it is on memory and swap together.
    pub limit: u64,
}

impl Measured {
    /// One kind of area; nothing where there is none.
    pub fn area(&self, area: Area) -> Extent {
        self.areas.get(&area).copied().unwrap_or_default()
    }

    /// The resident bytes of all areas.
    pub fn resident(&self) -> u64 {
        units::sum(self.areas.values().map(|extent| extent.resident))
    }

    /// The bytes of all areas that are in swap.
    pub fn swapped(&self) -> u64 {
        units::sum(self.areas.values().map(|extent| extent.swapped))
    }

    /// Blocks of one kind.
    pub fn blocks(&self, kind: recording::Kind) -> Pages {
        self.blocks.get(&(kind as u32)).copied().unwrap_or_default()
    }

    /// What was held then, with what was written to mappings of files.
    pub(super) fn held(&self) -> u64 {
        let written = self.blocks(recording::Kind::PrivateFile).resident;
        self.live_bytes.saturating_add(written)
    }

    /// What of that was in memory.
    pub(super) fn present(&self) -> u64 {
        let counted = recording::Kind::ALL.into_iter().filter(|kind| kind.is_counted());
        let untouched = units::sum(counted.map(|kind| self.untouched(kind)));
        self.held().saturating_sub(untouched)
    }

    /// Whether what was held then is what was held at the peak. A program that fills a block, frees it and begins again holds as much at
    /// any time, but never the same. To the recorded peak comes what was `written` to mappings of files.
    fn is_of_peak(&self, facts: &Facts, written: u64) -> bool {
        let most = facts.peak_present().saturating_add(written) / 100;
        let held = self.held();
        let is_before = self.time_ns < facts.peak_time_ns;
        held >= most * SAME_PERCENT && (is_before || self.gone_bytes <= most * (100 - SAME_PERCENT))
    }

    /// Notes which sites were being filled: not as much of them was resident at an `other` look.
    pub fn compare(&mut self, other: &Measured) {
        for (now, then) in [(&mut self.sites, &other.sites), (&mut self.written, &other.written)] {
            let then: BTreeMap<u32, u64> = then.iter().map(|site| (site.site, site.pages.resident)).collect();
            for site in now {
                let before = then.get(&site.site).copied().unwrap_or(0);
                site.is_growing |= site.pages.resident != before;
            }
        }
    }

    /// The bytes of a kind's blocks that were requested and are not resident.
    pub fn untouched(&self, kind: recording::Kind) -> u64 {
        let pages = self.blocks(kind);
        pages.bytes.saturating_sub(pages.resident)
    }
}

impl Measurements {
    /// What has been measured of the process of a recording; empty where nothing has been.
    pub fn load(recording: &Place) -> Measurements {
        let name = path(recording);
        let name = name.file_name().unwrap_or_default();
        let read = recording.reach().and_then(|folder| folder.read(name, MOST_BYTES));
        let text = read.unwrap_or_default();
        Measurements::parse(&text)
    }

    /// What the text of a `.measured` says; empty where it is not understood. Of n bytes it takes at most 20 n + 32 MiB of memory.
    pub fn parse(text: &[u8]) -> Measurements {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// Those that there are.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Measured> {
        [&self.latest, &self.highest, &self.failed].into_iter().flatten()
    }

    /// The same, to be changed.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Measured> {
        [&mut self.latest, &mut self.highest, &mut self.failed]
            .into_iter()
            .flatten()
    }

    /// How many rows all its lists have.
    pub(crate) fn rows(&self) -> usize {
        self.all()
            .map(|measured| {
                measured.sites.len()
                    + measured.written.len()
                    + measured.others.len()
                    + measured.allocators.len()
                    + measured.blocks.len()
            })
            .sum::<usize>()
            + self.forks.len()
    }

    /// Adds what was measured of the forks.
    pub fn add_forks(&mut self, forks: Vec<Fork>) {
        let copied = |forks: &[Fork]| units::sum(forks.iter().map(|fork| fork.copied_bytes));
        if copied(&forks) > copied(&self.forks) {
            self.forks = forks;
        }
    }

    /// Puts it beside the recording.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&self, recording: &Place) -> Result<(), Error> {
        let path = path(recording);
        let text = serde_json::to_vec(self).map_err(|reason| Error::json(&path, reason))?;
        let folder = recording.reach().map_err(|reason| Error::write(&path, reason))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        save(folder, &name, |out| out.write_all(&text)).map(drop)
    }

    /// Renumbers the sites; those without a new number are dropped.
    pub(crate) fn move_sites(&mut self, place: impl Fn(u32) -> Option<u32>) {
        for measured in [&mut self.latest, &mut self.highest, &mut self.failed]
            .into_iter()
            .flatten()
        {
            for sites in [&mut measured.sites, &mut measured.written] {
                let moved = sites.drain(..).filter_map(|site| {
                    Some(SitePages {
                        site: place(site.site)?,
                        ..site
                    })
                });
                *sites = moved.collect();
            }
        }
    }

    /// Adds a measurement as the latest, and as the highest or that of a failed allocation where it is one.
    pub fn add(&mut self, measured: Measured, has_failed: bool) {
        self.format = 1;
        // While a program frees what it held, its allocator may keep it: the one with more of the program's own is the highest then.
        let is_highest = |highest: &Measured| {
            let (was, is) = (highest.resident(), measured.resident());
            let slack = was / 64;
            is > was + slack || is + slack >= was && measured.live_bytes >= highest.live_bytes
        };
        if self.highest.as_ref().is_none_or(is_highest) {
            self.highest = Some(measured.clone());
        }
        if has_failed {
            self.failed = Some(measured.clone());
        }
        self.latest = Some(measured);
    }

    /// Nothing is said of single blocks by any of them.
    pub(super) fn doubt(&mut self) {
        let all = [&mut self.latest, &mut self.highest].into_iter().flatten();
        all.for_each(|measured| measured.is_doubtful = true);
    }

    /// The measurement that is nearest to a moment; none if none is near enough.
    pub fn at(&self, moment: Moment, facts: &Facts) -> Option<&Measured> {
        match moment {
            Moment::Live => self.all().max_by_key(|measured| measured.time_ns),
            Moment::OutOfMemory => {
                let of_moment = |measured: &&&Measured| measured.oom_epoch == facts.kinds.oom_epoch;
                self.failed.iter().find(|measured| of_moment(&measured))
            }
            Moment::Peak => {
                let written = |measured: &Measured| measured.blocks(recording::Kind::PrivateFile).resident;
                // What the process has seen itself is in the recorded peak.
                let written = match facts.looked_resident_bytes {
                    0 => self.all().map(written).max().unwrap_or(0),
                    _ => 0,
                };
                self.all()
                    .filter(|measured| measured.is_of_peak(facts, written))
                    .max_by_key(|measured| (measured.resident(), measured.live_bytes))
            }
        }
    }
}

/// Removes what has been measured of the process of a recording.
///
/// # Errors
///
/// There is none, or it cannot be removed.
pub fn remove(recording: &Place) -> std::io::Result<()> {
    recording
        .reach()?
        .remove(path(recording).file_name().unwrap_or_default())
}

/// Where it is kept.
pub fn path(recording: &Path) -> PathBuf {
    recording.with_extension("measured")
}
