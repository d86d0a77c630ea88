//! The recording of this process: begun when something is to be recorded, and what is written into it.

use core::sync::atomic::Ordering::{Relaxed, Release};

use recording::{Block, EventKind, Header, Kind, NOT_LOOKED_AT, Site, Table, Trouble};

use super::incomplete::IncompleteBlocks;
use super::tuning::Tuning;
use crate::array::OWN_BYTES;
use crate::callstack::Callstacks;
use crate::live::{self, COUNTED, Entry, Live, WATCHED};
use crate::peak::{Direction, Total};
use crate::python::Python;
use crate::settings::Settings;
use crate::shadow::Word;
use crate::switches::{EXACT, INTERVAL_LOG2, LARGE_BYTES, RECORDING};
use crate::tally::{Estimate, change, change_exactly};
use crate::text::Text;
use crate::tree::Tree;
use crate::{events, header, kinds, say, stash, sys};

/// A process that never holds as much as this at once leaves no recording, unless an allocation failed or it is the job itself.
const WORTH_A_FILE: u64 = 1 << 20;

/// See the module's page.
pub struct Recorder {
    pub(super) header: Option<&'static Header>,
    pub(super) tree: Tree,
    callstacks: Callstacks,
    pub(super) estimate: Estimate,
    pub(super) presence: IncompleteBlocks,
    /// The Python that was found, `major << 8 | minor`, and what is wrong with it; told in each new recording.
    python_version: u32,
    python_trouble: Option<Trouble>,
    /// Forks between the first process and this one, modulo 2^16. A live block of another generation is in another recording.
    pub(super) generation: u16,
    /// What was alive at the last fork, in this process's recording and those of its ancestors.
    forked_bytes: u64,
    /// The same of the fork that made this process: what it has inherited.
    inherited_bytes: u64,
    /// First of the chain of free slots in the table of large blocks, plus one; 0 for none.
    free_slot: u32,
    /// Room for the command line, which is more than a small thread's stack has.
    command: Text<{ recording::MAX_STRING_BYTES }>,
    /// The recording could not be created: it is not tried again at every sample.
    gave_up: bool,
}

impl Recorder {
    /// Without a recording.
    pub const fn new() -> Self {
        Self {
            header: None,
            tree: Tree::new(),
            callstacks: Callstacks::new(),
            estimate: Estimate::NONE,
            presence: IncompleteBlocks::new(),
            python_version: 0,
            python_trouble: None,
            generation: 0,
            forked_bytes: 0,
            inherited_bytes: 0,
            free_slot: 0,
            command: Text::new(),
            gave_up: false,
        }
    }

    /// The process is about to be forked.
    pub fn before_fork(&mut self) {
        let own = self.header.map_or(0, |header| header.live_bytes.load(Relaxed));
        self.forked_bytes = self.inherited_bytes.saturating_add(own);
    }

    /// In a forked child: all that is recorded so far is in the parent's recording.
    pub fn after_fork(&mut self) {
        self.header = None;
        self.presence.start_over();
        self.generation = self.generation.wrapping_add(1);
        self.inherited_bytes = self.forked_bytes;
    }

    /// The recording, begun at the first call. `None` if that failed; the user has then been told, and the job goes on without us.
    #[inline]
    pub fn recording(&mut self, settings: &Settings) -> Option<&'static Header> {
        if self.header.is_some() || self.gave_up {
            return self.header;
        }
        self.begin(settings)
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, settings: &Settings) -> Option<&'static Header> {
        match self.tree.file.begin(settings.run()?) {
            Ok(header) => {
                self.header = Some(header);
                self.introduce(header, settings);
                self.tree.file.publish(header);
            }
            Err(error) => self.give_up(error, settings),
        }
        self.header
    }

    /// Puts the recording into a file, so that it outlives the process.
    pub fn keep(&mut self, settings: &Settings) {
        let Some(header) = self.recording(settings) else { return };
        if let Err(error) = self.tree.file.keep(header) {
            self.give_up(error, settings);
        }
    }

    /// As [`Recorder::keep`], if the process holds enough. A shell script starts hundreds of processes that do not.
    #[inline]
    pub fn keep_if_worth_it(&mut self, header: &Header, settings: &Settings) {
        if !self.tree.file.is_kept() && header.live_bytes.load(Relaxed) >= WORTH_A_FILE {
            self.keep(settings);
        }
    }

    fn give_up(&mut self, sys::Errno(number): sys::Errno, settings: &Settings) {
        self.gave_up = true;
        self.header = None;
        header::disown();
        RECORDING.store(false, Relaxed);
        let folder = core::str::from_utf8(settings.run().unwrap_or_default()).unwrap_or("the run folder");
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

    fn introduce(&mut self, header: &'static Header, settings: &Settings) {
        self.free_slot = 0;
        self.presence.start_over();
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
        header.rank.store(settings.rank, Relaxed);
        header.inherited_bytes.store(self.inherited_bytes, Relaxed);
        header
            .resident_before_bytes
            .store(header::most_resident_before(), Relaxed);
        stash::introduce(header);
        self.introduce_python(header);
        if self.generation > 0 {
            events::note(header, EventKind::Forked, sys::parent_pid(), 0);
        }
    }

    /// The node of the current thread's callstack.
    #[inline]
    pub fn callstack(&mut self, header: &'static Header, live: &mut Live) -> u32 {
        let (node, trouble) = self.callstacks.current(header, &mut self.tree, live);
        if let Some(trouble) = trouble {
            self.python_trouble = Some(trouble);
            events::note(header, EventKind::Trouble, trouble as u32, self.python_version as u64);
        }
        node
    }

    /// The site of the current thread's callstack.
    #[inline]
    pub fn site(&mut self, header: &'static Header, live: &mut Live) -> u32 {
        let node = self.callstack(header, live);
        self.tree.site(header, node)
    }

    /// Adapts the sampling to the heap as it is now.
    pub fn tune(&mut self, header: &'static Header, settings: &Settings, tuning: &mut Tuning) {
        header.own_bytes.store(OWN_BYTES.load(Relaxed) as u64, Relaxed);
        header::note_most_resident(header);
        if !settings.exact && settings.interval_log2.is_none() {
            tuning.adapt(header, self.callstacks.take_walked());
        }
    }

    /// All that is alive in this recording.
    pub fn total(&self, header: &Header) -> Total {
        self.estimate.total(header)
    }

    /// Counts a block that has been entered among the live ones.
    #[inline]
    pub fn count(&mut self, header: &Header, entry: &Entry, tuning: &mut Tuning) {
        self.shift(header, entry, tuning, Direction::Add);
        self.tell_trouble(header);
    }

    /// What was read at the address of a block that is about to go is not used any more.
    #[inline]
    pub fn forget(&mut self, entry: &mut Entry) {
        if entry.flags & WATCHED != 0 {
            self.callstacks.forget(entry.address);
            entry.flags &= !WATCHED;
        }
    }

    /// Takes what a block weighs from its site, unless the block is in another process's recording, or not counted.
    pub fn uncount(&mut self, header: &'static Header, mut entry: Entry, tuning: &mut Tuning) {
        self.forget(&mut entry);
        if entry.flags & COUNTED != 0 && entry.generation == self.generation {
            if entry.slot != 0 {
                header::note_most_resident(header);
            }
            self.shift(header, &entry, tuning, Direction::Remove);
            self.release_slot(header, entry.slot);
        }
    }

    #[inline(always)]
    fn shift(&mut self, header: &Header, entry: &Entry, tuning: &mut Tuning, direction: Direction) {
        if let Some(site) = self.tree.file.record::<Site>(entry.site) {
            let weight = tuning.weights.of(entry.bytes, entry.chance());
            kinds::change(header, live::kind(entry.flags), entry.bytes, weight, direction);
            change(header, &mut self.estimate, site, weight, direction, entry.born);
            if self.presence.is_due(header.live_bytes.load(Relaxed)) {
                self.live_bytes_changed(entry.bytes);
            }
        }
    }

    /// As [`Recorder::count`], of a small block where every block is recorded.
    #[inline]
    pub fn count_small(&mut self, header: &Header, block: Word) {
        self.shift_small(header, block, Direction::Add);
        self.tell_trouble(header);
    }

    /// As [`Recorder::uncount`], of a small block where every block is recorded.
    #[inline]
    pub fn uncount_small(&mut self, header: &Header, address: u64, block: Word) {
        if block.flags() & WATCHED != 0 {
            self.callstacks.forget(address);
        }
        if block.flags() & COUNTED != 0 {
            self.shift_small(header, block, Direction::Remove);
        }
    }

    #[inline(always)]
    fn shift_small(&mut self, header: &Header, block: Word, direction: Direction) {
        if let Some(site) = self.tree.file.record::<Site>(block.site()) {
            kinds::change_exactly(header, live::kind(block.flags()), block.bytes(), direction);
            change_exactly(header, &mut self.estimate, site, block.bytes(), direction);
            if self.presence.is_due(header.live_bytes.load(Relaxed)) {
                self.live_bytes_changed(block.bytes());
            }
        }
    }

    #[inline]
    fn tell_trouble(&mut self, header: &Header) {
        if let Some((trouble, number)) = self.tree.file.take_trouble() {
            events::note(header, EventKind::Trouble, trouble as u32, number);
        }
    }

    /// Enters a large block into the table of blocks; its slot plus one, or 0 if there is no room.
    pub fn take_slot(&mut self, header: &'static Header, address: u64, bytes: u64, site: u32, kind: Kind) -> u32 {
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
            // A free slot has the number of the next free one where a used slot has its site.
            self.free_slot = block.site.load(Relaxed);
        } else {
            count.store(index + 1, Release);
        }
        block.bytes.store(bytes, Relaxed);
        block.site.store(site, Relaxed);
        block.flags.store(kind as u32, Relaxed);
        block.absent.store(NOT_LOOKED_AT, Relaxed);
        block.address.store(address, Release);
        index + 1
    }

    /// Puts a slot, plus one, back into the chain of free ones; 0 is none.
    pub fn release_slot(&mut self, header: &'static Header, slot: u32) {
        let Some(index) = slot.checked_sub(1) else { return };
        self.leave(header, slot);
        if let Some(block) = self.tree.file.record::<Block>(index) {
            block.address.store(0, Release);
            // No sooner than the address is gone: it is no site any more.
            block.site.store(self.free_slot, Release);
            self.free_slot = slot;
        }
    }
}
