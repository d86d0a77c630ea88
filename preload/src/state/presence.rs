//! Which large blocks are in memory. The kernel is asked when a block is new, before it is freed or resized, and each time, as far as that
//! is worth it, about the others of which not all is there. What is in memory does not become less in between, but by madvise(2) and swap.

use core::sync::atomic::Ordering::{Relaxed, Release};

use recording::{Block, Header, Kind, LOOK_BYTES, NOT_LOOKED_AT, Site, Table};

use super::incomplete::{MOST_WORTH, MUCH};
use super::recorder::Recorder;
use crate::header;
use crate::live::{COUNTED, Entry};
use crate::peak::Direction;
use crate::sampler::{self, Chance};
use crate::tally::{self, change, change_absent};

/// To ask the kernel about a block costs as much as to look at so many of its bytes.
const CALL: u64 = 1 << 20;
/// Of a block less than this is not there: it is complete.
const LITTLE: u64 = 64 << 10;
/// So many bytes of blocks may be looked at again for each byte that is allocated or freed, and for each block.
const WORTH: u64 = 4;
/// See [`WORTH`].
const WORTH_EACH: u64 = 4 << 20;
/// The kernel's count of what is resident is wrong by so much.
const KERNEL_ERROR: u64 = 4 << 20;

impl Recorder {
    fn block(&self, slot: u32) -> Option<&'static Block> {
        self.tree.file.record::<Block>(slot.checked_sub(1)?)
    }

    /// A block is new, and not yet counted for its site: so nothing of it is taken for memory that is not there.
    pub fn meet(&mut self, header: &'static Header, slot: u32) {
        let Some(block) = self.block(slot) else { return };
        let kind = Kind::from_code(block.flags.load(Relaxed));
        let is_new = matches!(kind, Kind::Mapped | Kind::Mapping | Kind::PrivateFile);
        self.look_first(header, slot, block, is_new);
    }

    fn look_first(&mut self, header: &'static Header, slot: u32, block: &Block, is_new: bool) {
        block.absent.store(NOT_LOOKED_AT, Relaxed);
        let has_site = Kind::from_code(block.flags.load(Relaxed)).has_site();
        if block.bytes.load(Relaxed) < LOOK_BYTES || !has_site {
            return;
        }
        header.newest_block.store(slot, Relaxed);
        let Some(absent) = self.presence.look(block, is_new) else {
            return;
        };
        if absent < LITTLE || self.presence.remember(slot) {
            self.set_absent(header, block, absent);
        }
    }

    /// A mapping has another beginning, or another end.
    pub fn resize(&mut self, header: &'static Header, slot: u32, address: u64, bytes: u64) {
        let Some(block) = self.block(slot) else { return };
        let before = block.bytes.load(Relaxed);
        let absent = block.absent.load(Relaxed);
        let grows = bytes >= before && absent != NOT_LOOKED_AT;
        if !grows {
            self.leave(header, slot);
        }
        // A reader in between sees an empty slot.
        block.address.store(0, Release);
        block.bytes.store(bytes, Relaxed);
        block.address.store(address, Release);
        if !grows {
            return self.look_first(header, slot, block, false);
        }
        if self.presence.knows(slot) || self.presence.remember(slot) {
            // What was committed has not been touched yet.
            self.set_absent(header, block, absent.saturating_add(bytes - before));
        }
    }

    /// The last look at a block that is about to be freed or resized.
    pub fn look_before(&mut self, entry: &Entry) {
        if entry.flags & COUNTED != 0 && entry.generation == self.generation {
            self.look_before_it_goes(entry.slot);
        }
    }

    /// As [`Recorder::look_before`], by its slot.
    pub fn look_before_it_goes(&mut self, slot: u32) {
        let (Some(header), Some(block)) = (self.header, self.block(slot)) else {
            return;
        };
        if block.absent.load(Relaxed) == NOT_LOOKED_AT {
            return;
        }
        self.look_again(header, block.bytes.load(Relaxed));
        // It may have been too large for what that was worth.
        if self.presence.knows(slot) {
            self.look_at(header, slot, block);
            tally::consider(header, &mut self.estimate);
        }
    }

    /// Before the program gives pages of this range back: the last look at its blocks, which are not all there from then on.
    pub fn gives_back(&mut self, start: u64, bytes: u64) {
        let Some(header) = self.header else { return };
        let end = start.saturating_add(bytes);
        for slot in 1..=self.tree.file.count(header, Table::Blocks).load(Relaxed) {
            let Some(block) = self.block(slot) else { continue };
            let from = block.address.load(Relaxed);
            let overlaps = from < end && start < from.saturating_add(block.bytes.load(Relaxed));
            if from == 0 || !overlaps || block.absent.load(Relaxed) == NOT_LOOKED_AT {
                continue;
            }
            self.look_before_it_goes(slot);
            if !self.presence.knows(slot) {
                self.presence.remember(slot);
            }
        }
    }

    /// A block is gone, and no longer counted for its site.
    pub fn leave(&mut self, header: &'static Header, slot: u32) {
        self.presence.forget(slot);
        if let Some(block) = self.block(slot) {
            let gone = match Kind::from_code(block.flags.load(Relaxed)) {
                Kind::PrivateFile => block.bytes.load(Relaxed),
                _ => 0,
            };
            if block.absent.load(Relaxed) != NOT_LOOKED_AT {
                self.set_absent(header, block, gone);
            }
            block.absent.store(NOT_LOOKED_AT, Relaxed);
        }
    }

    /// Looks at all blocks that may have changed, whatever that costs.
    pub fn look_at_all(&mut self) {
        if let Some(header) = self.header {
            self.presence.worth = u64::MAX;
            self.look_again(header, 0);
            self.presence.worth = MOST_WORTH;
        }
    }

    /// The live bytes have changed by a block of so many bytes, and [`super::incomplete::IncompleteBlocks::is_due`] says so.
    #[cold]
    #[inline(never)]
    pub fn live_bytes_changed(&mut self, bytes: u64) {
        let Some(header) = self.header else { return };
        let (live, absent) = (header.live_bytes.load(Relaxed), header.absent_bytes.load(Relaxed));
        // There was a look for a large block.
        if bytes < LOOK_BYTES && absent > live / MUCH {
            self.presence.is_of_peak = tally::is_near_peak(header);
            self.look_again(header, 0);
            self.presence.is_of_peak = false;
        }
        self.presence.mark(live, header.absent_bytes.load(Relaxed));
    }

    /// Looks at the blocks of which not all was there, as far as a block of so many bytes makes that worth it.
    pub fn look_again(&mut self, header: &'static Header, bytes: u64) {
        let more = bytes.saturating_mul(WORTH).saturating_add(WORTH_EACH);
        self.presence.worth = self.presence.worth.saturating_add(more);
        let mut were_all = true;
        let mut grown = (0, 0);
        for place in (0..self.presence.used).rev() {
            let Some(slot) = self.presence.slots.get(place).copied() else {
                continue;
            };
            let Some(block) = self.block(slot) else { continue };
            let cost = block.bytes.load(Relaxed).saturating_add(CALL);
            let Some(left) = self.presence.worth.checked_sub(cost) else {
                were_all = false;
                continue;
            };
            self.presence.worth = left;
            grown = grown.max((self.look_at(header, slot, block), slot));
        }
        self.presence.worth = self.presence.worth.min(MOST_WORTH);
        let most = header::note_most_resident(header);
        let now = header::resident_if_less_than_before(most);
        self.limit(header, most, grown);
        tally::consider(header, &mut self.estimate);
        if were_all {
            header.looked_resident_bytes.store(now, Relaxed);
        }
    }

    /// Looks at a block; returns by how much more of it is there.
    fn look_at(&mut self, header: &'static Header, slot: u32, block: &Block) -> u64 {
        let before = block.absent.load(Relaxed);
        let Some(now) = self.presence.look(block, false).filter(|_| before != NOT_LOOKED_AT) else {
            return 0;
        };
        if now < LITTLE {
            self.presence.forget(slot);
        }
        self.set_absent(header, block, now);
        before.saturating_sub(now)
    }

    /// More can be there than was ever resident: pages that were only read are all the same page of zeros, and what the program has given
    /// back by madvise(2) was there at an earlier look.
    fn limit(&mut self, header: &'static Header, most: u64, (bytes, slot): (u64, u32)) {
        if bytes == 0 || excess(header, most) == 0 {
            return;
        }
        for slot in 1..=self.tree.file.count(header, Table::Blocks).load(Relaxed) {
            if let Some(block) = self.block(slot)
                && self.presence.worth > block.bytes.load(Relaxed)
                && block.address.load(Relaxed) != 0
                && !self.presence.knows(slot)
            {
                self.presence.worth -= block.bytes.load(Relaxed);
                self.look_at(header, slot, block);
            }
        }
        let excess = excess(header, most).min(bytes);
        if let Some(block) = self.block(slot).filter(|_| excess > 0)
            && matches!(
                Kind::from_code(block.flags.load(Relaxed)),
                Kind::Heap | Kind::Mapped | Kind::Foreign
            )
        {
            let absent = block.absent.load(Relaxed).saturating_add(excess);
            self.set_absent(header, block, absent.min(block.bytes.load(Relaxed)));
        }
    }

    fn set_absent(&mut self, header: &'static Header, block: &Block, now: u64) {
        let before = block.absent.load(Relaxed);
        block.absent.store(now, Relaxed);
        let of = block.site.load(Relaxed);
        if Kind::from_code(block.flags.load(Relaxed)) != Kind::PrivateFile {
            let before = if before == NOT_LOOKED_AT { 0 } else { before };
            if before != now {
                match self.tree.absent_site(header, of) {
                    Some(site) => {
                        let was_so = self.presence.is_of_peak && now < before;
                        change_absent(header, &mut self.estimate, site, before, now, was_so);
                    }
                    None => block.absent.store(NOT_LOOKED_AT, Relaxed),
                }
            }
            return;
        }
        let Some(site) = self.tree.file.record::<Site>(of) else {
            return;
        };
        // What is written of a private mapping of a file is all that is counted of it.
        let bytes = block.bytes.load(Relaxed);
        let counted = |absent: u64| bytes.saturating_sub(absent);
        let (was, is) = (counted(before), counted(now));
        let direction = if is > was { Direction::Add } else { Direction::Remove };
        if is != was {
            let mut weight = sampler::weight(is.abs_diff(was), Chance::Certain);
            weight.blocks *= u64::from(is == 0 || was == 0);
            // What goes was most probably there at the peak.
            let born = if direction == Direction::Add {
                self.estimate.birth()
            } else {
                0
            };
            change(header, &mut self.estimate, site, weight, direction, born);
        }
    }
}

/// By how much the live bytes that are taken to be in memory exceed the kernel's count of what was resident at most.
fn excess(header: &Header, most: u64) -> u64 {
    let live = header.live_bytes.load(Relaxed);
    let present = live.saturating_sub(header.absent_bytes.load(Relaxed));
    present.saturating_sub(most.saturating_add(most / 32).saturating_add(KERNEL_ERROR))
}
