//! What the sites held at earlier moments, to tell what has grown since; the recording's page says when these are. It is saved at
//! a site's next change, so that a moment itself costs nothing.

use core::sync::atomic::Ordering::Relaxed;

use recording::{Earlier, Header, Site};

use crate::snapshot::at_first_change;

/// The first moment is when the process has run for 7/5 of this, in nanoseconds: the coarse clock has ticked a few times.
const FIRST_NS: u64 = 10_000_000;

/// The total is at its highest: begins another moment if it is time.
#[inline]
pub fn pass(header: &Header, now_ns: u64) {
    let epoch = header.earlier_epoch.load(Relaxed);
    let began = header.started_ns.load(Relaxed);
    let ran = |until: u64| until.saturating_sub(began);
    let last = of(&header.earlier_ns, epoch).load(Relaxed);
    if ran(now_ns) / 7 >= ran(last).max(FIRST_NS) / 5 {
        let next = epoch.wrapping_add(1).max(1);
        of(&header.earlier_ns, next).store(now_ns, Relaxed);
        header.earlier_epoch.store(next, Relaxed);
    }
}

/// A site is about to change; the caller holds the state's lock.
#[inline(always)]
pub fn keep(site: &Site, epoch: u32) {
    at_first_change(&site.earlier_epoch, epoch, || {
        save(site, epoch);
        // It has not changed at the moment before either.
        if epoch.wrapping_sub(site.earlier_epoch.load(Relaxed)) > 1 {
            save(site, epoch.wrapping_sub(1));
        }
    });
}

fn save(site: &Site, epoch: u32) {
    let Earlier { bytes, variance } = of(&site.earlier, epoch);
    bytes.store(site.live.bytes.load(Relaxed), Relaxed);
    variance.store(site.live.variance.load(Relaxed), Relaxed);
}

fn of<T>([even, odd]: &[T; 2], epoch: u32) -> &T {
    if epoch.is_multiple_of(2) { even } else { odd }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn header() -> &'static Header {
        let header = crate::file::Recording::new().begin(b"").expect("private memory");
        header.started_ns.store(1000 * SECOND, Relaxed);
        header
    }

    /// As a reader does it: when the moment before the last was, and what the site held then.
    fn before_the_last(header: &Header, site: &Site) -> (u64, u64) {
        let epoch = header.earlier_epoch.load(Relaxed) - 1;
        let time = of(&header.earlier_ns, epoch).load(Relaxed);
        let has_changed = site.earlier_epoch.load(Relaxed) >= epoch;
        let held = if has_changed {
            &of(&site.earlier, epoch).bytes
        } else {
            &site.live.bytes
        };
        (time, held.load(Relaxed))
    }

    #[test]
    fn the_moment_to_compare_with_is_between_half_and_three_quarters_of_a_rise() {
        let header = header();
        let (steady, old, late) = (Site::default(), Site::default(), Site::default());
        let grow = |site: &Site, bytes| {
            keep(site, header.earlier_epoch.load(Relaxed));
            site.live.bytes.fetch_add(bytes, Relaxed);
        };
        grow(&old, 5);
        for millisecond in 1..200_000u64 {
            let ran = millisecond * SECOND / 1000;
            grow(&steady, 1);
            if millisecond > 150_000 {
                grow(&late, 1);
            }
            pass(header, 1000 * SECOND + ran);
            if millisecond < 30 {
                continue;
            }
            let (time, held) = before_the_last(header, &steady);
            let part = (time - 1000 * SECOND) as f64 / ran as f64;
            assert!((0.49..=0.75).contains(&part), "{part} at {millisecond} ms");
            assert_eq!(held, (time - 1000 * SECOND) / (SECOND / 1000), "{millisecond}");
            assert_eq!(before_the_last(header, &old).1, 5);
        }
        let (time, held) = before_the_last(header, &late);
        assert_eq!(held, ((time - 1000 * SECOND) * 1000 / SECOND).saturating_sub(150_000));
    }
}
