//! A process goes on after it was last measured: blocks that were being filled are full, and there are new ones. What its recording and
//! the kernel say at the end brings that measurement up to date.

use std::collections::BTreeMap;

use recording::Kind;

use super::super::facts::{Facts, State};
use super::{Area, Measured, Measurements, Pages, SitePages};
use crate::units::{self, part};

/// Less than this is no news: the kernel's own counts of one process differ by as much.
const LEAST: u64 = 1 << 20;

/// If it is not known where more than this part of what is in memory is, then nothing is said of any block.
const DOUBTFUL: u64 = 4;

/// A large block that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Large {
    /// Its place among the sites.
    pub(crate) site: u32,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    /// So many of its bytes were not in memory when the process looked at it last; none if it has not.
    pub(crate) absent: Option<u64>,
    /// No large block has been allocated after it: most probably it was being filled at the end.
    pub(crate) is_newest: bool,
}

impl Large {
    fn place(&self) -> Place {
        (self.kind == Kind::PrivateFile, self.site)
    }
}

/// Whether it is of private mappings of files, and its place among the sites.
type Place = (bool, u32);

/// The large blocks of a site, or those that are new.
#[derive(Clone, Copy, Debug, Default)]
struct Alive {
    kind: Kind,
    bytes: u64,
    /// What is known to be in memory.
    present: u64,
    /// Of the newest block, what is not known to be there.
    newest: u64,
}

impl Measurements {
    /// Brings the last measurement up to date with what the recording says now, large blocks included.
    pub(crate) fn bring_up_to_date(&mut self, facts: &Facts, large: &[Large]) {
        let most = self.most_resident.max(facts.most_resident_bytes);
        // Of a process that was killed, the library has asked the kernel at some time before.
        let is_final = self.most_resident > 0 || facts.state == State::Ended;
        let Some(latest) = &mut self.latest else { return };
        let older = self.highest.as_mut().filter(|highest| highest.time_ns < latest.time_ns);
        let was_highest = older.is_none();
        if let Some(older) = older {
            older.end(facts, most.max(latest.high_water));
        }
        match facts.state {
            State::Ended => latest.end(facts, most),
            State::Running | State::Left => latest.continue_until_killed(facts, large, most, is_final),
        }
        if was_highest
            || self
                .highest
                .as_ref()
                .is_some_and(|highest| highest.resident() < latest.resident())
        {
            self.highest = Some(latest.clone());
        }
    }
}

impl Measured {
    /// The process has ended by itself, or this was before the last measurement of one that was killed. If the process has seen how much was
    /// in memory at the peak, so much was. Else, if more was resident later than ever until this measurement, and new blocks do not explain
    /// that, those that were measured have been filled.
    fn end(&mut self, facts: &Facts, most: u64) {
        let is_before = self.time_ns < facts.peak_time_ns;
        let filled = most.saturating_sub(self.resident());
        if facts.looked_resident_bytes > 0 {
            if is_before {
                self.fill(filled.min(facts.peak_present().saturating_sub(self.present())), true);
            }
            return;
        }
        let later = match is_before {
            true => facts.peak_bytes.saturating_sub(self.live_bytes),
            false => 0,
        };
        if most > self.high_water.saturating_add(LEAST) {
            self.fill(filled.saturating_sub(later), false);
        }
    }

    /// The process was killed. The recording still has its blocks: how much of the new ones was resident, only the kernel's count and the
    /// limit tell.
    fn continue_until_killed(&mut self, facts: &Facts, large: &[Large], most: u64, is_final: bool) {
        let has_shrunk = facts.live_bytes.saturating_sub(written(large)) < self.live_bytes;
        if facts.looked_resident_bytes > 0 && (has_shrunk || self.has_freed(large)) {
            // What the process has seen later says more.
            self.is_doubtful = true;
        }
        if has_shrunk || self.is_doubtful {
            return;
        }
        let before = self.resident();
        let is_higher = most > self.high_water.saturating_add(LEAST);
        let new = self.add_new(facts, large, most);
        let is_file = |new: &Alive| new.kind == Kind::PrivateFile;
        let sum = |part: &dyn Fn(&Alive) -> u64| units::sum(new.values().map(part));
        let absent = |new: &Alive| new.bytes.saturating_sub(new.present);
        let absent_of = |files: bool| move |new: &Alive| if is_file(new) == files { absent(new) } else { 0 };
        let known = sum(&|new| new.present);
        let unknown = sum(&absent_of(false));
        let with_new = self.resident().saturating_add(known).saturating_add(unknown);
        let now = match (is_higher, is_final) {
            (true, true) => most,
            (false, true) => most.min(with_new),
            (_, false) => most.max(with_new),
        };
        let now = now.max(self.resident().saturating_add(known)).min(self.most_allowed());
        let known = known.min(now.saturating_sub(self.resident()));
        self.fill_new(&new, |new| new.present, known);
        let added = now.saturating_sub(self.resident());
        let of_blocks = added.min(unknown);
        let newest = |new: &Alive| absent_of(false)(new).min(new.newest);
        let of_newest = of_blocks.min(sum(&newest));
        self.fill_new(&new, newest, of_newest);
        let of_others = |new: &Alive| absent_of(false)(new) - newest(new);
        self.fill_new(&new, of_others, of_blocks - of_newest);
        // Pages of a file that were only read are counted by the kernel as well.
        let left = added.saturating_sub(unknown);
        let of_files = left.min(sum(&absent_of(true)));
        self.fill_new(&new, absent_of(true), of_files);
        self.fill(left - of_files, false);
        self.added = self.resident().saturating_sub(before);
    }

    /// Whether large blocks that were measured have been freed.
    fn has_freed(&self, large: &[Large]) -> bool {
        let mut alive: BTreeMap<Place, u64> = BTreeMap::new();
        for block in large {
            let bytes = alive.entry(block.place()).or_default();
            *bytes = bytes.saturating_add(block.bytes);
        }
        let of_blocks = self.sites.iter().map(|known| (false, known));
        let of_files = self.written.iter().map(|known| (true, known));
        let mut all = of_blocks.chain(of_files);
        all.any(|(is_of_file, known)| {
            let alive = alive.get(&(is_of_file, known.site)).copied().unwrap_or(0);
            alive.saturating_add(LEAST) < known.pages.bytes
        })
    }

    /// What the limit allows. Pages of files may be charged to another cgroup.
    fn most_allowed(&self) -> u64 {
        let limit = self.cgroup.as_ref().map_or(0, |cgroup| cgroup.limit);
        let anonymous = units::sum(self.areas.values().map(|extent| extent.anonymous));
        match limit {
            0 => u64::MAX,
            limit => limit.saturating_add(self.resident().saturating_sub(anonymous)),
        }
    }

    /// Adds what has been allocated since. Small blocks are resident, and so is what the process has seen in memory of those that were
    /// measured; the new large ones are returned by site.
    fn add_new(&mut self, facts: &Facts, large: &[Large], most: u64) -> BTreeMap<Place, Alive> {
        let mut alive: BTreeMap<Place, Alive> = BTreeMap::new();
        for block in large.iter().filter(|block| block.kind.has_site()) {
            let of_site = alive.entry(block.place()).or_default();
            of_site.kind = block.kind;
            of_site.bytes = of_site.bytes.saturating_add(block.bytes);
            of_site.present = of_site
                .present
                .saturating_add(block.absent.map_or(0, |absent| block.bytes.saturating_sub(absent)));
            if block.is_newest {
                of_site.newest = block.absent.unwrap_or(block.bytes);
            }
        }
        // Pages of hugetlbfs are there, and not counted as resident.
        let mut left = most.max(self.high_water).saturating_sub(self.resident());
        let mut came: BTreeMap<Kind, u64> = BTreeMap::new();
        let of_blocks = self.sites.iter_mut().map(|known| (false, known));
        let of_files = self.written.iter_mut().map(|known| (true, known));
        for (is_of_file, known) in of_blocks.chain(of_files) {
            let Some(of_site) = alive.get_mut(&(is_of_file, known.site)) else {
                continue;
            };
            let pages = &mut known.pages;
            let seen = of_site.present.min(pages.bytes);
            let more = seen.saturating_sub(pages.resident).min(room(pages)).min(left);
            left -= more;
            pages.resident += more;
            *came.entry(of_site.kind).or_default() += more;
            of_site.bytes = of_site.bytes.saturating_sub(pages.bytes);
            of_site.present = of_site.present.saturating_sub(pages.bytes).min(of_site.bytes);
        }
        for (kind, more) in came {
            let pages = self.blocks.entry(kind as u32).or_default();
            pages.resident += more.min(room(pages));
            self.add_to_area(kind, more);
        }
        alive.retain(|_, of_site| of_site.bytes > 0);
        // A site may have large blocks of several kinds, so that what is new of a site says nothing of a kind.
        let kinds = facts.kinds.live;
        for kind in Kind::ALL {
            let now = large.iter().filter(|block| block.kind == kind).map(|block| block.bytes);
            let now = kinds.of(kind).occupied.saturating_sub(units::sum(now));
            let then = self.kinds.of(kind).occupied.saturating_sub(self.blocks(kind).bytes);
            self.add_to_area(kind, now.saturating_sub(then));
        }
        self.kinds = kinds;
        self.live_bytes = facts.live_bytes.saturating_sub(written(large));
        alive
    }

    /// So much of some part of the new blocks is resident.
    fn fill_new(&mut self, new: &BTreeMap<Place, Alive>, part_of: impl Fn(&Alive) -> u64, resident: u64) {
        let all = units::sum(new.values().map(&part_of));
        let are_several = new.values().filter(|new| part_of(new) > 0).count() > 1;
        for (place, of_site) in new.iter().filter(|(_, of_site)| part_of(of_site) > 0) {
            let bytes = part_of(of_site);
            let resident = part(bytes, resident, all);
            let pages = Pages {
                bytes,
                resident,
                // Which of several is full is not known.
                error: if are_several {
                    resident.min(bytes.saturating_sub(resident))
                } else {
                    0
                },
                ..Pages::default()
            };
            self.pages_of(*place).add(&pages);
            self.blocks.entry(of_site.kind as u32).or_default().add(&pages);
            self.add_to_area(of_site.kind, resident);
        }
    }

    /// So much more of the blocks that were measured is resident: of those first that were being filled. Where it is not known of which, and
    /// is not to be had otherwise, nothing is said.
    fn fill(&mut self, bytes: u64, is_known_otherwise: bool) {
        let mut left = bytes;
        let mut filled = [0, 0];
        for is_growing in [true, false] {
            if !is_growing && !is_known_otherwise && self.is_doubtful(left) {
                self.is_doubtful = true;
                break;
            }
            for (sum, sites) in filled.iter_mut().zip([&mut self.sites, &mut self.written]) {
                let added = fill_sites(sites, is_growing, left);
                *sum += added;
                left -= added;
            }
        }
        let [of_blocks, of_files] = filled;
        let files = Kind::PrivateFile as u32;
        let is_of_sites = |code: u32| code != files && Kind::from_code(code).is_counted();
        let empty = |(code, pages): (&u32, &Pages)| if is_of_sites(*code) { room(pages) } else { 0 };
        let all = units::sum(self.blocks.iter().map(empty));
        let mut by_kind = Vec::new();
        for (code, pages) in &mut self.blocks {
            let bytes = match is_of_sites(*code) {
                true => part(room(pages), of_blocks, all),
                false if *code == files => of_files.min(room(pages)),
                false => 0,
            };
            pages.resident += bytes;
            by_kind.push((Kind::from_code(*code), bytes));
        }
        for (kind, bytes) in by_kind {
            self.add_to_area(kind, bytes);
        }
        self.added = self.added.saturating_add(of_blocks + of_files);
    }

    /// Whether it is not known which of the blocks that were not being filled have so many bytes more in memory now, and they are many.
    fn is_doubtful(&self, bytes: u64) -> bool {
        let sites = self.sites.iter().chain(&self.written);
        let rooms = sites.filter(|site| !site.is_growing).map(|site| room(&site.pages));
        let rooms: Vec<u64> = rooms.filter(|room| *room > 0).collect();
        let are_filled_all = bytes >= units::sum(rooms.iter().copied()) / 8 * 7;
        rooms.len() > 1 && !are_filled_all && bytes > LEAST.max(self.resident() / DOUBTFUL)
    }

    fn pages_of(&mut self, (is_of_file, site): Place) -> &mut Pages {
        let sites = if is_of_file { &mut self.written } else { &mut self.sites };
        let place = sites.iter().position(|known| known.site == site);
        let place = place.unwrap_or_else(|| {
            sites.push(SitePages {
                site,
                ..SitePages::default()
            });
            sites.len() - 1
        });
        &mut sites[place].pages
    }

    fn add_to_area(&mut self, kind: Kind, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let area = match kind {
            Kind::Heap => Area::Heap,
            Kind::Shared => Area::Shared,
            Kind::PrivateFile => Area::Files,
            _ => Area::Anonymous,
        };
        let extent = self.areas.entry(area).or_default();
        extent.resident = extent.resident.saturating_add(bytes);
        extent.proportional = extent.proportional.saturating_add(bytes);
        if kind != Kind::Shared {
            extent.anonymous = extent.anonymous.saturating_add(bytes);
        }
        if let Some(cgroup) = &mut self.cgroup {
            let most = cgroup.usage.max(if cgroup.limit > 0 { cgroup.limit } else { u64::MAX });
            cgroup.usage = cgroup.usage.saturating_add(bytes).min(most);
            cgroup.anonymous = cgroup.anonymous.saturating_add(bytes);
        }
    }
}

impl Pages {
    fn add(&mut self, more: &Pages) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.resident = self.resident.saturating_add(more.resident);
        self.error = self.error.saturating_add(more.error);
    }
}

/// What the process has seen of its own pages in private mappings of files, which is in the sums of the recording.
fn written(large: &[Large]) -> u64 {
    let of_files = large.iter().filter(|block| block.kind == Kind::PrivateFile);
    units::sum(of_files.map(|block| block.absent.map_or(0, |absent| block.bytes.saturating_sub(absent))))
}

/// What is neither in memory nor in swap.
fn room(pages: &Pages) -> u64 {
    pages.bytes.saturating_sub(pages.resident).saturating_sub(pages.swapped)
}

/// Adds up to so many resident bytes to the sites that were being filled, or to the others, to each the same share; returns how many.
fn fill_sites(sites: &mut [SitePages], is_growing: bool, bytes: u64) -> u64 {
    let wanted = |site: &SitePages| site.is_growing == is_growing && room(&site.pages) > 0;
    let all = units::sum(sites.iter().filter(|site| wanted(site)).map(|site| room(&site.pages)));
    let are_several = sites.iter().filter(|site| wanted(site)).count() > 1;
    for site in sites.iter_mut().filter(|site| wanted(site)) {
        let empty = room(&site.pages);
        let filled = part(empty, bytes, all);
        site.pages.resident += filled;
        if are_several {
            site.pages.error = site.pages.error.saturating_add(filled.min(empty - filled));
        }
    }
    bytes.min(all)
}

#[cfg(test)]
mod tests;
