//! A difference as a flame graph: red grew, blue shrank, grey may be chance. A frame is as wide as what was in it in the run in which that was more, so
//! that what is gone can be seen too.

use std::io::{self, Write};

use super::merged::Merged;
use super::{Diff, text};
use crate::profile::{Moment, Rank, Tally};
use crate::report::drawing::{Drawing, What};
use crate::report::flamegraph::{self, Caption, Colour, Label, Labels, Look};
use crate::source::{LocalSource, Sources};
use crate::units::Bytes;

pub(super) fn write(out: &mut dyn Write, diff: &Diff) -> io::Result<()> {
    let profile = diff.merged.profile(&diff.pairs);
    let tree = profile.at(Moment::Live).by(Rank::Requested);
    let drawing = Drawing::by_caller(&tree);
    // The text of each line is known; no file is asked.
    let mut sources = Sources::new("".as_ref(), &LocalSource::Nothing, &[]);
    let mut labels = Labels::new(&tree, &mut sources, "");
    for frame in &drawing.frames {
        if let What::Call { function: key, .. } = frame.what {
            let label = Label {
                label: diff.pairs.label(key),
                code: diff.pairs.pair(key).shown().code.clone().unwrap_or_default(),
            };
            labels.know((key, 0), label);
        }
    }
    let totals = totals(&drawing, &diff.merged);
    let look = |frame: usize| {
        let Totals { old, new, variance } = totals[frame];
        let error = Tally {
            variance,
            ..Tally::default()
        };
        let is_chance = new.abs_diff(old) <= error.error().saturating_mul(2);
        Look {
            held: format!("{} → {}, {}", Bytes(old), Bytes(new), text::change(old, new)),
            fill: if is_chance { colour(new, new) } else { colour(old, new) },
        }
    };
    let caption = Caption {
        title: text::headline(diff),
        subtitle: "red grew, blue shrank, grey is as it was or may be chance; as wide as the larger of the two"
            .to_owned(),
    };
    flamegraph::paint(out, &drawing, &mut labels, caption, &look)
}

/// What a frame held in the old run and in the new one.
#[derive(Clone, Copy, Default)]
struct Totals {
    old: u64,
    new: u64,
    variance: u64,
}

impl Totals {
    fn without(self, old: u64, new: u64, variance: u64) -> Totals {
        Totals {
            old: self.old.saturating_sub(old),
            new: self.new.saturating_sub(new),
            variance: self.variance.saturating_sub(variance),
        }
    }
}

fn totals(drawing: &Drawing, merged: &Merged) -> Vec<Totals> {
    let frames = &drawing.frames;
    let mut nodes: Vec<Option<u32>> = vec![Some(0); frames.len()];
    let mut totals = vec![Totals::default(); frames.len()];
    // What of a node no frame has taken yet, for the frame that stands for the rest.
    let mut left = totals.clone();
    for (index, frame) in frames.iter().enumerate() {
        let parent = frame.parent as usize;
        nodes[index] = match frame.what {
            What::All => Some(0),
            What::Call { function, .. } => nodes[parent].and_then(|node| merged.child(node, function)),
            What::Small | What::Deeper => None,
        };
        if let Some(both) = nodes[index].map(|node| &merged.nodes[node as usize]) {
            let all = Totals {
                old: both.old_total,
                new: both.new_total,
                variance: both.variance,
            };
            totals[index] = all;
            let own = both.old.variance.saturating_add(both.new.variance);
            left[index] = all.without(both.old.bytes, both.new.bytes, own);
            if index > 0 {
                left[parent] = left[parent].without(all.old, all.new, all.variance);
            }
        }
    }
    for (index, frame) in frames.iter().enumerate() {
        if matches!(frame.what, What::Small | What::Deeper) {
            totals[index] = left[frame.parent as usize];
        }
    }
    totals
}

/// The grey of what is as it was.
const SAME: u8 = 236;

/// By how much of the larger of the two is new, or gone.
fn colour(old: u64, new: u64) -> Colour {
    let larger = old.max(new).max(1) as f64;
    let change = (new as f64 - old as f64) / larger;
    let fade = |full: u8| (f64::from(SAME) + (f64::from(full) - f64::from(SAME)) * change.abs().sqrt()).round() as u8;
    let (red, green, blue) = if change >= 0.0 { (244, 106, 90) } else { (110, 158, 244) };
    Colour(fade(red), fade(green), fade(blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_red_and_what_shrank_is_blue() {
        let Colour(red, _, blue) = colour(100, 200);
        assert!(red > blue);
        let Colour(red, _, blue) = colour(200, 100);
        assert!(blue > red);
        let Colour(red, green, blue) = colour(7, 7);
        assert_eq!((red, green, blue), (SAME, SAME, SAME));
    }
}
