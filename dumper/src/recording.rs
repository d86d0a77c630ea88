//! A recording, read from whatever bytes there are.

mod bytes;
mod events;
mod names;
mod sites;
mod tables;

use std::mem::{offset_of, size_of};

use recording::{AllocFunction, Header, MAGIC, STATE_ENDED, STATE_OOM_EXIT, Table, VERSION};

use crate::call_tree::Moment;
use crate::damage::{Damage, Findings, ReadError};
use crate::label::Call;

pub use events::Event;
pub use sites::{Site, Tally};

use bytes::{u32_at, u64_at};
use names::{Names, Resolver};
use tables::Tables;

/// What one process's file says. Every id in it has been checked: what pointed nowhere has been replaced by a made-up
/// node or function in square brackets and counted as [`Damage`].
#[derive(Clone, Debug)]
pub struct Recording {
    /// Process id, in the job's own namespace.
    pub pid: u32,
    /// Parent's process id.
    pub ppid: u32,
    /// The command line.
    pub command: Vec<String>,
    /// When the recording began, nanoseconds since the Unix epoch.
    pub started_ns: u64,
    /// How far the process got.
    pub state: State,
    /// Major and minor version of the Python found.
    pub python: Option<(u8, u8)>,
    /// Whether every allocation was recorded.
    pub exact: bool,
    /// Mean bytes between samples at last.
    pub sample_interval: u64,
    /// Blocks of at least this many bytes were recorded exactly.
    pub large_bytes: u64,
    /// Samples ever taken.
    pub samples: u64,
    /// Bytes now, as the header states them.
    pub live_bytes: u64,
    /// Bytes at the peak, as the header states them.
    pub peak_bytes: u64,
    /// When the peak was, nanoseconds since the Unix epoch.
    pub peak_time_ns: u64,
    /// The failed allocation that defines the moment it ran out.
    pub failure: Option<Failure>,
    /// Failed allocations in all.
    pub failures: u64,
    /// Bytes in pymalloc's arenas.
    pub arena_bytes: u64,
    /// Private memory of the preload beside the stash and the file.
    pub own_bytes: u64,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) sites: Vec<Site>,
    functions: Vec<Function>,
    names: Names,
}

/// How far a process got, as far as it could still say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or something ended it before it came to its exit handlers.
    Running,
    /// It went through its exit handlers.
    Ended,
    /// It replaced itself by another program, or left at a failed allocation (`--on-oom=exit`).
    Left,
}

/// An allocation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Bytes that it asked for.
    pub request_bytes: u64,
    /// Bytes that were live, as the header states them.
    pub live_bytes: u64,
    /// When, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Which function was called; none if this version does not know it.
    pub function: Option<AllocFunction>,
    pub(crate) node: u32,
}

/// One line of one function under one caller; its parent's id is smaller than its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) parent: u32,
    pub(crate) function: u32,
    pub(crate) line: u32,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    file: u32,
    name: u32,
}

impl Recording {
    /// Reads a recording that may be cut off, torn or altered at any place.
    ///
    /// # Errors
    ///
    /// Only where there is nothing to be had: the bytes are no recording, or a newer version's.
    pub fn read(file: &[u8]) -> Result<(Recording, Vec<Damage>), ReadError> {
        if file.len() < size_of::<Header>() || !file.starts_with(&MAGIC) {
            return Err(ReadError::NotARecording);
        }
        match u32_at(file, offset_of!(Header, version)) {
            0 => return Err(ReadError::NotARecording),
            VERSION => {}
            newer => return Err(ReadError::Newer(newer)),
        }
        let mut found = Findings::default();
        let tables = Tables::find(file, &mut found);
        let mut names = Resolver::new(tables.strings());
        let functions = read_functions(&tables, &mut names);
        let nodes = read_nodes(&tables, functions.len(), &mut found);
        let mut recording = Recording::from_header(file, &mut names);
        recording.events = events::read(file, nodes.len(), &mut found);
        recording.nodes = nodes;
        recording.functions = functions;
        recording.names = names.finish(&mut found);
        recording.read_sites(file, &tables, &mut found);
        recording.compare_totals(file, &mut found);
        Ok((recording, found.into_damage()))
    }

    /// The callstack of a node, innermost first; empty for the root.
    pub fn stack(&self, node: u32) -> impl Iterator<Item = Call<'_>> {
        let mut at = node as usize;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at).filter(|_| at != 0)?;
            at = node.parent as usize;
            let (file, function) = self.function(node.function);
            Some(Call {
                file,
                function,
                line: node.line,
            })
        })
    }

    /// The callstack of the failed allocation, innermost first; empty where it could not be taken.
    pub fn failed_stack(&self) -> impl Iterator<Item = Call<'_>> {
        self.stack(self.failure.as_ref().map_or(0, |failure| failure.node))
    }

    /// File and name of a function.
    pub(crate) fn function(&self, function: u32) -> (&str, &str) {
        match self.functions.get(function as usize) {
            Some(function) => (self.names.get(function.file), self.names.get(function.name)),
            None => ("", DAMAGED),
        }
    }

    fn from_header(file: &[u8], names: &mut Resolver) -> Recording {
        let small = |offset| u32_at(file, offset);
        let large = |offset| u64_at(file, offset);
        let failure = (small(offset_of!(Header, oom_epoch)) > 0).then(|| Failure {
            request_bytes: large(offset_of!(Header, oom_request_bytes)),
            live_bytes: large(offset_of!(Header, oom_live_bytes)),
            time_ns: large(offset_of!(Header, oom_time_ns)),
            function: AllocFunction::from_code(small(offset_of!(Header, oom_function))),
            node: small(offset_of!(Header, oom_node)),
        });
        let python = small(offset_of!(Header, python));
        Recording {
            pid: small(offset_of!(Header, pid)),
            ppid: small(offset_of!(Header, ppid)),
            command: arguments(names.text(small(offset_of!(Header, command)))),
            started_ns: large(offset_of!(Header, started_ns)),
            state: match small(offset_of!(Header, state)) {
                STATE_ENDED => State::Ended,
                STATE_OOM_EXIT => State::Left,
                _ => State::Running,
            },
            python: (python != 0).then_some(((python >> 8) as u8, python as u8)),
            exact: small(offset_of!(Header, exact)) != 0,
            sample_interval: large(offset_of!(Header, sample_interval)),
            large_bytes: large(offset_of!(Header, large_bytes)),
            samples: large(offset_of!(Header, samples)),
            live_bytes: large(offset_of!(Header, live_bytes)),
            peak_bytes: large(offset_of!(Header, peak_bytes)),
            peak_time_ns: large(offset_of!(Header, peak_time_ns)),
            failure,
            failures: large(offset_of!(Header, failures)),
            arena_bytes: large(offset_of!(Header, arena_bytes)),
            own_bytes: large(offset_of!(Header, own_bytes)),
            events: Vec::new(),
            nodes: Vec::new(),
            sites: Vec::new(),
            functions: Vec::new(),
            names: Names::default(),
        }
    }

    fn read_sites(&mut self, file: &[u8], tables: &Tables, found: &mut Findings) {
        let recorded = self.nodes.len() as u32;
        let overflow = self.made_up_node(OVERFLOW);
        let damaged = self.made_up_node(DAMAGED);
        self.sites = sites::read(file, tables, found);
        for (id, site) in self.sites.iter_mut().enumerate() {
            if id == 0 || site.node == 0 {
                site.node = overflow;
            } else if site.node >= recorded {
                found.bad_references += 1;
                site.node = damaged;
            }
        }
        if let Some(failure) = self.failure.as_mut().filter(|failure| failure.node >= recorded) {
            found.bad_references += 1;
            failure.node = 0;
        }
    }

    fn made_up_node(&mut self, name: &str) -> u32 {
        let name = self.names.add(name.to_owned());
        self.functions.push(Function { file: 0, name });
        self.nodes.push(Node {
            parent: 0,
            function: self.functions.len() as u32 - 1,
            line: 0,
        });
        self.nodes.len() as u32 - 1
    }

    /// Sites are updated under one lock, so that only a torn sample or damage makes a difference.
    fn compare_totals(&self, file: &[u8], found: &mut Findings) {
        if u64_at(file, offset_of!(Header, sequence)) % 2 == 1 {
            found.damage.push(Damage::SampleInFlight);
        }
        let mut compare = |moment, stated| {
            let sum = self
                .sites
                .iter()
                .fold(0u64, |sum, site| sum.saturating_add(site.at(moment).bytes));
            if sum != stated {
                found.damage.push(Damage::SumsDiffer { moment, stated, sum });
            }
        };
        compare(Moment::Live, self.live_bytes);
        compare(Moment::Peak, self.peak_bytes);
        if let Some(failure) = &self.failure {
            compare(Moment::OutOfMemory, failure.live_bytes);
        }
    }
}

/// What no longer found a site of its own.
const OVERFLOW: &str = "[not recorded apart]";
/// What pointed at something that does not exist.
const DAMAGED: &str = "[damaged]";

fn read_functions(tables: &Tables, names: &mut Resolver) -> Vec<Function> {
    let functions = tables.records(Table::Functions).map(|record| Function {
        file: names.resolve(u32_at(record, offset_of!(recording::Function, file))),
        name: names.resolve(u32_at(record, offset_of!(recording::Function, name))),
    });
    functions.collect()
}

fn read_nodes(tables: &Tables, functions: usize, found: &mut Findings) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(tables.present(Table::Nodes) + 2);
    for (id, record) in tables.records(Table::Nodes).enumerate() {
        let mut node = Node {
            parent: u32_at(record, offset_of!(recording::Node, parent)),
            function: u32_at(record, offset_of!(recording::Node, function)),
            line: u32_at(record, offset_of!(recording::Node, line)),
        };
        // The root is its own parent; every other parent is older than its child, so that no stack goes in circles.
        if node.parent as usize >= id.max(1) {
            found.bad_references += 1;
            node.parent = 0;
        }
        if node.function as usize >= functions {
            found.bad_references += 1;
            node.function = u32::MAX;
        }
        nodes.push(node);
    }
    if nodes.is_empty() {
        found.damage.push(Damage::MissingRecords {
            table: Table::Nodes,
            published: 1,
            present: 0,
        });
        nodes.push(Node {
            parent: 0,
            function: u32::MAX,
            line: 0,
        });
    }
    nodes
}

/// The arguments in a command line, which zero bytes separate and may end.
fn arguments(command: &str) -> Vec<String> {
    let command = command.strip_suffix('\0').unwrap_or(command);
    if command.is_empty() {
        Vec::new()
    } else {
        command.split('\0').map(str::to_owned).collect()
    }
}
