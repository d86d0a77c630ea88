//! The callstack of the current thread as a node of the tree. Frames that the last sample saw too are not read again; lines are
//! looked up in a cache.

use recording::{Header, Trouble};

use crate::live::Live;
use crate::python::names::Name;
use crate::python::waiting::Waiting;
use crate::python::walk::{Frame, Link};
use crate::python::{Look, Python};
use crate::sys;
use crate::tree::Tree;

/// The most links that a callstack keeps, from the innermost on.
const DEPTH: usize = 2048;
/// Places of the cache of functions.
const FUNCTIONS: usize = 1024;
/// Lines that the cache has room for, of the functions that share a place.
const LINES_EACH: usize = 8;
/// How many of these places a line can be in.
const PLACES_OF_A_LINE: usize = 4;

/// A known code object: its address and the id of its function.
type Code = (u64, u32);

/// A known frame, the parent that it had last, and its node under that parent.
#[derive(Clone, Copy)]
struct KnownLine {
    frame: Frame,
    function: u32,
    line: u32,
    parent: u32,
    node: u32,
}

/// A link of the last sample's chain of frames and the node it led to.
#[derive(Clone, Copy)]
struct Step {
    link: Link,
    node: u32,
    /// `false`: the link is no frame of Python, or there was no room for a node of its own. Then `node` is the caller's.
    has_own_node: bool,
}

const NO_FRAME: Frame = Frame { code: 0, at: 0 };
const NO_STEP: Step = Step {
    link: Link::none(),
    node: 0,
    has_own_node: false,
};
const NO_LINE: KnownLine = KnownLine {
    frame: NO_FRAME,
    function: 0,
    line: 0,
    parent: 0,
    node: 0,
};
const NO_CODE: Code = (0, 0);

/// The caches that turn frames into nodes.
pub struct Callstacks {
    /// The interpreter, if there is one that can be read.
    pub python: Option<Python>,
    /// The links now, innermost first.
    links: [Link; DEPTH],
    /// The links of the last sample, outermost first; of a callstack that is deeper, those that were kept.
    trail: [Step; DEPTH],
    trail_length: usize,
    trail_is_deeper: bool,
    lines: [[KnownLine; LINES_EACH]; FUNCTIONS],
    functions: [Code; FUNCTIONS],
    /// Whether the cache has any line of this recording.
    any_lines: bool,
    file: Name,
    name: Name,
    /// Which Python thread a thread without Python works for.
    waiting: Waiting,
    /// Links read since [`Callstacks::take_walked`].
    walked: u64,
    /// The node for callstacks without a Python frame; 0 until needed.
    no_python: u32,
}

impl Callstacks {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            python: None,
            links: [Link::none(); DEPTH],
            trail: [NO_STEP; DEPTH],
            trail_length: 0,
            trail_is_deeper: false,
            lines: [[NO_LINE; LINES_EACH]; FUNCTIONS],
            functions: [NO_CODE; FUNCTIONS],
            any_lines: false,
            file: Name::new(),
            name: Name::new(),
            waiting: Waiting::new(),
            walked: 0,
            no_python: 0,
        }
    }

    /// For a new recording: ids of the old one mean nothing there.
    pub fn start_over(&mut self) {
        self.trail_length = 0;
        // Pages that were never written to are not resident, in most processes until their end.
        if core::mem::take(&mut self.any_lines) {
            self.lines.fill([NO_LINE; LINES_EACH]);
            self.functions.fill(NO_CODE);
        }
        self.waiting.start_over();
        self.no_python = 0;
    }

    /// The number of links that were read since the last call.
    pub fn take_walked(&mut self) -> u64 {
        core::mem::take(&mut self.walked)
    }

    /// A block was freed that is or contains a code object. Drops its lines from the cache, since its address will be used again.
    pub fn forget(&mut self, address: u64) {
        self.trail_length = 0;
        for code in [address, address + DEBUG_HEAD] {
            let place = place_of(code);
            if let Some(lines) = self.lines.get_mut(place) {
                let gone = |line: &&mut KnownLine| line.frame.code == code;
                lines.iter_mut().filter(gone).for_each(|line| *line = NO_LINE);
            }
            if let Some(known) = self.functions.get_mut(place).filter(|known| known.0 == code) {
                *known = NO_CODE;
            }
        }
    }

    /// The node of the current thread's callstack, and what is wrong with this Python if that has just turned out.
    pub fn current(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live) -> (u32, Option<Trouble>) {
        let Self {
            links,
            trail,
            trail_length,
            python,
            ..
        } = self;
        let (mut length, mut deeper) = (0, false);
        let known = trail.get(..*trail_length).unwrap_or_default();
        let look = python.as_mut().map_or(Look::Nothing, |python| {
            python.look(known.iter().rev().map(|step| step.link), |link| {
                match links.get_mut(length) {
                    Some(place) => (*place, length) = (link, length + 1),
                    None => deeper = true,
                }
                !deeper
            })
        });
        self.walked += length.max(known.len()) as u64;
        let node = match look {
            Look::Unchanged => known.last().map_or(0, |step| step.node),
            Look::WentOn(link) => self.go_on(header, tree, live, link),
            Look::Frames => self.node(header, tree, live, length, deeper),
            Look::Nothing | Look::Misfit => {
                self.trail_length = 0;
                0
            }
        };
        let mut trouble = None;
        if look == Look::Misfit {
            (self.python, trouble) = (None, Some(Trouble::PythonSelfCheck));
        }
        if node == 0 {
            let node = self.node_of_waiting(header, tree, live);
            return (node.unwrap_or_else(|| self.no_python(header, tree)), trouble);
        }
        if let Some(python) = &self.python {
            self.waiting.was_active(python.last_state());
        }
        (node, None)
    }

    /// For a thread without Python: the node of the thread that waits for its work.
    #[cold]
    fn node_of_waiting(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live) -> Option<u32> {
        let python = self.python.filter(Python::is_without)?;
        let now = sys::monotonic_ns();
        if let Some(node) = self.waiting.recent(now) {
            return Some(node);
        }
        let place = self.waiting.choose(|state| python.top(state))?;
        if let Some(node) = self.waiting.known(place) {
            self.waiting.confirm(now);
            return Some(node);
        }
        let (links, mut length, mut deeper) = (&mut self.links, 0, false);
        let is_one = python.look_at(place.0, |link| {
            match links.get_mut(length) {
                Some(place) => (*place, length) = (link, length + 1),
                None => deeper = true,
            }
            !deeper
        });
        if !is_one {
            return None;
        }
        let careful = |callstacks: &mut Self, careful| {
            if let Some(python) = &mut callstacks.python {
                python.be_careful(careful);
            }
        };
        careful(self, true);
        let node = self.node(header, tree, live, length, deeper);
        careful(self, false);
        self.waiting.remember(place, node);
        self.waiting.confirm(now);
        (node != 0).then_some(node)
    }

    /// Only the innermost frame has changed: it is at this link now.
    fn go_on(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live, link: Link) -> u32 {
        let position = self.trail_length.saturating_sub(1);
        let before = position.checked_sub(1).and_then(|before| self.trail.get(before));
        let parent = before.map_or(0, |step| step.node);
        self.step(header, tree, live, link, parent, position)
    }

    fn no_python(&mut self, header: &'static Header, tree: &mut Tree) -> u32 {
        if self.no_python == 0 {
            let function = tree.made_up_function(header, b"[No Python stack]");
            self.no_python = tree.node(header, 0, function, 0);
        }
        self.no_python
    }

    fn node(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live, length: usize, deeper: bool) -> u32 {
        let root = match deeper {
            false => 0,
            true => {
                let function = tree.made_up_function(header, b"[callers beyond 2048 frames]");
                tree.node(header, 0, function, 0)
            }
        };
        let known = if self.trail_is_deeper == deeper {
            self.trail_length
        } else {
            0
        };
        let before = self.trail.iter_mut().take(known);
        let now = self.links.iter().take(length).rev();
        // A node depends on the lines alone. So deep in a recursion, where the last 2048 frames are others each time, nearly all
        // nodes are the same.
        let same = before.zip(now).take_while(|(step, link)| step.link.is_alike(**link));
        let (shared, mut node) = same.fold((0, root), |(count, _), (step, link)| {
            step.link = *link;
            (count + 1, step.node)
        });
        (self.trail_length, self.trail_is_deeper) = (length, deeper);
        for position in shared..length {
            let Some(link) = self.links.get(length - 1 - position).copied() else {
                break;
            };
            node = match self.trail.get_mut(position).filter(|_| position < known) {
                Some(step) if step.has_own_node && step.link.is_alike(link) => {
                    step.link = link;
                    step.node = tree.node_like(header, step.node, node);
                    step.has_own_node = step.node != node;
                    step.node
                }
                _ => self.step(header, tree, live, link, node, position),
            };
        }
        node
    }

    /// The node of a link under `parent`; it becomes the trail's at this position.
    fn step(
        &mut self,
        header: &'static Header,
        tree: &mut Tree,
        live: &mut Live,
        link: Link,
        parent: u32,
        position: usize,
    ) -> u32 {
        let frame = self.python.as_ref().and_then(|python| python.frame(link));
        let node = frame.map_or(parent, |frame| self.node_of(header, tree, live, frame, parent));
        if let Some(step) = self.trail.get_mut(position) {
            let has_own_node = node != parent;
            *step = Step {
                link,
                node,
                has_own_node,
            };
        }
        node
    }

    fn node_of(&mut self, header: &'static Header, tree: &mut Tree, live: &mut Live, frame: Frame, parent: u32) -> u32 {
        if let Some(known) = self.line_at(frame).filter(|known| known.frame == frame) {
            if known.parent != parent || known.node == 0 {
                let node = tree.node(header, parent, known.function, known.line);
                (known.parent, known.node) = (parent, node);
            }
            return known.node;
        }
        let (function, line) = self.look_up(header, tree, live, frame);
        let node = tree.node(header, parent, function, line);
        if let Some(known) = self.line_at(frame).filter(|known| known.frame == frame) {
            (known.parent, known.node) = (parent, node);
        }
        node
    }

    /// The place of a frame in the cache: where it is, else one of another function, else the first that it can be in.
    #[inline]
    fn line_at(&mut self, frame: Frame) -> Option<&mut KnownLine> {
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
            self.any_lines = true;
            if let Some(place) = self.line_at(frame) {
                *place = KnownLine {
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
