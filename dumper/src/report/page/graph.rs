//! The call tree as the page's flame graph gets it: the largest nodes, as many as a page can carry.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::label::{cut, printable};
use crate::profile::prune::{self, Limits};
use crate::profile::{CallTree, Node, Weight};
use crate::source::Sources;

/// Characters of a path or a name.
const LONGEST_NAME: usize = 160;
/// Lines of code are looked up for calls that hold one part in this many.
const WORTH_CODE: u64 = 2000;

/// How much one graph may take of a page.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Room {
    /// Nodes that get a frame of their own, the largest first.
    pub(in crate::report) nodes: usize,
    /// Bytes of their names.
    pub(in crate::report) names: usize,
}

/// A flame graph that is yet to be laid out. Frame 0 stands for everything; parents come before their children.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::report) struct Graph {
    pub(in crate::report) frames: Vec<GraphFrame>,
    pub(in crate::report) calls: Vec<CallName>,
}

/// One line of one function under one caller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct GraphFrame {
    pub(in crate::report) parent: u32,
    /// Its place in [`Graph::calls`]; none for what is too small to be told apart.
    pub(in crate::report) call: Option<u32>,
    /// What it holds itself, in bytes.
    pub(in crate::report) own: u64,
    /// How much of that is in memory, where that was measured.
    pub(in crate::report) resident: Option<u64>,
}

/// A line of a function, as a reader gets to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::report) struct CallName {
    /// Empty for what has none.
    pub(in crate::report) file: Rc<str>,
    pub(in crate::report) function: Rc<str>,
    /// 0 where there is none.
    pub(in crate::report) line: u32,
    /// The line of code; empty where it cannot be had.
    pub(in crate::report) code: Rc<str>,
    /// Whose code it is.
    pub(in crate::report) whose: Whose,
}

/// Whose code a call is, with the number that the page's script knows it by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::report) enum Whose {
    /// The user's own, or no line of Python.
    #[default]
    Own = 0,
    /// Python's or an installed package's.
    Library = 1,
    /// What stands for an import: seen from the lines that allocated, all that is below it is one, up to lines of the user's own.
    Imports = 2,
}

impl Graph {
    /// What there is room for of a tree. Paths are shown relative to `directory`.
    pub(in crate::report) fn of(tree: &CallTree, room: Room, sources: &mut Sources, directory: &str) -> Graph {
        let nodes = tree.nodes();
        let chosen = Chosen::of(tree, room);
        let mut graph = Graph::default();
        let mut names = CallNames::default();
        let mut frame_of = vec![0u32; nodes.len()];
        let mut calls: HashMap<(u32, u32), u32> = HashMap::new();
        let folded = chosen.folded(tree);
        let mut number = |id: usize, known: &mut Vec<CallName>| {
            let node = &nodes[id];
            *calls.entry((node.function, node.line)).or_insert_with(|| {
                let mut call = names.name(tree, node, directory);
                if tree.total(id).bytes >= tree.all().bytes / WORTH_CODE {
                    let code = sources.line(tree.call(node).file, node.line);
                    call.code = code.unwrap_or_default().into();
                }
                known.push(call);
                known.len() as u32 - 1
            })
        };
        for (id, node) in nodes.iter().enumerate().filter(|(id, _)| chosen.nodes[*id]) {
            let call = (id > 0).then(|| number(id, &mut graph.calls));
            let index = graph.frames.len() as u32;
            frame_of[id] = index;
            graph.frames.push(GraphFrame {
                parent: frame_of[node.parent as usize],
                call,
                own: tree.held(id).requested.bytes,
                resident: tree.held(id).resident,
            });
            let Some(rest) = folded.get(&(id as u32)) else {
                continue;
            };
            let small = GraphFrame {
                parent: index,
                call: None,
                own: 0,
                resident: None,
            };
            // Seen from the lines that allocated, they are still one of them.
            match rest.line {
                Some(line) => {
                    let call = Some(number(line, &mut graph.calls));
                    graph.frames.push(small);
                    graph.frames.push(GraphFrame {
                        parent: index + 1,
                        call,
                        own: rest.held.requested.bytes,
                        resident: rest.held.resident,
                    });
                }
                None => graph.frames.push(GraphFrame {
                    own: rest.held.requested.bytes,
                    resident: rest.held.resident,
                    ..small
                }),
            }
        }
        graph
    }

    /// Whether it is known how much is in memory.
    pub(in crate::report) fn has_resident(&self) -> bool {
        self.frames.iter().any(|frame| frame.resident.is_some())
    }
}

/// What functions are called, each looked up once.
#[derive(Default)]
struct CallNames {
    functions: HashMap<u32, CallName>,
    files: HashSet<Rc<str>>,
}

impl CallNames {
    fn name(&mut self, tree: &CallTree, node: &Node, directory: &str) -> CallName {
        let files = &mut self.files;
        let known = self.functions.entry(node.function).or_insert_with(|| {
            let call = tree.call(node);
            let file = cut(&call.short_file(directory), LONGEST_NAME).into_owned();
            let file = files.get(file.as_str()).cloned().unwrap_or_else(|| {
                let file: Rc<str> = file.into();
                files.insert(Rc::clone(&file));
                file
            });
            CallName {
                file,
                function: match call.function {
                    "" => "[unnamed]".into(),
                    function => cut(&printable(function), LONGEST_NAME).as_ref().into(),
                },
                whose: match (call.is_import(), call.is_library()) {
                    (true, _) => Whose::Imports,
                    (_, true) => Whose::Library,
                    _ => Whose::Own,
                },
                ..CallName::default()
            }
        });
        CallName {
            line: node.line,
            ..known.clone()
        }
    }
}

/// What nodes hold that have no frame of their own.
#[derive(Default)]
struct Folded {
    held: Weight,
    /// A node at the line that allocated all of it, if it was one line.
    line: Option<usize>,
}

/// The nodes that get a frame of their own; with a node, all its callers.
struct Chosen {
    nodes: Vec<bool>,
}

impl Chosen {
    fn of(tree: &CallTree, room: Room) -> Chosen {
        let nodes = tree.nodes();
        let mut named = HashSet::new();
        // A caller is never smaller than what it calls, and of equals it has the lower index.
        let order = |id: &u32| (Reverse(tree.total(*id as usize).bytes), *id);
        let names = |id: &u32| {
            let node = &nodes[*id as usize];
            match named.insert(node.function) {
                true => {
                    let call = tree.call(node);
                    let length = |name: &str| name.len().min(4 * LONGEST_NAME) as u64;
                    length(call.file) + length(call.function)
                }
                false => 0,
            }
        };
        let limits = Limits {
            most: room.nodes,
            room: room.names as u64,
        };
        let largest = prune::keep((1..nodes.len() as u32).collect(), limits, order, names);
        Chosen {
            nodes: prune::flags(nodes.len(), [0].into_iter().chain(largest)),
        }
    }

    /// For each chosen node that calls others that are not: what those hold.
    fn folded(&self, tree: &CallTree) -> HashMap<u32, Folded> {
        let nodes = tree.nodes();
        let mut folded: HashMap<u32, Folded> = HashMap::new();
        // Each node that is not chosen has the nearest caller that is.
        let mut holder: HashMap<u32, u32> = HashMap::new();
        for (id, node) in nodes.iter().enumerate().filter(|(id, _)| !self.nodes[*id]) {
            let above = match self.nodes[node.parent as usize] {
                true => node.parent,
                false => holder[&node.parent],
            };
            holder.insert(id as u32, above);
            let rest = folded.entry(above).or_default();
            if tree.held(id).requested.bytes > 0 {
                let is_first = rest.held.requested.bytes == 0;
                let line = |id: usize| (nodes[id].function, nodes[id].line);
                rest.line = Some(id).filter(|_| is_first || rest.line.is_some_and(|other| line(other) == line(id)));
            }
            rest.held += tree.held(id);
        }
        folded
    }
}
