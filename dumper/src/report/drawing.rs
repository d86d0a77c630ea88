//! What of a call tree a flame graph shows: large enough to see and not too deep, the largest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::profile::prune::{self, Limits};
use crate::profile::{CallTree, Tally};

/// What is below one part in this many of the total is folded.
const SMALL: u64 = 1000;
/// Rows drawn; the callstacks' other ends are in the reversed picture.
const DEEPEST: u32 = 100;

/// Frames of their own that calls get, the largest first. Nobody looks at more, and a browser takes its time for them.
const MOST: usize = 2000;

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
        let drawn = drawn(tree, sketch.smallest);
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
                sketch.hang_on(parent, what, tree.total(id), drawn[id])
            };
        }
        sketch.finish()
    }

    /// The lines that allocated, with their callers hanging on them. An import is one of these lines, with all that it allocated.
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
        let charges = tree.charges();
        let own = (0..tree.nodes().len() as u32).map(|id| {
            let import = Some(charges[id as usize].import).filter(|import| *import > 0);
            (import.unwrap_or(id), tree.own(id as usize))
        });
        let mut shares: Vec<(u32, Tally)> = own.filter(|(_, own)| own.bytes > 0).collect();
        // What each line holds on a frame that has been drawn: by size, and for equal sizes the same in every report; with its place
        // among the groups of nodes up to which that is so.
        let mut unfinished = BinaryHeap::new();
        let mut groups: Vec<(Tally, Vec<(u32, Tally)>)> = Vec::new();
        let mut parent = 0;
        loop {
            shares.sort_unstable_by_key(call);
            for group in shares.chunk_by(|a, b| call(a) == call(b)) {
                let (function, line) = call(&group[0]);
                let mut total = Tally::default();
                group.iter().for_each(|(_, held)| total += *held);
                let what = What::Call { function, line };
                if total.bytes < sketch.smallest {
                    sketch.hang_on(parent, what, total, false);
                } else {
                    unfinished.push((total.bytes, Reverse((parent, function, line)), groups.len()));
                    groups.push((total, group.to_vec()));
                }
            }
            let Some((_, Reverse((on, function, line)), place)) = unfinished.pop() else {
                break;
            };
            let (total, group) = std::mem::take(&mut groups[place]);
            let has_room = sketch.calls < MOST;
            parent = sketch.hang_on(on, What::Call { function, line }, total, has_room);
            let is_drawn = matches!(sketch.frames[parent as usize].what, What::Call { .. });
            shares = match is_drawn {
                true => group.iter().filter_map(caller).collect(),
                false => Vec::new(),
            };
        }
        sketch.finish()
    }
}

/// Which nodes get a frame of their own: those that hold `smallest`, or if they are too many, the largest; of equals a caller
/// before what it calls.
fn drawn(tree: &CallTree, smallest: u64) -> Vec<bool> {
    let nodes = tree.nodes();
    let mut depths = vec![0; nodes.len()];
    let mut large = Vec::new();
    for (id, node) in nodes.iter().enumerate().skip(1) {
        depths[id] = DEEPEST.min(depths[node.parent as usize] + 1);
        if depths[id] < DEEPEST && tree.total(id).bytes >= smallest {
            large.push(id as u32);
        }
    }
    let size = |id: &u32| (Reverse(tree.total(*id as usize).bytes), *id);
    prune::flags(nodes.len(), prune::keep(large, Limits::count(MOST), size, |_| 0))
}

/// A drawing in the order in which its frames were found.
struct Sketch {
    frames: Vec<Frame>,
    /// The frame for what is folded, for each frame that has one.
    folded: HashMap<u32, u32>,
    smallest: u64,
    /// Frames that have a call of their own.
    calls: usize,
}

impl Sketch {
    fn new(tree: &CallTree) -> Sketch {
        let total = tree.all();
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
            calls: 0,
        }
    }

    /// Puts `total` on `parent`, in a frame of its own if it is large enough, or in the one for what is folded; returns that
    /// frame.
    fn hang_on(&mut self, parent: u32, what: What, total: Tally, is_large: bool) -> u32 {
        let holder = &mut self.frames[parent as usize];
        holder.own = holder.own.saturating_sub(total.bytes);
        let depth = holder.depth + 1;
        let new = self.frames.len() as u32;
        let (index, what) = match (depth >= DEEPEST, !is_large) {
            (true, _) => (*self.folded.entry(parent).or_insert(new), What::Deeper),
            (false, true) => (*self.folded.entry(parent).or_insert(new), What::Small),
            (false, false) => (new, what),
        };
        if index == new {
            self.calls += usize::from(matches!(what, What::Call { .. }));
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
