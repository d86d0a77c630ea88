//! What the interposed functions call when a block needs more than a glance: which are recorded, and the bookkeeping around the
//! call. Safe, so that tests call it from many threads without a preload.

use core::sync::atomic::Ordering::Relaxed;

use recording::protocol::Message;
use recording::{AllocFunction, Kind};

use crate::emergency::{self, Failure};
use crate::mappings::Mapping;
use crate::real::Pointer;
use crate::sampler::{self, Chance};
use crate::state::{ANY_MAPPING, EXACT, INTERVAL_LOG2, LARGE_BYTES, RECORDING, STATE};
use crate::thread::{self, Inside, Words};
use crate::{doorbell, errno, file, live, stash, sys};

/// How often a thread looks whether recording has begun, in bytes.
const LOOK_AGAIN: u64 = 64 << 10;

/// Decides about an allocation for which [`thread::spend`] said to look: how it is recorded, if at all.
fn decide(words: &Words, bytes: usize) -> Option<Chance> {
    if !RECORDING.load(Relaxed) {
        words.arm(LOOK_AGAIN, LOOK_AGAIN);
        return None;
    }
    if EXACT.load(Relaxed) {
        words.arm(0, 0);
        return Some(Chance::Certain);
    }
    let (size, large) = (bytes as u64, LARGE_BYTES.load(Relaxed));
    if words.random.get() == 0 {
        words
            .random
            .set(sys::now_ns(false) ^ (sys::thread_id() as u64) << 40 | 1);
        words.arm(draw(words), large - 1);
        return decide_armed(words, size, large);
    }
    words.arm(words.before(bytes), large - 1);
    decide_armed(words, size, large)
}

fn decide_armed(words: &Words, bytes: u64, large: u64) -> Option<Chance> {
    if bytes >= large {
        return Some(Chance::Certain);
    }
    let left = words.distance();
    if left >= bytes {
        words.arm(left - bytes, large - 1);
        return None;
    }
    let drawn_with = words.interval_log2.get();
    words.arm(draw(words), large - 1);
    Some(Chance::Interval(drawn_with))
}

fn draw(words: &Words) -> u64 {
    let log2 = INTERVAL_LOG2.load(Relaxed);
    words.interval_log2.set(log2);
    let mut random = words.random.get();
    let distance = sampler::draw(&mut random, log2);
    words.random.set(random);
    distance
}

/// An allocation below a hook that counts by itself, or of our own, ran the countdown out: what is left after it is as good as
/// newly drawn.
fn skip(words: &Words) {
    if RECORDING.load(Relaxed) && !EXACT.load(Relaxed) && words.random.get() != 0 {
        words.arm(draw(words), LARGE_BYTES.load(Relaxed) - 1);
    } else {
        words.arm(0, 0);
    }
}

/// Says what kind of memory a new block is.
pub type KindOf = fn(Pointer) -> Kind;

/// Allocates by `call` where the countdown ran out.
#[cold]
#[inline(never)]
pub fn allocate_looking(kind: KindOf, bytes: usize, call: impl FnOnce() -> Pointer) -> Pointer {
    let words = thread::words();
    let Some(_inside) = Inside::enter() else {
        skip(words);
        return call();
    };
    let chance = decide(words, bytes);
    let block = call();
    if let (Some(chance), false) = (chance, block.is_null()) {
        record(block, bytes, chance, kind);
    }
    block
}

/// Resizes by `call`; `look` says that the countdown ran out. Whatever lies below does not count.
pub fn reallocate(kind: KindOf, old: Pointer, bytes: usize, look: bool, call: impl FnOnce() -> Pointer) -> Pointer {
    let words = thread::words();
    let Some(_inside) = Inside::enter() else {
        if look {
            skip(words);
        }
        return call();
    };
    // Out before the call: once it has returned, another thread may own the address.
    let removed = live::may_be_recorded(old as u64)
        .then(|| STATE.lock().remove(old as u64))
        .flatten();
    let chance = if look { decide(words, bytes) } else { None };
    let block = call();
    if block.is_null() {
        if let (Some(entry), true) = (removed, bytes > 0) {
            STATE.lock().restore(entry);
        }
    } else if let Some(chance) = chance {
        record(block, bytes, chance, kind);
    }
    block
}

fn record(block: Pointer, bytes: usize, chance: Chance, kind: KindOf) {
    let kind = kind(block);
    let mut state = STATE.lock();
    state.add(block as u64, bytes as u64, chance, kind);
    stash::look_after(&mut state);
    let tell = bytes as u64 >= state.settings.large_request;
    drop(state);
    if tell {
        tell_large(bytes as u64);
    }
}

/// Tells the supervisor of a large block that has just been allocated.
#[cold]
fn tell_large(bytes: u64) {
    doorbell::send(Message::LargeBlock { pid: sys::pid(), bytes });
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
    if let (true, Some(_inside)) = (RECORDING.load(Relaxed), Inside::enter()) {
        let mut state = STATE.lock();
        state.map(start as u64, page_round(bytes), kind, file);
        if !kind.is_counted() {
            return;
        }
        stash::look_after(&mut state);
        let tell = bytes >= state.settings.large_request;
        drop(state);
        if tell {
            tell_large(bytes);
        }
    }
}

/// The program may write to a range from now on.
pub fn made_writable(start: Pointer, bytes: u64) {
    if ANY_MAPPING.load(Relaxed)
        && let Some(_inside) = Inside::enter()
    {
        STATE.lock().commit(start as u64, page_round(bytes));
    }
}

/// The program is about to unmap a range, or has mapped over it. What it had there first, if anything that is known.
pub fn unmapped(start: Pointer, bytes: u64) -> Option<Mapping> {
    if !ANY_MAPPING.load(Relaxed) {
        return None;
    }
    let _inside = Inside::enter()?;
    STATE.lock().unmap(start as u64, page_round(bytes))
}

/// As [`unmapped`], of a whole mapping by its first byte.
pub fn unmapped_all(start: Pointer) -> Option<Mapping> {
    if !ANY_MAPPING.load(Relaxed) {
        return None;
    }
    let _inside = Inside::enter()?;
    STATE.lock().unmap_all(start as u64)
}

/// What [`unmapped`] was told did not come to pass, or what was there is elsewhere now.
pub fn still_mapped(start: Pointer, bytes: u64, what: Mapping) {
    if let Some(_inside) = Inside::enter() {
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
    if let Some(header) = file::header() {
        header.arena_bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// An allocator came back without memory: is that why, or were the arguments wrong? Comes back without memory itself, so that the
/// caller may leave by calling it.
#[cold]
#[inline(never)]
pub fn came_back_empty(function: AllocFunction, bytes: usize) -> Pointer {
    if errno::get() == libc::ENOMEM {
        failed(function, bytes);
    }
    core::ptr::null_mut()
}

/// An allocation failed. Does not return if that ends the process. Below a hook or another allocator of ours it is not yet told:
/// the call above may cope, and until it is back a block that was to be resized is not in the recording.
#[cold]
#[inline(never)]
pub fn failed(function: AllocFunction, bytes: usize) {
    if RECORDING.load(Relaxed) && bytes > 0 && !thread::words().is_inside() {
        emergency::failed(Failure {
            function,
            bytes: bytes as u64,
            coped_with: false,
        });
    }
}

/// pymalloc got no arena. It goes on with malloc, which may still have a little.
#[cold]
#[inline(never)]
pub fn arena_failed(bytes: usize) {
    if RECORDING.load(Relaxed) {
        emergency::failed(Failure {
            function: AllocFunction::Mmap,
            bytes: bytes as u64,
            coped_with: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Path, Settings};

    fn heap(_: Pointer) -> Kind {
        Kind::Heap
    }

    const THREADS: u64 = 8;
    const BLOCKS: u64 = 3000;

    fn pointer(address: u64) -> Pointer {
        address as Pointer
    }

    /// One test, since there is one state in a process.
    #[test]
    fn eight_threads_add_up_to_the_byte() {
        let _one = crate::live::tests::ONE_AT_A_TIME.lock();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut run = Path::new();
        run.push(folder.path().as_os_str().as_encoded_bytes());
        STATE.lock().settings = Settings {
            run: Some(run),
            exact: true,
            ..Settings::off()
        };
        STATE.lock().expect_every_block();
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
        let header = file::header().expect("a recording");
        let third = THREADS * BLOCKS / 3;
        assert_eq!(header.live_bytes.load(Relaxed), third * 250 + third * 100);
        assert!(header.peak_bytes.load(Relaxed) >= header.live_bytes.load(Relaxed));
        assert_eq!(header.samples.load(Relaxed), THREADS * BLOCKS + third);
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
