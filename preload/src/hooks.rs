//! What the interposed functions call for a block that may be recorded: the decision, and the bookkeeping around the call. Safe,
//! so that tests call it from many threads without a preload.

use core::sync::atomic::Ordering::Relaxed;

use recording::protocol::Message;
use recording::{Kind, LOOK_BYTES};

use crate::mappings::Mapping;
use crate::real::Pointer;
use crate::sampler::{self, Chance};
use crate::state::STATE;
use crate::switches::{ANY_MAPPING, EXACT, INTERVAL_LOG2, LARGE_BYTES, RECORDING};
use crate::thread::{self, Inside, InsideMapping, ThreadState};
use crate::{header, live, message_pipe, stash, sys};

/// A thread checks after so many bytes whether recording has begun.
const LOOK_AGAIN: u64 = 64 << 10;

/// Decides how an allocation is recorded for which [`thread::spend`] returned `true`; `None`: not at all.
fn decide(thread: &ThreadState, bytes: usize) -> Option<Chance> {
    if !RECORDING.load(Relaxed) {
        thread.arm(LOOK_AGAIN, LOOK_AGAIN);
        return None;
    }
    if EXACT.load(Relaxed) {
        thread.arm(0, 0);
        return Some(Chance::Certain);
    }
    let (size, large) = (bytes as u64, LARGE_BYTES.load(Relaxed));
    if thread.random.get() == 0 {
        thread
            .random
            .set(sys::now_ns(false) ^ (sys::thread_id() as u64) << 40 | 1);
        thread.arm(draw(thread), large - 1);
        return decide_armed(thread, size, large);
    }
    thread.arm(thread.before(bytes), large - 1);
    decide_armed(thread, size, large)
}

fn decide_armed(thread: &ThreadState, bytes: u64, large: u64) -> Option<Chance> {
    if bytes >= large {
        return Some(Chance::Certain);
    }
    let left = thread.distance();
    if left >= bytes {
        thread.arm(left - bytes, large - 1);
        return None;
    }
    let drawn_with = thread.interval_log2.get();
    thread.arm(draw(thread), large - 1);
    Some(Chance::Interval(drawn_with))
}

fn draw(thread: &ThreadState) -> u64 {
    let log2 = INTERVAL_LOG2.load(Relaxed);
    thread.interval_log2.set(log2);
    let mut random = thread.random.get();
    let distance = sampler::draw(&mut random, log2);
    thread.random.set(random);
    distance
}

/// An uncounted allocation, of our own or below a hook that counts by itself, used up the sampling countdown. Draws anew: the
/// distribution is memoryless, so this adds no bias.
fn skip(thread: &ThreadState) {
    if RECORDING.load(Relaxed) && !EXACT.load(Relaxed) && thread.random.get() != 0 {
        thread.arm(draw(thread), LARGE_BYTES.load(Relaxed) - 1);
    } else {
        thread.arm(0, 0);
    }
}

/// Says what kind of memory a new block is.
pub type KindOf = fn(Pointer) -> Kind;

/// Allocates by `call` after the countdown was used up.
#[cold]
#[inline(never)]
pub fn allocate_looking(kind: KindOf, bytes: usize, call: impl FnOnce() -> Pointer) -> Pointer {
    let thread = thread::state();
    let Some(_inside) = Inside::enter() else {
        skip(thread);
        return call();
    };
    let chance = decide(thread, bytes);
    let block = call();
    if let (Some(chance), false) = (chance, block.is_null()) {
        record(block, bytes, chance, kind);
    }
    block
}

/// Resizes by `call`; `look` says that the countdown was used up. What `call` allocates itself is not counted.
pub fn reallocate(kind: KindOf, old: Pointer, bytes: usize, look: bool, call: impl FnOnce() -> Pointer) -> Pointer {
    let thread = thread::state();
    let Some(_inside) = Inside::enter() else {
        if look {
            skip(thread);
        }
        return call();
    };
    // Taken out before the call: once it has returned, another thread may own the address.
    let resizing = live::may_be_recorded(old as u64)
        .then(|| STATE.lock().begin_resizing(old as u64))
        .flatten();
    let chance = if look { decide(thread, bytes) } else { None };
    let block = call();
    if block.is_null() && bytes > 0 {
        if let Some(entry) = resizing {
            STATE.lock().not_resized(entry);
        }
        return block;
    }
    if let Some(entry) = resizing {
        STATE.lock().resized(entry);
    }
    if let (Some(chance), false) = (chance, block.is_null()) {
        record(block, bytes, chance, kind);
    }
    block
}

fn record(block: Pointer, bytes: usize, chance: Chance, kind: KindOf) {
    let kind = kind(block);
    let mut state = STATE.lock();
    state.add(block as u64, bytes as u64, chance, kind);
    stash::look_after(&state.settings);
    let tell = bytes as u64 >= state.settings.large_request;
    drop(state);
    if tell {
        tell_large(bytes as u64);
    }
}

/// Tells the supervisor of a large block that has just been allocated.
#[cold]
fn tell_large(bytes: u64) {
    message_pipe::send(Message::LargeBlock { pid: sys::pid(), bytes });
}

/// A block for which [`live::may_be_recorded`] holds is about to be freed.
#[cold]
#[inline(never)]
pub fn freed(block: Pointer) {
    if let Some(_inside) = Inside::enter() {
        STATE.lock().free(block as u64);
    }
}

/// The program has mapped memory, or reserved address space. `file` tells which file in memory it is, 0 for none.
pub fn mapped(start: Pointer, bytes: u64, kind: Kind, file: u64) {
    if let (true, Some(_inside)) = (RECORDING.load(Relaxed), InsideMapping::enter()) {
        let mut state = STATE.lock();
        state.map(start as u64, page_round(bytes), kind, file);
        if !kind.is_counted() {
            return;
        }
        stash::look_after(&state.settings);
        let tell = bytes >= state.settings.large_request;
        drop(state);
        if tell {
            tell_large(bytes);
        }
    }
}

/// The program has made a range writable.
pub fn made_writable(start: Pointer, bytes: u64) {
    if ANY_MAPPING.load(Relaxed)
        && let Some(_inside) = InsideMapping::enter()
    {
        STATE.lock().commit(start as u64, page_round(bytes));
    }
}

/// The program is about to give back the pages of a range, and keeps the range.
pub fn gives_back(start: Pointer, bytes: u64) {
    if bytes >= LOOK_BYTES
        && RECORDING.load(Relaxed)
        && let Some(_inside) = Inside::enter()
    {
        STATE.lock().recorder.gives_back(start as u64, bytes);
    }
}

/// The program is about to unmap a range, or has mapped over it. Returns the first mapping in it that is known.
pub fn unmapped(start: Pointer, bytes: u64) -> Option<Mapping> {
    let _inside = ANY_MAPPING.load(Relaxed).then(InsideMapping::enter)??;
    STATE.lock().unmap(start as u64, page_round(bytes))
}

/// As [`unmapped`], of a whole mapping by its first byte.
pub fn unmapped_all(start: Pointer) -> Option<Mapping> {
    let _inside = ANY_MAPPING.load(Relaxed).then(InsideMapping::enter)??;
    STATE.lock().unmap_all(start as u64)
}

/// Re-inserts a mapping whose munmap failed or which mremap moved.
pub fn still_mapped(start: Pointer, bytes: u64, what: Mapping) {
    if let Some(_inside) = InsideMapping::enter() {
        let start = start as u64;
        STATE.lock().map_as(Mapping {
            start,
            end: start.saturating_add(page_round(bytes)),
            ..what
        });
    }
}

fn page_round(bytes: u64) -> u64 {
    bytes.saturating_add(4095) & !4095
}

/// pymalloc got an arena (more than 0) or gave one back.
pub fn arena_changed(bytes: i64) {
    if let Some(header) = header::current() {
        header.arena_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn heap(_: Pointer) -> Kind {
        Kind::Heap
    }

    const THREADS: u64 = 8;
    const BLOCKS: u64 = 3000;

    fn pointer(address: u64) -> Pointer {
        address as Pointer
    }

    /// One test, since a process has one state.
    #[test]
    fn eight_threads_add_up_to_the_byte() {
        let _one = crate::live::tests::ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().expect("a temporary folder");
        STATE.lock().settings = Settings {
            exact: true,
            ..Settings::off()
        };
        let run = folder.path().as_os_str().as_encoded_bytes();
        STATE.lock().settings.run.push(run);
        STATE.lock().live.expect_every_block();
        EXACT.store(true, Relaxed);
        RECORDING.store(true, Relaxed);
        let address = |thread: u64, block: u64| 0x10_0000_0000 * (thread + 1) + block * 4096;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    for block in 0..BLOCKS {
                        let at = pointer(address(thread, block));
                        assert_eq!(allocate_looking(heap, 100, || at), at);
                        if block % 3 == 0 {
                            assert!(live::may_be_recorded(at as u64));
                            freed(at);
                        } else if block % 3 == 1 {
                            // Grown in place, and once in vain.
                            assert_eq!(reallocate(heap, at, 250, true, || at), at);
                            assert!(reallocate(heap, at, 1 << 60, true, || pointer(0)).is_null());
                        }
                    }
                });
            }
        });
        let header = header::current().expect("a recording");
        let third = THREADS * BLOCKS / 3;
        // A process that is killed while it copies a block still has it.
        let (at, before) = (pointer(0x100), header.live_bytes.load(Relaxed));
        allocate_looking(heap, 1000, || at);
        reallocate(heap, at, 3000, true, || {
            assert_eq!(header.live_bytes.load(Relaxed), before + 1000);
            pointer(0x200)
        });
        assert_eq!(header.live_bytes.load(Relaxed), before + 3000);
        freed(pointer(0x200));
        assert_eq!(header.live_bytes.load(Relaxed), third * 250 + third * 100);
        assert!(header.peak_bytes.load(Relaxed) >= header.live_bytes.load(Relaxed));
        assert_eq!(header.samples.load(Relaxed), THREADS * BLOCKS + third + 2);
        mapped(pointer(0x9000), 1 << 20, Kind::Reserved, 0);
        mapped(pointer(0x5000), 10_000, Kind::Mapping, 0);
        assert_eq!(header.live_bytes.load(Relaxed), third * 350 + 12_288);
        assert!(unmapped(pointer(0x6000), 4096).is_some());
        assert_eq!(header.live_bytes.load(Relaxed), third * 350 + 8192);
        let kind = |kind: Kind| header.kinds[kind as usize].bytes.load(Relaxed);
        assert_eq!((kind(Kind::Heap), kind(Kind::Mapping)), (third * 350, 8192));
        // Committed piece by piece, in the middle of what is reserved.
        made_writable(pointer(0x20000), 4096);
        made_writable(pointer(0x21000), 4096);
        assert_eq!(kind(Kind::Mapping), 16_384);
        unmapped(pointer(0x9000), 1 << 20);
        assert_eq!(kind(Kind::Mapping), 8192);
        for (thread, block) in (0..THREADS).flat_map(|thread| (0..BLOCKS).map(move |block| (thread, block))) {
            if live::may_be_recorded(address(thread, block)) {
                freed(pointer(address(thread, block)));
            }
        }
        assert_eq!(header.live_bytes.load(Relaxed), 8192);
        assert_eq!(header.sequence.load(Relaxed) % 2, 0);
    }
}
