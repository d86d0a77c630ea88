//! A difference as a flame graph: red grew, blue shrank. A frame is as wide as what was in it in the run in which that was more, so
//! that what is gone can be seen too.

use std::io::{self, Write};

use super::merged::Merged;
use super::{Diff, text};
use crate::call_tree::{CallTree, Moment};
use crate::report::drawing::{Drawing, What};
use crate::report::flamegraph::{self, Caption, Colour, Look, Name, Names};
use crate::source::Sources;
use crate::units::Bytes;

pub(super) fn write(out: &mut dyn Write, diff: &Diff) -> io::Result<()> {
    let recording = diff.merged.drawn(&diff.pairs);
    let tree = CallTree::of(&recording, Moment::Live);
    let drawing = Drawing::by_caller(&tree);
    // The text of each line is known; no file is asked.
    let mut sources = Sources::new("".as_ref());
    let mut names = Names::new(&tree, &mut sources, "");
    for (pair, key) in diff.pairs.pairs().iter().zip(0..) {
        let line = pair.shown();
        let name = Name {
            label: line.label.clone(),
            code: line.code.clone().unwrap_or_default(),
        };
        names.know((key, 0), name);
    }
    let totals = totals(&drawing, &diff.merged);
    let look = |frame: usize| {
        let (old, new) = totals[frame];
        Look {
            held: format!("{} → {}, {}", Bytes(old), Bytes(new), text::change(old, new)),
            fill: colour(old, new),
        }
    };
    let caption = Caption {
        title: text::headline(diff),
        subtitle: "red grew, blue shrank, white is as it was; as wide as the larger of the two".to_owned(),
    };
    flamegraph::paint(out, &drawing, &mut names, caption, &look)
}

/// What each frame held in the old run and in the new one.
fn totals(drawing: &Drawing, merged: &Merged) -> Vec<(u64, u64)> {
    let frames = &drawing.frames;
    let mut nodes: Vec<Option<u32>> = vec![Some(0); frames.len()];
    let mut totals = vec![(0, 0); frames.len()];
    // What of a node no frame has taken yet, for the frame that stands for the rest.
    let mut left: Vec<(u64, u64)> = vec![(0, 0); frames.len()];
    for (index, frame) in frames.iter().enumerate() {
        let parent = frame.parent as usize;
        nodes[index] = match frame.what {
            What::All => Some(0),
            What::Call { function, .. } => nodes[parent].and_then(|node| merged.child(node, function)),
            What::Small | What::Deeper => None,
        };
        if let Some(both) = nodes[index].map(|node| &merged.nodes[node as usize]) {
            totals[index] = (both.old_total, both.new_total);
            left[index] = (
                both.old_total.saturating_sub(both.old.bytes),
                both.new_total.saturating_sub(both.new.bytes),
            );
            if index > 0 {
                left[parent].0 = left[parent].0.saturating_sub(both.old_total);
                left[parent].1 = left[parent].1.saturating_sub(both.new_total);
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

/// By how much of the larger of the two is new, or gone.
fn colour(old: u64, new: u64) -> Colour {
    let larger = old.max(new).max(1) as f64;
    let change = (new as f64 - old as f64) / larger;
    let fade = |full: u8| (255.0 + (f64::from(full) - 255.0) * change.abs().sqrt()).round() as u8;
    let (red, green, blue) = if change >= 0.0 { (232, 72, 56) } else { (64, 118, 224) };
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
        assert_eq!((red, green, blue), (255, 255, 255));
    }
}
