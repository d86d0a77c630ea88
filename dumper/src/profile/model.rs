//! What a profile is made of.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::holding::Holding;
use super::measured::Measurements;
use super::moment::Moment;
use super::strings::Strings;
use super::tally::Tally;
use crate::label::Call;

/// What one process held, or several together, at each moment and for each callstack. Every id in it has been checked.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// What is known of the process; empty where there are several.
    pub facts: Facts,
    /// What was measured of it, and when; empty where nothing was.
    pub(super) measurements: Measurements,
    pub(crate) nodes: Vec<Node>,
    pub(crate) holdings: Vec<Holding>,
    pub(crate) functions: Vec<Function>,
    pub(crate) strings: Strings,
    /// For each moment, what each node has asked for and was not in memory, in bytes; none where that was not measured.
    pub(super) untouched: [Option<HashMap<u32, u64>>; Moment::ALL.len()],
}

/// One line of one function under one caller. Its parent's id is smaller than its own; the root, which is no call, is its own parent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The caller.
    pub parent: u32,
    /// Equal for equal file and name.
    pub function: u32,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
}

/// File and name, each by its number among the strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Function {
    pub(crate) file: u32,
    pub(crate) name: u32,
}

/// The name of whatever a damaged file points at that does not exist.
pub(crate) const DAMAGED: &str = "[damaged]";

impl Profile {
    /// One in which nothing is held yet.
    pub(crate) fn new(facts: Facts, nodes: Vec<Node>, functions: Vec<Function>, strings: Strings) -> Profile {
        Profile {
            facts,
            nodes,
            functions,
            strings,
            ..Profile::default()
        }
    }

    /// One of these functions, each as the numbers of its file and its name among `strings`, and of these nodes, the root first and
    /// parents before their children, each with the bytes that it holds at [`Moment::Live`].
    pub(crate) fn from_nodes(
        strings: Strings,
        functions: impl IntoIterator<Item = (u32, u32)>,
        nodes: impl IntoIterator<Item = (Node, u64)>,
    ) -> Profile {
        let functions = functions.into_iter().map(|(file, name)| Function { file, name });
        let (nodes, held): (Vec<Node>, Vec<u64>) = nodes.into_iter().unzip();
        let held = held.into_iter().zip(0..).filter(|(bytes, _)| *bytes > 0);
        Profile {
            holdings: held
                .map(|(bytes, node)| Holding::live(node, Tally::of_bytes(bytes)))
                .collect(),
            functions: functions.collect(),
            nodes,
            strings,
            ..Profile::default()
        }
    }

    /// File and name of a function.
    pub(crate) fn function(&self, function: u32) -> (&str, &str) {
        match self.functions.get(function as usize) {
            Some(function) => (self.strings.get(function.file), self.strings.get(function.name)),
            None => ("", DAMAGED),
        }
    }

    /// A line of a function, by its names.
    pub(crate) fn call(&self, function: u32, line: u32) -> Call<'_> {
        let (file, function) = self.function(function);
        Call { file, function, line }
    }

    /// The callstack of a node, innermost first; empty for the root.
    pub fn stack(&self, node: u32) -> impl Iterator<Item = Call<'_>> {
        let mut at = node as usize;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at).filter(|_| at != 0)?;
            at = node.parent as usize;
            Some(self.call(node.function, node.line))
        })
    }

    /// The callstack of the failed allocation, innermost first; empty where it could not be taken.
    pub fn failed_stack(&self) -> impl Iterator<Item = Call<'_>> {
        self.stack(self.facts.failure.as_ref().map_or(0, |failure| failure.node))
    }

    /// What was measured of its process.
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// Notes what was measured of its process: of large blocks, how much of each site's was in memory. Small blocks are taken to be
    /// in memory, and so is what was allocated after the measurement.
    pub fn measure(&mut self, measurements: Measurements) {
        self.measurements = measurements;
        for moment in Moment::ALL {
            let Some(measured) = self.measurements.at(moment, &self.facts) else {
                continue;
            };
            let mut untouched = HashMap::new();
            for site in &measured.sites {
                if let Some(holding) = self.holdings.get(site.site as usize) {
                    let bytes = site.pages.bytes.saturating_sub(site.pages.resident);
                    let sum: &mut u64 = untouched.entry(holding.node).or_default();
                    *sum = sum.saturating_add(bytes.min(holding.at(moment).bytes));
                }
            }
            self.untouched[moment as usize] = Some(untouched);
        }
    }
}
