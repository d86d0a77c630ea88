//! What of a call tree a flame graph shows: large enough to see and not too deep, the largest first.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::call_tree::CallTree;
use crate::recording::Tally;

/// What is below one part in this many of the total is folded.
const SMALL: u64 = 1000;
/// Rows drawn; the callstacks' other ends are in the reversed picture.
const DEEPEST: u32 = 100;

/// One frame of a flame graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    /// Index of the frame that this one hangs on; the root is its own.
    pub(super) parent: u32,
    pub(super) depth: u32,
    pub(super) what: What,
    /// What it stands for, with everything that hangs on it.
    pub(super) total: Tally,
    /// The bytes of `total` that no frame on it stands for.
    pub(super) own: u64,
}

/// What a frame stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Everything: the root.
    All,
    /// A line of a function, both as the tree numbers them.
    Call { function: u32, line: u32 },
    /// Everything on its parent that is too small to be seen.
    Small,
    /// Everything on its parent, which is as deep as is drawn.
    Deeper,
}

/// The frames of one flame graph: each directly after the one it hangs on or after what hangs on its elder siblings;
/// siblings by size.
pub(super) struct Drawing {
    pub(super) frames: Vec<Frame>,
}

impl Drawing {
    /// Callers with what they call hanging on them.
    pub(super) fn by_caller(tree: &CallTree) -> Drawing {
        let mut sketch = Sketch::new(tree);
        // A node that is not drawn has the frame that stands for it.
        let mut frame_of: Vec<u32> = vec![0; tree.nodes().len()];
        for (id, node) in tree.nodes().iter().enumerate().skip(1) {
            let parent = frame_of[node.parent as usize];
            let what = What::Call {
                function: node.function,
                line: node.line,
            };
            let is_folded = !matches!(sketch.frames[parent as usize].what, What::All | What::Call { .. });
            frame_of[id] = if is_folded {
                parent
            } else {
                sketch.hang_on(parent, what, node.total)
            };
        }
        sketch.finish()
    }

    /// The lines that allocated, with their callers hanging on them.
    pub(super) fn by_callee(tree: &CallTree) -> Drawing {
        let mut sketch = Sketch::new(tree);
        let call = |(id, _): &(u32, Tally)| {
            let node = &tree.nodes()[*id as usize];
            (node.function, node.line)
        };
        let caller = |(id, held): &(u32, Tally)| match tree.nodes()[*id as usize].parent {
            0 => None,
            parent => Some((parent, *held)),
        };
        let allocating = tree.nodes().iter().enumerate().filter(|(_, node)| node.own.bytes > 0);
        let shares: Vec<(u32, Tally)> = allocating.map(|(id, node)| (id as u32, node.own)).collect();
        // What each line that allocated holds, at the callers up to which this has been drawn.
        let mut unfinished = vec![(0, shares)];
        while let Some((frame, mut shares)) = unfinished.pop() {
            shares.sort_unstable_by_key(call);
            for group in shares.chunk_by(|a, b| call(a) == call(b)) {
                let (function, line) = call(&group[0]);
                let mut total = Tally::default();
                group.iter().for_each(|(_, held)| total += *held);
                let drawn = sketch.hang_on(frame, What::Call { function, line }, total);
                if matches!(sketch.frames[drawn as usize].what, What::Call { .. }) {
                    unfinished.push((drawn, group.iter().filter_map(caller).collect()));
                }
            }
        }
        sketch.finish()
    }
}

/// A drawing in the order in which its frames were found.
struct Sketch {
    frames: Vec<Frame>,
    /// The frame for what is folded, for each frame that has one.
    folded: HashMap<u32, u32>,
    smallest: u64,
}

impl Sketch {
    fn new(tree: &CallTree) -> Sketch {
        let total = tree.total();
        let root = Frame {
            parent: 0,
            depth: 0,
            what: What::All,
            total,
            own: total.bytes,
        };
        Sketch {
            frames: vec![root],
            folded: HashMap::new(),
            smallest: total.bytes.div_ceil(SMALL),
        }
    }

    /// Puts `total` on `parent`, in a frame of its own or in the one for what is folded; returns that frame.
    fn hang_on(&mut self, parent: u32, what: What, total: Tally) -> u32 {
        let holder = &mut self.frames[parent as usize];
        holder.own = holder.own.saturating_sub(total.bytes);
        let depth = holder.depth + 1;
        let new = self.frames.len() as u32;
        let (index, what) = match (depth >= DEEPEST, total.bytes < self.smallest) {
            (true, _) => (*self.folded.entry(parent).or_insert(new), What::Deeper),
            (false, true) => (*self.folded.entry(parent).or_insert(new), What::Small),
            (false, false) => (new, what),
        };
        if index == new {
            self.frames.push(Frame {
                parent,
                depth,
                what,
                total: Tally::default(),
                own: 0,
            });
        }
        let frame = &mut self.frames[index as usize];
        frame.total += total;
        frame.own = frame.own.saturating_add(total.bytes);
        index
    }

    /// The frames in the order of a drawing.
    fn finish(self) -> Drawing {
        let mut children: Vec<Vec<u32>> = vec![Vec::new(); self.frames.len()];
        for (index, frame) in self.frames.iter().enumerate().skip(1) {
            children[frame.parent as usize].push(index as u32);
        }
        let mut frames = Vec::with_capacity(self.frames.len());
        let mut unfinished = vec![(0, 0)];
        while let Some((index, parent)) = unfinished.pop() {
            let place = frames.len() as u32;
            frames.push(Frame {
                parent,
                ..self.frames[index as usize]
            });
            let mut siblings = std::mem::take(&mut children[index as usize]);
            siblings.sort_unstable_by_key(|sibling| self.rank(*sibling));
            unfinished.extend(siblings.into_iter().rev().map(|sibling| (sibling, place)));
        }
        Drawing { frames }
    }

    /// The first is drawn first: what is folded comes last, the rest by size.
    fn rank(&self, index: u32) -> (bool, Reverse<u64>, u32, u32) {
        let frame = &self.frames[index as usize];
        match frame.what {
            What::Call { function, line } => (false, Reverse(frame.total.bytes), function, line),
            What::All | What::Small | What::Deeper => (true, Reverse(frame.total.bytes), 0, 0),
        }
    }
}
