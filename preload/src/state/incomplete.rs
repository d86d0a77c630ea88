//! The large blocks of which not all is in memory, and when it is worth to look at them again.

use core::sync::atomic::Ordering::Relaxed;

use recording::{Block, Kind};

use crate::sys::Answers;

/// Blocks that are looked at again; if there are more, the others are taken to be in memory.
const MOST: usize = 4096;
/// No more than this is saved up.
pub const MOST_WORTH: u64 = 16 << 30;
/// When the live bytes have changed by one part in this many, blocks may have been filled since the last look, and the highest total may be
/// over soon.
const CHANGED: u64 = 64;
/// That is worth a look if more than one part in this many was not there.
pub const MUCH: u64 = 16;

/// See the page of the module.
pub struct IncompleteBlocks {
    answers: Answers,
    /// Slots, plus one, of blocks of which not all is there.
    pub slots: [u32; MOST],
    /// So many of them are used.
    pub used: usize,
    /// So many bytes may be looked at.
    pub worth: u64,
    /// What is seen was so at the peak, too.
    pub is_of_peak: bool,
    /// A look is due when the live bytes are not in this range: from here, and
    low: u64,
    /// so far.
    span: u64,
}

impl IncompleteBlocks {
    /// None.
    pub const fn new() -> Self {
        Self {
            answers: Answers::new(),
            slots: [0; MOST],
            used: 0,
            worth: MOST_WORTH,
            is_of_peak: false,
            low: 0,
            span: u64::MAX,
        }
    }

    /// Whether to look again at so many live bytes.
    #[inline(always)]
    pub fn is_due(&self, live: u64) -> bool {
        live.wrapping_sub(self.low) > self.span
    }

    /// Nothing is due at about so many live bytes, nor at any where nearly all is there.
    pub fn mark(&mut self, live: u64, absent: u64) {
        let part = live / CHANGED;
        (self.low, self.span) = match absent > live / MUCH {
            true => (live - part, 2 * part),
            false => (0, u64::MAX),
        };
    }

    /// In a new recording.
    pub fn start_over(&mut self) {
        self.used = 0;
        self.mark(0, 0);
    }

    /// Remembers to look at a block again; `false` if there is no room.
    pub fn remember(&mut self, slot: u32) -> bool {
        let place = self.slots.get_mut(self.used);
        let is_room = place.is_some();
        if let Some(place) = place {
            *place = slot;
            self.used += 1;
            // From the next block on.
            (self.low, self.span) = (u64::MAX, 0);
        }
        is_room
    }

    /// A block is complete, or gone.
    pub fn forget(&mut self, slot: u32) {
        let used = self.slots.get(..self.used).unwrap_or_default();
        if let Some(at) = used.iter().position(|known| *known == slot) {
            self.used -= 1;
            self.slots.swap(at, self.used);
        }
    }

    /// Whether it is one of them.
    pub fn knows(&self, slot: u32) -> bool {
        let used = self.slots.get(..self.used).unwrap_or_default();
        used.contains(&slot)
    }

    /// So many bytes that are not there now: none of what was written to a private mapping of a file.
    pub fn look(&mut self, block: &Block, is_new: bool) -> Option<u64> {
        let (address, bytes) = (block.address.load(Relaxed), block.bytes.load(Relaxed));
        match Kind::from_code(block.flags.load(Relaxed)) {
            Kind::PrivateFile if is_new => Some(bytes),
            Kind::PrivateFile => self.answers.written(address, bytes).map(|written| bytes - written),
            _ => self.answers.absent(address, bytes, is_new),
        }
    }
}
