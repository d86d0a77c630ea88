//! A copy of the recording in another file, for a report of a part: of what is held now, or of one window.

use core::ffi::CStr;
use core::mem::offset_of;
use core::sync::atomic::Ordering::Relaxed;

use recording::{CHUNK_BYTES, HEADER_BYTES, Header, KINDS, KindSum, OF_ABSENT, Site, Snapshot, Table, Tally};

use crate::array::Array;
use crate::file::{Recording, allowed};
use crate::snapshot::held;
use crate::sys::{self, Errno, File};
use crate::windows::WindowView;

/// What the copy is to show.
pub enum Shown<'a> {
    /// All that is recorded.
    All,
    /// What is held now, as if that were the peak.
    Now,
    /// What has grown while a window was open.
    Window(&'a WindowView<'a>),
}

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Writes the copy. Its buffer is private memory, so that neither the job's heap nor its stack is needed.
pub fn write(header: &'static Header, file: &Recording, shown: &Shown, path: &CStr) -> Result<(), Errno> {
    let chunks = header.chunk_count.load(Relaxed) as usize;
    allowed(HEADER_BYTES + chunks * CHUNK_BYTES)?;
    let copy = File::open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_NOFOLLOW)?;
    let mut buffer = Array::<u64>::zeroed(CHUNK_BYTES / WORD).ok_or(Errno(libc::ENOMEM))?;
    let mut sums = [0u64; 3];
    let mut number = 0;
    file.each_chunk(header, |table, first, words| -> Result<(), Errno> {
        buffer
            .iter_mut()
            .zip(words)
            .for_each(|(to, from)| *to = from.load(Relaxed));
        if table == Table::Sites {
            let published = header.counts[Table::Sites as usize - 1].load(Relaxed) as usize;
            let records = buffer.chunks_exact_mut(size_of::<Site>() / WORD);
            for (index, words) in records.enumerate().take(published.saturating_sub(first)) {
                let Some(site) = file.record::<Site>((first + index) as u32) else {
                    break;
                };
                adjust(words, header, site, shown, &mut sums);
            }
        }
        copy.write_at(&buffer, HEADER_BYTES + number * CHUNK_BYTES)?;
        number += 1;
        Ok(())
    })?;
    file.header_words(header)
        .zip(buffer.iter_mut())
        .for_each(|(from, to)| *to = from.load(Relaxed));
    let words = buffer.get_mut(..HEADER_BYTES / WORD).ok_or(Errno(libc::EINVAL))?;
    summarize(words, header, shown, sums);
    // Last, as in any recording.
    copy.write_at(words, 0)
}

fn adjust(words: &mut [u64], header: &Header, site: &Site, shown: &Shown, sums: &mut [u64; 3]) {
    if site.node.load(Relaxed) & OF_ABSENT != 0 && !matches!(shown, Shown::All) {
        // How much of that is in memory is not known.
        words.iter_mut().skip(1).for_each(|word| *word = 0);
        return;
    }
    let held = match shown {
        Shown::All => return,
        Shown::Now => {
            let now = held(&site.live);
            [now, now, [0; 3]]
        }
        Shown::Window(view) => view.growth(header, site),
    };
    let places = [
        offset_of!(Site, live),
        offset_of!(Site, peak) + offset_of!(Snapshot, saved),
        offset_of!(Site, oom) + offset_of!(Snapshot, saved),
    ];
    for ((place, tally), sum) in places.into_iter().zip(held).zip(sums.iter_mut()) {
        let [bytes, blocks, variance] = tally;
        put(words, place + offset_of!(Tally, bytes), bytes);
        put(words, place + offset_of!(Tally, blocks), blocks);
        put(words, place + offset_of!(Tally, variance), variance);
        *sum = sum.saturating_add(bytes);
    }
    for epoch in [offset_of!(Site, peak), offset_of!(Site, oom)] {
        put_small(words, epoch + offset_of!(Snapshot, epoch), 1);
    }
}

fn summarize(words: &mut [u64], header: &Header, shown: &Shown, [now, peak, failed]: [u64; 3]) {
    let (peak_time_ns, has_failed) = match shown {
        Shown::All => return,
        Shown::Now => (sys::now_ns(false), false),
        Shown::Window(view) => (view.peak_time_ns, view.has_failed),
    };
    put(words, offset_of!(Header, live_bytes), now);
    put(words, offset_of!(Header, peak_bytes), peak);
    put(words, offset_of!(Header, peak_time_ns), peak_time_ns);
    put_small(words, offset_of!(Header, peak_epoch), 1);
    put_small(words, offset_of!(Header, oom_epoch), has_failed as u32);
    put_small(words, offset_of!(Header, earlier_epoch), 0);
    put(words, offset_of!(Header, oom_live_bytes), failed);
    put_small(words, offset_of!(Header, state), recording::STATE_ENDED);
    let failures = match shown {
        Shown::Window(view) => {
            put(words, offset_of!(Header, started_ns), view.began_ns);
            header.failures.load(Relaxed).saturating_sub(view.failures)
        }
        _ => 0,
    };
    put(words, offset_of!(Header, failures), failures);
    // The kinds of what has grown in a window, or is held now, are not known: zeros, as in a file without kinds.
    let kinds = offset_of!(Header, kinds);
    for offset in (kinds..kinds + size_of::<[KindSum; KINDS]>()).step_by(WORD) {
        put(words, offset, 0);
    }
    // Nor is how much of that is in memory: as before the first look.
    for offset in [
        offset_of!(Header, absent_bytes),
        offset_of!(Header, peak_absent_bytes),
        offset_of!(Header, oom_absent_bytes),
        offset_of!(Header, looked_resident_bytes),
    ] {
        put(words, offset, 0);
    }
}

fn put(words: &mut [u64], offset: usize, value: u64) {
    if let Some(word) = words.get_mut(offset / WORD) {
        *word = value;
    }
}

/// As [`put`], for a field of half a word.
fn put_small(words: &mut [u64], offset: usize, value: u32) {
    let shift = offset % WORD * 8;
    if let Some(word) = words.get_mut(offset / WORD) {
        *word = *word & !((u32::MAX as u64) << shift) | (value as u64) << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_word_leaves_the_other_half_alone() {
        let mut words = [0x1111_2222_3333_4444; 2];
        put_small(&mut words, 12, 0xabcd_ef01);
        put_small(&mut words, 0, 7);
        assert_eq!(words, [0x1111_2222_0000_0007, 0xabcd_ef01_3333_4444]);
    }
}
