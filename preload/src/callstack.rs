//! The callstack of the current thread as a node of the tree. Frames that the last sample saw too are taken from there; lines
//! already looked up, from a cache.

use core::cell::Cell;

use recording::{Header, Trouble};

use crate::live::Live;
use crate::python::names::Name;
use crate::python::walk::{Frame, Link};
use crate::python::{Look, Python};
use crate::tree::Tree;

/// Frames that a callstack keeps, from the innermost on.
const DEPTH: usize = 2048;
/// Places of the cache of functions.
const FUNCTIONS: usize = 1024;
/// Lines that the cache keeps of the functions that share a place.
const LINES_EACH: usize = 8;
/// How many of them a line can be in.
const PLACES_OF_A_LINE: usize = 4;

/// A code object looked up: its address and the function's id.
type Code = (u64, u32);

/// A frame looked up, and the node that it was last under which other.
#[derive(Clone, Copy)]
struct Line {
    frame: Frame,
    function: u32,
    line: u32,
    parent: u32,
    node: u32,
}

/// A frame of the last sample and the node it led to.
#[derive(Clone, Copy)]
struct Step {
    frame: Frame,
    node: u32,
}

const NO_FRAME: Frame = Frame { code: 0, at: 0 };
const NO_LINK: Link = Link::none();
const NO_LINE: Line = Line {
    frame: NO_FRAME,
    function: 0,
    line: 0,
    parent: 0,
    node: 0,
};
const NO_CODE: Code = (0, 0);

/// What it takes to turn frames into nodes quickly.
pub struct Callstacks {
    /// The interpreter, if there is one that can be read.
    pub python: Option<Python>,
    /// The frames now, innermost first.
    frames: [Frame; DEPTH],
    /// The links of the last sample, innermost first, and the node they led to; no links where it was not worth remembering.
    links: [Link; DEPTH],
    links_length: usize,
    is_innermost_a_frame: bool,
    last_node: u32,
    /// The frames of the last sample, outermost first.
    trail: [Step; DEPTH],
    trail_length: usize,
    lines: [[Line; LINES_EACH]; FUNCTIONS],
    functions: [Code; FUNCTIONS],
    file: Name,
    name: Name,
    /// The node for callstacks without a Python frame; 0 until needed.
    no_python: u32,
}

impl Callstacks {
    /// Nothing seen yet.
    pub const fn new() -> Self {
        Self {
            python: None,
            frames: [NO_FRAME; DEPTH],
            links: [NO_LINK; DEPTH],
            links_length: 0,
            is_innermost_a_frame: false,
            last_node: 0,
            trail: [Step {
                frame: NO_FRAME,
                node: 0,
            }; DEPTH],
            trail_length: 0,
            lines: [[NO_LINE; LINES_EACH]; FUNCTIONS],
            functions: [NO_CODE; FUNCTIONS],
            file: Name::new(),
            name: Name::new(),
            no_python: 0,
        }
    }

    /// For a new recording: ids of the old one mean nothing there.
    pub fn start_over(&mut self) {
        (self.trail_length, self.links_length) = (0, 0);
        self.lines.fill([NO_LINE; LINES_EACH]);
        self.functions.fill(NO_CODE);
        self.no_python = 0;
    }

    /// A block is gone that is or holds a code object whose lines may be in the cache; its address will be used again.
    pub fn forget(&mut self, address: u64) {
        (self.trail_length, self.links_length) = (0, 0);
        for code in [address, address + DEBUG_HEAD] {
            let place = place_of(code);
            if let Some(lines) = self.lines.get_mut(place) {
                let gone = |line: &&mut Line| line.frame.code == code;
                lines.iter_mut().filter(gone).for_each(|line| *line = NO_LINE);
            }
            if let Some(known) = self.functions.get_mut(place).filter(|known| known.0 == code) {
                *known = NO_CODE;
            }
        }
    }

    /// The node of the current thread's callstack, and what is wrong with this Python if that has just turned out.
    pub fn current(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live) -> (u32, Option<Trouble>) {
        let (mut depth, mut links) = (0, 0);
        let (mut deeper, mut is_innermost_a_frame) = (false, false);
        let Self {
            frames,
            links: places,
            links_length,
            python,
            ..
        } = self;
        // The links that are known are overwritten only once they turn out to be others.
        let known = Cell::from_mut(&mut places[..]).as_slice_of_cells();
        let look = python.as_mut().map_or(Look::Nothing, |python| {
            python.look(known.get(..*links_length).unwrap_or_default(), |link, frame| {
                if let Some(place) = known.get(links) {
                    place.set(link);
                }
                is_innermost_a_frame |= links == 0 && frame.is_some();
                links += 1;
                let Some(frame) = frame else { return true };
                match frames.get_mut(depth) {
                    Some(place) => {
                        (*place, depth) = (frame, depth + 1);
                        true
                    }
                    None => {
                        deeper = true;
                        false
                    }
                }
            })
        });
        match look {
            Look::Unchanged => return (self.last_node, None),
            Look::WentOn(link, frame) if self.is_innermost_a_frame => {
                if let Some(first) = self.links.first_mut() {
                    *first = link;
                }
                let position = self.trail_length.saturating_sub(1);
                let before = position.checked_sub(1).and_then(|before| self.trail.get(before));
                let parent = before.map_or(0, |step| step.node);
                self.last_node = self.step(header, tree, live, frame, parent, position);
                return (self.last_node, None);
            }
            Look::WentOn(..) => {
                // It has begun just now: once more from the beginning.
                self.links_length = 0;
                return self.current(header, tree, live);
            }
            _ => {}
        }
        self.links_length = 0;
        if look == Look::Misfit {
            self.python = None;
            return (self.no_python(header, tree), Some(Trouble::PythonSelfCheck));
        }
        if depth == 0 {
            return (self.no_python(header, tree), None);
        }
        let node = self.node(header, tree, live, depth, deeper);
        if links <= DEPTH && !deeper {
            (self.links_length, self.last_node) = (links, node);
            self.is_innermost_a_frame = is_innermost_a_frame;
        }
        (node, None)
    }

    fn no_python(&mut self, header: &'static Header, tree: &mut Tree) -> u32 {
        if self.no_python == 0 {
            let function = tree.made_up_function(header, b"[No Python stack]");
            self.no_python = tree.node(header, 0, function, 0);
        }
        self.no_python
    }

    fn node(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live, depth: usize, deeper: bool) -> u32 {
        let (shared, mut node);
        if deeper {
            let function = tree.made_up_function(header, b"[callers beyond 2048 frames]");
            (shared, node) = (0, tree.node(header, 0, function, 0));
        } else {
            let known = self.trail.iter().take(self.trail_length);
            let now = self.frames.iter().take(depth).rev();
            let same = known.zip(now).take_while(|(step, frame)| step.frame == **frame);
            (shared, node) = same.fold((0, 0), |(count, _), (step, _)| (count + 1, step.node));
        }
        for position in shared..depth {
            let Some(frame) = self.frames.get(depth - 1 - position).copied() else {
                break;
            };
            node = self.step(header, tree, live, frame, node, position);
        }
        self.trail_length = if deeper { 0 } else { depth };
        node
    }

    /// The node of a frame under `parent`, so far from the outermost; the trail goes on with it.
    fn step(
        &mut self,
        header: &'static Header,
        tree: &mut Tree,
        live: &mut Live,
        frame: Frame,
        parent: u32,
        position: usize,
    ) -> u32 {
        let known = self.line_at(frame).map_or(NO_LINE, |line| *line);
        let node = if known.frame == frame && known.parent == parent && known.node > 0 {
            known.node
        } else {
            let (function, line) = match known.frame == frame {
                true => (known.function, known.line),
                false => self.look_up(header, tree, live, frame),
            };
            let node = tree.node(header, parent, function, line);
            if let Some(known) = self.line_at(frame).filter(|known| known.frame == frame) {
                (known.parent, known.node) = (parent, node);
            }
            node
        };
        if let Some(step) = self.trail.get_mut(position) {
            *step = Step { frame, node };
        }
        node
    }

    /// The place of a frame in the cache: where it is, else one of another function, else the one that it would be in first.
    #[inline]
    fn line_at(&mut self, frame: Frame) -> Option<&mut Line> {
        let lines = self.lines.get_mut(place_of(frame.code))?;
        // An instruction has two bytes at least.
        let first = (frame.at >> 1) as usize;
        let mut others = None;
        for step in 0..PLACES_OF_A_LINE {
            let at = first.wrapping_add(step) % LINES_EACH;
            let known = lines.get(at)?.frame;
            if known == frame {
                return lines.get_mut(at);
            }
            if known.code != frame.code {
                others = others.or(Some(at));
            }
        }
        lines.get_mut(others.unwrap_or(first % LINES_EACH))
    }

    /// The function and the line of a frame that the cache does not know.
    #[cold]
    #[inline(never)]
    fn look_up(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live, frame: Frame) -> (u32, u32) {
        let Some(python) = self.python else { return (0, 0) };
        let line = python.line(frame);
        let place = place_of(frame.code);
        let known = self.functions.get(place).filter(|known| known.0 == frame.code);
        let function = match known {
            Some((_, function)) => *function,
            None => {
                self.file.clear();
                self.name.clear();
                let first_line = python.describe(frame.code, &mut self.file, &mut self.name);
                let file = tree.string(header, self.file.bytes());
                let name = tree.string(header, self.name.bytes());
                tree.function(header, file, name, first_line)
            }
        };
        if watch(live, frame.code) {
            if let Some(place) = self.line_at(frame) {
                *place = Line {
                    frame,
                    function,
                    line,
                    ..NO_LINE
                };
            }
            self.functions[place] = (frame.code, function);
        }
        (function, line)
    }
}

/// Where the caches keep what they know of a code object.
fn place_of(code: u64) -> usize {
    ((code >> 4) as u32).wrapping_mul(0x9E37_79B9) as usize >> 16 & (FUNCTIONS - 1)
}

/// Bytes that Python's debug hooks put in front of an object: where they lie right above malloc, its free shows another address
/// (`PYMEM_DEBUG_EXTRA_BYTES` of CPython's Objects/obmalloc.c).
const DEBUG_HEAD: u64 = 16;

/// Makes sure that a free of this code object is noticed; `false` if there is no memory to remember it.
fn watch(live: &mut Live, code: u64) -> bool {
    live.watch(code) && live.watch(code - DEBUG_HEAD)
}
