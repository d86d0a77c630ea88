//! Everything that the lock guards: the recording with its tables, and what is alive.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use recording::{Block, EventKind, Header, Kind, Site, Table, Trouble};

use crate::array::OWN_BYTES;
use crate::callstack::Callstacks;
use crate::live::{COUNTED, Entry, Live, NoMemory, WATCHED};
use crate::lock::Lock;
use crate::mappings::Mappings;
use crate::peak::Total;
use crate::python::Python;
use crate::sampler::{self, Budget, Chance, SAMPLES_PER_LOOK, Weights};
use crate::settings::Settings;
use crate::shadow::Word;
use crate::tally::{Change, Estimate, change, change_exactly};
use crate::text::Text;
use crate::tree::Tree;
use crate::{events, file, kinds, live, peak, say, stash, sys};

mod mapped;

/// The state of this process.
pub static STATE: Lock<State> = Lock::new(State::new());

/// Is anything recorded at all? Set once the environment has been read.
pub static RECORDING: AtomicBool = AtomicBool::new(false);
/// Is every allocation recorded?
pub static EXACT: AtomicBool = AtomicBool::new(false);
/// log2 of the sampling interval in force.
pub static INTERVAL_LOG2: AtomicU32 = AtomicU32::new(sampler::FINEST_LOG2);
/// Blocks of at least this many bytes are recorded for certain.
pub static LARGE_BYTES: AtomicU64 = AtomicU64::new(1 << 16);
/// Has the program mapped any memory that is counted?
pub static ANY_MAPPING: AtomicBool = AtomicBool::new(false);

/// A process that never holds as much as this at once leaves no recording, unless an allocation failed or it is the job itself.
const WORTH_A_FILE: u64 = 1 << 20;

/// See the module's page.
pub struct State {
    /// What the environment asked for.
    pub settings: Settings,
    header: Option<&'static Header>,
    tree: Tree,
    live: Live,
    mappings: Mappings,
    callstacks: Callstacks,
    /// The Python that was found, `major << 8 | minor`, and what is wrong with it; told in each new recording.
    python_version: u32,
    python_trouble: Option<Trouble>,
    weights: Weights,
    estimate: Estimate,
    budget: Budget,
    /// When the sampling was last thought over, by the monotonic clock.
    tuned_ns: u64,
    generation: u16,
    /// What was alive at the last fork, in this process's recording and those of its ancestors; in the child, what it inherited.
    forked_bytes: u64,
    inherited_bytes: u64,
    /// First of the chain of free slots in the table of large blocks, plus one.
    free_slot: u32,
    /// Room for the command line, which is more than a small thread's stack has.
    command: Text<{ recording::MAX_STRING_BYTES }>,
    /// The recording could not be created: don't try at every sample.
    gave_up: bool,
}

impl State {
    const fn new() -> Self {
        Self {
            settings: Settings::off(),
            header: None,
            tree: Tree::new(),
            live: Live::new(),
            mappings: Mappings::new(),
            callstacks: Callstacks::new(),
            python_version: 0,
            python_trouble: None,
            weights: Weights::new(),
            estimate: Estimate::NONE,
            budget: Budget::FULL,
            tuned_ns: 0,
            generation: 0,
            forked_bytes: 0,
            inherited_bytes: 0,
            free_slot: 0,
            command: Text::new(),
            gave_up: false,
        }
    }

    /// The child will share all this with us.
    pub fn before_fork(&mut self) {
        let own = self.header.map_or(0, |header| header.live_bytes.load(Relaxed));
        self.forked_bytes = self.inherited_bytes.saturating_add(own);
    }

    /// Everything recorded so far was the parent's.
    pub fn after_fork(&mut self) {
        self.header = None;
        self.generation = self.generation.wrapping_add(1);
        self.live.after_fork(self.generation);
        self.inherited_bytes = self.forked_bytes;
        if self.settings.first_only {
            RECORDING.store(false, Relaxed);
            self.settings.run.clear();
        }
    }

    /// The recording, begun at the first call. `None` if that failed; it has then been said, and the job goes on without us.
    pub fn recording(&mut self) -> Option<&'static Header> {
        if self.header.is_some() || self.gave_up {
            return self.header;
        }
        let folder = self.settings.run()?;
        match self.tree.file.begin(folder) {
            Ok(header) => {
                self.header = Some(header);
                self.introduce(header);
                self.tree.file.publish(header);
            }
            Err(error) => self.give_up(error),
        }
        self.header
    }

    /// The recording with its tables.
    pub fn tables(&mut self) -> Option<(&'static Header, &mut Tree)> {
        Some((self.recording()?, &mut self.tree))
    }

    /// Sees to it that what is recorded outlives the process; a shell script starts hundreds that are not worth it.
    pub fn keep(&mut self) {
        let Some(header) = self.recording() else { return };
        if let Err(error) = self.tree.file.keep(header) {
            self.give_up(error);
        }
    }

    fn keep_if_worth_it(&mut self, header: &Header) {
        if !self.tree.file.is_kept() && header.live_bytes.load(Relaxed) >= WORTH_A_FILE {
            self.keep();
        }
    }

    fn give_up(&mut self, sys::Errno(number): sys::Errno) {
        self.gave_up = true;
        self.header = None;
        file::disown();
        RECORDING.store(false, Relaxed);
        let folder = core::str::from_utf8(self.settings.run.bytes()).unwrap_or("the run folder");
        let pid = sys::pid();
        if number == libc::ENOSPC {
            say::line(format_args!(
                "Process {pid} is not recorded: No space left on the disk of {folder}."
            ));
        } else {
            say::line(format_args!(
                "Process {pid} is not recorded: cannot create a recording in {folder} (errno {number})."
            ));
        }
    }

    /// A Python was found: its version, `major << 8 | minor`, and what is wrong with it.
    pub fn meet_python(&mut self, python: Option<Python>, version: u32, trouble: Option<Trouble>) {
        self.callstacks.python = python;
        (self.python_version, self.python_trouble) = (version, trouble);
        if let Some(header) = self.header {
            self.introduce_python(header);
        }
    }

    fn introduce_python(&self, header: &Header) {
        header.python.store(self.python_version, Relaxed);
        if self.python_version != 0 {
            events::note(header, EventKind::PythonFound, self.python_version, 0);
        }
        if let Some(trouble) = self.python_trouble {
            events::note(header, EventKind::Trouble, trouble as u32, self.python_version as u64);
        }
    }

    fn introduce(&mut self, header: &'static Header) {
        self.free_slot = 0;
        self.estimate = Estimate::NONE;
        self.callstacks.start_over();
        self.tree.start_over(header);
        self.command.clear();
        if let Ok(file) = sys::File::open(c"/proc/self/cmdline", libc::O_RDONLY) {
            self.command.fill(|buffer| file.read(buffer));
        }
        let command = self.command.bytes();
        let command = self.tree.string(header, command.strip_suffix(&[0]).unwrap_or(command));
        header.command.store(command, Relaxed);
        header.exact.store(EXACT.load(Relaxed) as u32, Relaxed);
        header.sample_interval.store(1 << INTERVAL_LOG2.load(Relaxed), Relaxed);
        header.large_bytes.store(LARGE_BYTES.load(Relaxed), Relaxed);
        header.rank.store(self.settings.rank, Relaxed);
        header.inherited_bytes.store(self.inherited_bytes, Relaxed);
        stash::introduce(header);
        self.introduce_python(header);
        if self.generation > 0 {
            events::note(header, EventKind::Forked, sys::parent_pid(), 0);
        }
    }

    /// All that is alive in this recording.
    pub fn total(&self, header: &Header) -> Total {
        self.estimate.total(header)
    }

    /// The node of the current thread's callstack; 0 if nothing is recorded.
    pub fn callstack(&mut self) -> u32 {
        let Some(header) = self.recording() else { return 0 };
        let (node, trouble) = self.callstacks.current(header, &mut self.tree, &mut self.live);
        if let Some(trouble) = trouble {
            self.python_trouble = Some(trouble);
            events::note(header, EventKind::Trouble, trouble as u32, self.python_version as u64);
        }
        node
    }

    /// Records an allocation under the current callstack.
    #[inline]
    pub fn add(&mut self, address: u64, bytes: u64, chance: Chance, kind: Kind) {
        let Some(header) = self.recording() else { return };
        self.live.expect(address);
        let node = self.callstack();
        let site = self.tree.site(header, node);
        if bytes < LARGE_BYTES.load(Relaxed) && self.live.has_shadow(address, bytes) {
            self.insert_small(header, address, bytes, site, kind);
        } else {
            self.add_entry(header, address, bytes, chance, site, kind);
        }
        self.keep_if_worth_it(header);
        let samples = header.samples.load(Relaxed) + 1;
        header.samples.store(samples, Relaxed);
        if samples.is_multiple_of(SAMPLES_PER_LOOK) {
            self.tune(header);
        }
    }

    fn add_entry(&mut self, header: &'static Header, address: u64, bytes: u64, chance: Chance, site: u32, kind: Kind) {
        let (interval_log2, slot) = match chance {
            Chance::Interval(log2) => (log2 as u8, 0),
            Chance::Certain if bytes >= LARGE_BYTES.load(Relaxed) => {
                (0, self.take_slot(header, address, bytes, site, kind))
            }
            Chance::Certain => (0, 0),
        };
        let generation = self.generation;
        self.insert(
            header,
            Entry {
                address,
                bytes,
                site,
                slot,
                born: peak::moment(),
                interval_log2,
                flags: COUNTED | live::of_kind(kind),
                generation,
            },
        );
    }

    /// Where every block is recorded, one that is not large.
    #[inline]
    fn insert_small(&mut self, header: &'static Header, address: u64, bytes: u64, site: u32, kind: Kind) {
        let flags = COUNTED | live::of_kind(kind);
        match self.live.insert_small(address, Word::new(site, bytes, flags)) {
            Ok(old) => self.uncount_small(header, address, old),
            Err(NoMemory) => return self.no_memory(header),
        }
        if let Some(site) = self.tree.file.record::<Site>(site) {
            kinds::change_exactly(header, kind, bytes, Change::Add);
            change_exactly(header, site, bytes, Change::Add);
        }
        self.tell_trouble(header);
    }

    fn no_memory(&self, header: &Header) {
        events::note_once(header, Trouble::NoMemory, OWN_BYTES.load(Relaxed) as u64);
    }

    fn tell_trouble(&mut self, header: &Header) {
        if let Some((trouble, number)) = self.tree.file.take_trouble() {
            events::note(header, EventKind::Trouble, trouble as u32, number);
        }
    }

    /// Puts back what [`State::remove`] took, when the program kept the block after all.
    pub fn restore(&mut self, entry: Entry) {
        let Some(header) = self.recording() else { return };
        let mut entry = entry;
        if entry.slot > 0 {
            let kind = live::kind(entry.flags);
            entry.slot = self.take_slot(header, entry.address, entry.bytes, entry.site, kind);
        }
        self.insert(header, entry);
    }

    fn insert(&mut self, header: &'static Header, entry: Entry) {
        match self.live.insert(entry) {
            Ok(None) => {}
            // Without a recorded free in between, a block at a known address means that its free was not seen.
            Ok(Some(old)) => {
                self.uncount(header, &old);
            }
            Err(NoMemory) => {
                self.no_memory(header);
                self.free_slot_of(&entry);
                return;
            }
        }
        if let Some(site) = self.tree.file.record::<Site>(entry.site) {
            let weight = self.weights.of(entry.bytes, entry.chance());
            kinds::change(header, live::kind(entry.flags), entry.bytes, weight, Change::Add);
            change(header, &mut self.estimate, site, weight, Change::Add, entry.born);
        }
        self.tell_trouble(header);
    }

    /// A block goes, whether it is recorded or not.
    #[inline]
    pub fn free(&mut self, address: u64) {
        match (self.live.remove_small(address), self.header) {
            (Some(block), Some(header)) => self.uncount_small(header, address, block),
            (Some(_), None) => {}
            (None, _) => {
                self.remove(address);
            }
        }
    }

    #[inline]
    fn uncount_small(&mut self, header: &'static Header, address: u64, block: Word) {
        if block.flags() & WATCHED != 0 {
            self.callstacks.forget(address);
        }
        if block.flags() & COUNTED != 0
            && let Some(site) = self.tree.file.record::<Site>(block.site())
        {
            kinds::change_exactly(header, live::kind(block.flags()), block.bytes(), Change::Remove);
            change_exactly(header, site, block.bytes(), Change::Remove);
        }
    }

    /// Takes out the block at this address, if it is recorded.
    pub fn remove(&mut self, address: u64) -> Option<Entry> {
        let entry = self.live.remove(address)?;
        let header = self.header?;
        self.uncount(header, &entry).then_some(entry)
    }

    /// Takes what a block weighs from its site, if it is there: what a parent recorded is in the parent's recording.
    fn uncount(&mut self, header: &'static Header, entry: &Entry) -> bool {
        if entry.flags & WATCHED != 0 {
            self.callstacks.forget(entry.address);
        }
        if entry.flags & COUNTED == 0 || entry.generation != self.generation {
            return false;
        }
        self.free_slot_of(entry);
        if let Some(site) = self.tree.file.record::<Site>(entry.site) {
            let weight = self.weights.of(entry.bytes, entry.chance());
            kinds::change(header, live::kind(entry.flags), entry.bytes, weight, Change::Remove);
            change(header, &mut self.estimate, site, weight, Change::Remove, entry.born);
        }
        true
    }

    /// Enters a large block; its slot plus one, or 0 if there is no room.
    fn take_slot(&mut self, header: &'static Header, address: u64, bytes: u64, site: u32, kind: Kind) -> u32 {
        let count = self.tree.file.count(header, Table::Blocks);
        let index = match self.free_slot.checked_sub(1) {
            Some(free) => free,
            None => {
                let next = count.load(Relaxed);
                if !self.tree.file.make_room(header, Table::Blocks, next as usize) {
                    return 0;
                }
                next
            }
        };
        let Some(block) = self.tree.file.record::<Block>(index) else {
            return 0;
        };
        if index < count.load(Relaxed) {
            // A free slot holds the next one's number where a used one holds its site.
            self.free_slot = block.site.load(Relaxed);
        } else {
            count.store(index + 1, Release);
        }
        block.bytes.store(bytes, Relaxed);
        block.site.store(site, Relaxed);
        block.flags.store(kind as u32, Relaxed);
        block.address.store(address, Release);
        index + 1
    }

    /// Slots in the table of large blocks.
    pub fn large_block_count(&self) -> u32 {
        self.header
            .map_or(0, |header| self.tree.file.count(header, Table::Blocks).load(Relaxed))
    }

    /// A slot of the table of large blocks.
    pub fn large_block(&self, index: u32) -> Option<&'static Block> {
        self.tree.file.record::<Block>(index)
    }

    /// Every block will be recorded: to be called before the first.
    pub fn expect_every_block(&mut self) {
        self.live.expect_every_block();
    }

    fn free_slot_of(&mut self, entry: &Entry) {
        mapped::release(&self.tree.file, &mut self.free_slot, entry.slot);
    }

    /// Adapts the sampling to the heap as it has become.
    fn tune(&mut self, header: &'static Header) {
        header.own_bytes.store(OWN_BYTES.load(Relaxed) as u64, Relaxed);
        if self.settings.exact || self.settings.interval_log2.is_some() {
            return;
        }
        let now = sys::monotonic_ns();
        let took = now.saturating_sub(core::mem::replace(&mut self.tuned_ns, now));
        self.budget.spend(took, self.callstacks.take_walked());
        let log2 = sampler::interval_log2(
            INTERVAL_LOG2.load(Relaxed),
            header.peak_bytes.load(Relaxed),
            self.budget,
        );
        set_interval(log2);
        header.sample_interval.store(1 << log2, Relaxed);
        header.large_bytes.store(LARGE_BYTES.load(Relaxed), Relaxed);
    }
}

/// Sets the sampling interval for the draws to come.
pub fn set_interval(log2: u32) {
    INTERVAL_LOG2.store(log2, Relaxed);
    LARGE_BYTES.store(sampler::large_bytes(log2), Relaxed);
}
