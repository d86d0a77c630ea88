//! A recording, read from whatever bytes there are.

pub mod blocks;
mod bytes;
mod coded;
mod events;
mod facts;
mod joined;
mod kinds;
mod made_up;
mod names;
mod rows;
mod sites;
mod tables;
mod view;

use std::collections::HashMap;
use std::mem::{offset_of, size_of};

use recording::{Header, MAGIC, Table, VERSION};
use serde::{Deserialize, Serialize};

use crate::call_tree::Moment;
use crate::damage::{Damage, Findings, ReadError};
use crate::label::Call;
use crate::measured::Measurements;

pub(crate) use bytes::{Bytes, InFile};
pub(crate) use coded::table as table_code;
pub use events::Event;
pub use facts::{Facts, Failure, State};
pub(crate) use joined::Joined;
pub use kinds::{ByKind, Held, Kinds};
pub(crate) use rows::Rows;
pub use sites::{Growth, Site, Tally};

use bytes::{u32_at, u64_at};
use names::{Names, Resolver};
use tables::Tables;

/// What one process's file says. Every id in it has been checked: what pointed nowhere has been replaced by a made-up
/// node or function in square brackets and counted as [`Damage`].
#[derive(Clone, Debug)]
pub struct Recording {
    /// What its header says.
    pub facts: Facts,
    pub(crate) nodes: Vec<Node>,
    pub(crate) sites: Vec<Site>,
    /// What was measured of its process; empty where nothing was, or this was read from bytes alone.
    pub measurements: Measurements,
    functions: Vec<Function>,
    names: Names,
}

/// One line of one function under one caller; its parent's id is smaller than its own.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) parent: u32,
    /// Equal for equal file and name.
    pub(crate) function: u32,
    pub(crate) line: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
struct Function {
    file: u32,
    name: u32,
}

/// How often a recording is read anew if it has changed meanwhile.
const ATTEMPTS: usize = 3;

impl Recording {
    /// Reads a recording that may be cut off, torn or altered at any place.
    ///
    /// # Errors
    ///
    /// Only where there is nothing to be had: the bytes are no recording, or a newer version's.
    pub fn read(file: &[u8]) -> Result<(Recording, Vec<Damage>), ReadError> {
        Recording::read_from(file)
    }

    /// Reads one that may be being written.
    pub(crate) fn read_from<B: Bytes + ?Sized>(file: &B) -> Result<(Recording, Vec<Damage>), ReadError> {
        for _ in 1..ATTEMPTS {
            let (recording, found) = Recording::attempt(file)?;
            if !found.is_being_written {
                return Ok((recording, found.into_damage()));
            }
        }
        let (recording, found) = Recording::attempt(file)?;
        Ok((recording, found.into_damage()))
    }

    fn attempt<B: Bytes + ?Sized>(file: &B) -> Result<(Recording, Findings), ReadError> {
        let header = &read_header(file)?;
        let mut found = Findings::default();
        let tables = Tables::find(file, header, &mut found);
        let mut names = Resolver::new(tables.strings());
        let functions = read_functions(&tables, &mut names);
        let mut recording = Recording {
            facts: Facts::read(header, &tables, &mut found),
            nodes: read_nodes(&tables, &functions, &mut found),
            sites: Vec::new(),
            measurements: Measurements::default(),
            functions: functions.different,
            names: names.finish(&mut found),
        };
        recording.read_sites(header, &tables, &mut found);
        let sequence = offset_of!(Header, sequence);
        found.is_being_written = file.read(sequence as u64, 8) != header[sequence..sequence + 8];
        recording.compare_totals(header, &mut found);
        Ok((recording, found))
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
        self.stack(self.facts.failure.as_ref().map_or(0, |failure| failure.node))
    }

    /// File and name of a function.
    pub(crate) fn function(&self, function: u32) -> (&str, &str) {
        match self.functions.get(function as usize) {
            Some(function) => (self.names.get(function.file), self.names.get(function.name)),
            None => ("", DAMAGED),
        }
    }

    fn read_sites<B: Bytes + ?Sized>(&mut self, header: &[u8], tables: &Tables<B>, found: &mut Findings) {
        let recorded = self.nodes.len() as u32;
        let overflow = self.made_up_node(OVERFLOW);
        let damaged = self.made_up_node(DAMAGED);
        self.sites = sites::read(header, tables, found);
        for (id, site) in self.sites.iter_mut().enumerate() {
            if id == 0 || site.node == 0 {
                site.node = overflow;
            } else if site.node >= recorded {
                found.bad_references += 1;
                site.node = damaged;
            }
        }
    }

    fn made_up_node(&mut self, name: &str) -> u32 {
        let name = self.names.add(name);
        self.functions.push(Function { file: 0, name });
        self.nodes.push(Node {
            parent: 0,
            function: self.functions.len() as u32 - 1,
            line: 0,
        });
        self.nodes.len() as u32 - 1
    }

    /// Sites are updated under one lock, so that only a sample that is being written or damage makes a difference.
    fn compare_totals(&mut self, header: &[u8], found: &mut Findings) {
        if found.is_being_written {
            return;
        }
        if u64_at(header, offset_of!(Header, sequence)) % 2 == 1 {
            found.damage.push(Damage::SampleInFlight);
            return;
        }
        let failed = self.facts.failure.as_ref().map(|failure| failure.live_bytes);
        let highest = [self.facts.live_bytes, self.facts.peak_bytes]
            .into_iter()
            .chain(failed)
            .max();
        for site in &mut self.sites {
            site.limit(highest.unwrap_or(0), found);
        }
        let mut compare = |moment, stated| {
            let bytes = self.sites.iter().map(|site| site.at(moment).bytes);
            let sum = bytes.fold(0u64, u64::saturating_add);
            if sum != stated {
                found.damage.push(Damage::SumsDiffer { moment, stated, sum });
            }
        };
        compare(Moment::Live, self.facts.live_bytes);
        compare(Moment::Peak, self.facts.peak_bytes);
        if let Some(stated) = failed {
            compare(Moment::OutOfMemory, stated);
        }
    }
}

impl Facts {
    /// Reads a recording's header, and no more of it than that needs.
    pub(crate) fn read_from<B: Bytes + ?Sized>(file: &B) -> Result<(Facts, Vec<Damage>), ReadError> {
        let header = read_header(file)?;
        let mut found = Findings::default();
        let tables = Tables::find(file, &header, &mut found);
        let facts = Facts::read(&header, &tables, &mut found);
        Ok((facts, found.into_damage()))
    }
}

/// What no longer found a site of its own.
const OVERFLOW: &str = "[not recorded apart]";
/// What pointed at something that does not exist.
const DAMAGED: &str = "[damaged]";

fn read_header<B: Bytes + ?Sized>(file: &B) -> Result<Vec<u8>, ReadError> {
    let header = file.read(0, size_of::<Header>());
    if header.len() < size_of::<Header>() || !header.starts_with(&MAGIC) {
        return Err(ReadError::NotARecording);
    }
    match u32_at(&header, offset_of!(Header, version)) {
        0 => Err(ReadError::NotARecording),
        1..=VERSION => Ok(header),
        newer => Err(ReadError::Newer(newer)),
    }
}

/// The functions that differ in file or name, and for each record which of them it is: functions that are defined anew,
/// in a loop or by a reload, have a record each.
struct Functions {
    different: Vec<Function>,
    of_record: Vec<u32>,
}

fn read_functions<B: Bytes + ?Sized>(tables: &Tables<B>, names: &mut Resolver) -> Functions {
    let mut functions = Functions {
        different: Vec::new(),
        of_record: Vec::with_capacity(tables.present(Table::Functions)),
    };
    let mut known: HashMap<Function, u32> = HashMap::new();
    tables.each(Table::Functions, |_, record| {
        let function = Function {
            file: names.resolve(u32_at(record, offset_of!(recording::Function, file))),
            name: names.resolve(u32_at(record, offset_of!(recording::Function, name))),
        };
        let new = functions.different.len() as u32;
        let number = *known.entry(function).or_insert(new);
        if number == new {
            functions.different.push(function);
        }
        functions.of_record.push(number);
    });
    functions
}

fn read_nodes<B: Bytes + ?Sized>(tables: &Tables<B>, functions: &Functions, found: &mut Findings) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(tables.present(Table::Nodes) + 2);
    tables.each(Table::Nodes, |id, record| {
        let mut parent = u32_at(record, offset_of!(recording::Node, parent));
        // The root is its own parent; every other parent is older than its child, so that no stack goes in circles.
        if parent as usize >= id.max(1) {
            found.bad_references += 1;
            parent = 0;
        }
        let function = u32_at(record, offset_of!(recording::Node, function));
        let function = functions.of_record.get(function as usize).copied();
        nodes.push(Node {
            parent,
            function: function.unwrap_or_else(|| {
                found.bad_references += 1;
                u32::MAX
            }),
            line: u32_at(record, offset_of!(recording::Node, line)),
        });
    });
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
