//! Everything that the lock guards: the settings, the recording, and the blocks and mappings that are alive.

use core::sync::atomic::Ordering::Relaxed;

use recording::{Block, Header, Kind, LOOK_BYTES, Table, Trouble};

use crate::array::OWN_BYTES;
use crate::live::{COUNTED, Entry, Live, NoMemory};
use crate::lock::Lock;
use crate::mappings::Mappings;
use crate::sampler::{Chance, SAMPLES_PER_LOOK};
use crate::settings::Settings;
use crate::shadow::Word;
use crate::switches::{LARGE_BYTES, RECORDING};
use crate::tree::Tree;
use crate::{events, live};

use recorder::Recorder;
use tuning::Tuning;

pub use tuning::set_interval;

mod incomplete;
mod mapped;
mod presence;
mod recorder;
mod tuning;

/// The state of this process.
pub static STATE: Lock<State> = Lock::new(State::new());

/// See the module's page.
pub struct State {
    /// What the environment asked for.
    pub settings: Settings,
    /// The recording.
    pub recorder: Recorder,
    /// The blocks that are alive.
    pub live: Live,
    mappings: Mappings,
    tuning: Tuning,
}

impl State {
    const fn new() -> Self {
        Self {
            settings: Settings::off(),
            recorder: Recorder::new(),
            live: Live::new(),
            mappings: Mappings::new(),
            tuning: Tuning::new(),
        }
    }

    /// In a forked child: all that is recorded so far is in the parent's recording.
    pub fn after_fork(&mut self) {
        self.recorder.after_fork();
        self.live.after_fork(self.recorder.generation);
        if self.settings.first_only {
            RECORDING.store(false, Relaxed);
            self.settings.run.clear();
        }
    }

    /// The recording, begun at the first call. `None` if that failed; the user has then been told, and the job goes on without us.
    #[inline]
    pub fn recording(&mut self) -> Option<&'static Header> {
        self.recorder.recording(&self.settings)
    }

    /// The recording with its tables.
    pub fn tables(&mut self) -> Option<(&'static Header, &mut Tree)> {
        Some((self.recording()?, &mut self.recorder.tree))
    }

    /// Puts the recording into a file, so that it outlives the process.
    pub fn keep(&mut self) {
        self.recorder.keep(&self.settings);
    }

    /// The node of the current thread's callstack; 0 if nothing is recorded.
    pub fn callstack(&mut self) -> u32 {
        let Some(header) = self.recording() else { return 0 };
        self.recorder.callstack(header, &mut self.live)
    }

    /// Records an allocation under the current callstack.
    #[inline]
    pub fn add(&mut self, address: u64, bytes: u64, chance: Chance, kind: Kind) {
        let Some(header) = self.recording() else { return };
        self.live.expect(address);
        let site = self.recorder.site(header, &mut self.live);
        if bytes < LARGE_BYTES.load(Relaxed) && self.live.has_shadow(address, bytes) {
            self.insert_small(header, address, bytes, site, kind);
        } else {
            self.add_entry(header, address, bytes, chance, site, kind);
        }
        self.recorder.keep_if_worth_it(header, &self.settings);
        let samples = header.samples.load(Relaxed) + 1;
        header.samples.store(samples, Relaxed);
        if samples.is_multiple_of(SAMPLES_PER_LOOK) {
            self.recorder.tune(header, &self.settings, &mut self.tuning);
        }
    }

    fn add_entry(&mut self, header: &'static Header, address: u64, bytes: u64, chance: Chance, site: u32, kind: Kind) {
        if bytes >= LOOK_BYTES {
            self.recorder.look_again(header, bytes);
        }
        let (interval_log2, slot) = match chance {
            Chance::Interval(log2) => (log2 as u8, 0),
            Chance::Certain if bytes >= LARGE_BYTES.load(Relaxed) => {
                (0, self.recorder.take_slot(header, address, bytes, site, kind))
            }
            Chance::Certain => (0, 0),
        };
        if slot != 0 {
            self.recorder.meet(header, slot);
        }
        let born = self.recorder.estimate.birth();
        self.insert(
            header,
            Entry {
                address,
                bytes,
                site,
                slot,
                born,
                interval_log2,
                flags: COUNTED | live::of_kind(kind),
                generation: self.recorder.generation,
            },
        );
    }

    /// Where every block is recorded: one that is not large.
    #[inline]
    fn insert_small(&mut self, header: &'static Header, address: u64, bytes: u64, site: u32, kind: Kind) {
        let block = Word::new(site, bytes, COUNTED | live::of_kind(kind));
        match self.live.insert_small(address, block) {
            Ok(old) => self.recorder.uncount_small(header, address, old),
            Err(NoMemory) => return self.no_memory(header),
        }
        self.recorder.count_small(header, block);
    }

    fn no_memory(&self, header: &Header) {
        events::note_once(header, Trouble::NoMemory, OWN_BYTES.load(Relaxed) as u64);
    }

    /// Takes the block at this address out, if it is recorded, and still counts it: a process that is killed while it resizes a block
    /// has both the block and what is copied of it.
    pub fn begin_resizing(&mut self, address: u64) -> Option<Entry> {
        let mut entry = self.live.remove(address)?;
        self.recorder.look_before(&entry);
        self.recorder.forget(&mut entry);
        (entry.flags & COUNTED != 0).then_some(entry)
    }

    /// The block is at a new address, or the program has given it up.
    pub fn resized(&mut self, old: Entry) {
        if let Some(header) = self.recorder.header {
            self.recorder.uncount(header, old, &mut self.tuning);
        }
    }

    /// The program keeps the block, since it could not be resized.
    pub fn not_resized(&mut self, entry: Entry) {
        let Some(header) = self.recorder.header else { return };
        match self.live.insert(entry) {
            Ok(None) => {}
            // The free of a block that was at this address was not seen.
            Ok(Some(old)) => self.resized(old),
            Err(NoMemory) => {
                self.no_memory(header);
                self.resized(entry);
            }
        }
    }

    fn insert(&mut self, header: &'static Header, entry: Entry) {
        match self.live.insert(entry) {
            Ok(None) => {}
            // The free of a block that was at this address was not seen.
            Ok(Some(old)) => {
                self.recorder.uncount(header, old, &mut self.tuning);
            }
            Err(NoMemory) => {
                self.no_memory(header);
                self.recorder.release_slot(header, entry.slot);
                return;
            }
        }
        self.recorder.count(header, &entry, &mut self.tuning);
    }

    /// The block at this address is freed, whether it is recorded or not.
    #[inline]
    pub fn free(&mut self, address: u64) {
        match (self.live.remove_small(address), self.recorder.header) {
            (Some(block), Some(header)) => self.recorder.uncount_small(header, address, block),
            (Some(_), None) => {}
            (None, _) => {
                if let Some(entry) = self.live.remove(address) {
                    self.recorder.look_before(&entry);
                    self.resized(entry);
                }
            }
        }
    }

    /// Slots in the table of large blocks.
    pub fn large_block_count(&self) -> u32 {
        let file = &self.recorder.tree.file;
        self.recorder
            .header
            .map_or(0, |header| file.count(header, Table::Blocks).load(Relaxed))
    }

    /// A slot of the table of large blocks.
    pub fn large_block(&self, index: u32) -> Option<&'static Block> {
        self.recorder.tree.file.record::<Block>(index)
    }
}
