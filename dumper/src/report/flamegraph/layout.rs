//! Where each frame is, and how wide.

use std::fmt;

use crate::report::drawing::Frame;

/// Above this, the numbers of the picture would no longer be exact in JavaScript.
const LARGEST_TOTAL: u64 = 1 << 53;
/// A frame that is narrower than one part in this many is left out, as inferno does.
const NARROWEST: u64 = 10_000;

/// One frame's place.
pub(super) struct Span {
    /// Its index in the drawing.
    pub(super) frame: usize,
    /// Bytes to the left of it.
    pub(super) first: u64,
    /// Its own.
    pub(super) count: u64,
    pub(super) x: Percent,
    pub(super) width: Percent,
}

/// A part of the whole width, in ten-thousandths of a percent.
#[derive(Clone, Copy)]
pub(super) struct Percent(u64);

impl Percent {
    const ALL: u64 = 1_000_000;

    /// Rounded.
    fn of(part: u64, whole: u64) -> Percent {
        let whole = u128::from(whole.max(1));
        Percent(((u128::from(part) * u128::from(Percent::ALL) * 2 + whole) / (whole * 2)) as u64)
    }

    pub(super) fn percent(self) -> f64 {
        self.0 as f64 / 10_000.0
    }

    /// Three pixels of 1200 further to the right.
    pub(super) fn and_a_quarter(self) -> Percent {
        Percent(self.0 + 2500)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:04}%", self.0 / 10_000, self.0 % 10_000)
    }
}

/// The places of all frames that can be seen, in the order in which a reader from left to right comes to their right
/// edges, of several edges the lowest frame's first.
pub(super) fn places(frames: &[Frame]) -> Vec<Span> {
    let total = frames[0].total.bytes;
    let scaled = |bytes: u64| match total {
        0..=LARGEST_TOTAL => bytes,
        _ => (u128::from(bytes) * u128::from(LARGEST_TOTAL) / u128::from(total)) as u64,
    };
    let whole = frames.iter().skip(1).map(|frame| scaled(frame.own)).sum();
    let mut places = Vec::with_capacity(frames.len());
    // The frames that have begun, and where.
    let mut begun: Vec<(usize, u64)> = Vec::new();
    let mut at = 0;
    let mut end = |begun: &mut Vec<(usize, u64)>, depth: usize, at: u64| {
        for (frame, first) in begun.drain(depth..) {
            let count = at - first;
            if u128::from(count) * u128::from(NARROWEST) >= u128::from(whole) {
                places.push(Span {
                    frame,
                    first,
                    count,
                    x: Percent::of(first, whole),
                    width: Percent::of(count, whole),
                });
            }
        }
    };
    for (index, frame) in frames.iter().enumerate() {
        end(&mut begun, frame.depth as usize, at);
        begun.push((index, at));
        // The root itself holds nothing.
        at += if index == 0 { 0 } else { scaled(frame.own) };
    }
    end(&mut begun, 0, at);
    places
}

/// The width of all frames together.
pub(super) fn total(places: &[Span]) -> u64 {
    places.iter().map(|place| place.first + place.count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Tally;
    use crate::report::drawing::What;

    fn frame(parent: u32, depth: u32, total: u64, own: u64) -> Frame {
        let what = if depth == 0 { What::All } else { What::Small };
        let total = Tally {
            bytes: total,
            ..Tally::default()
        };
        Frame {
            parent,
            depth,
            what,
            total,
            own,
        }
    }

    fn laid_out(frames: &[Frame]) -> Vec<(usize, u64, u64)> {
        places(frames)
            .iter()
            .map(|place| (place.frame, place.first, place.count))
            .collect()
    }

    #[test]
    fn frames_stand_beside_each_other_on_their_parents() {
        let frames = [
            frame(0, 0, 100, 0),
            frame(0, 1, 70, 10),
            frame(1, 2, 60, 60),
            frame(0, 1, 30, 30),
        ];
        assert_eq!(laid_out(&frames), [(1, 0, 70), (2, 10, 60), (0, 0, 100), (3, 70, 30)]);
        assert_eq!(total(&places(&frames)), 100);
    }

    #[test]
    fn a_frame_that_nobody_could_see_is_left_out() {
        let frames = [frame(0, 0, 100_000, 0), frame(0, 1, 99_991, 99_991), frame(0, 1, 9, 9)];
        assert_eq!(laid_out(&frames), [(1, 0, 99_991), (0, 0, 100_000)]);
    }

    #[test]
    fn totals_beyond_what_javascript_counts_are_scaled() {
        let total = LARGEST_TOTAL * 2;
        let frames = [frame(0, 0, total, 0), frame(0, 1, total, total)];
        assert_eq!(laid_out(&frames)[0].2, LARGEST_TOTAL);
    }

    #[test]
    fn percents_have_four_decimals() {
        let shown = |part, whole| Percent::of(part, whole).to_string();
        assert_eq!(shown(1, 3), "33.3333%");
        assert_eq!(shown(2, 3), "66.6667%");
        assert_eq!(shown(7, 7), "100.0000%");
        assert_eq!(Percent::of(0, 1).and_a_quarter().to_string(), "0.2500%");
    }
}
