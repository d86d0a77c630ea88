//! The one model that every report is drawn from: who held how much at one moment, by callstack.

mod condensed;
mod growth;
mod hottest;
mod own_lines;
mod resident;

use serde::{Deserialize, Serialize};

use crate::label::Call;
use crate::recording::{Recording, Tally};

pub use growth::Grown;
pub use hottest::Hot;

/// The moments that a recording knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// When the recording was read, or the process ended.
    Live,
    /// At the highest total.
    Peak,
    /// When an allocation failed, before anything was unwound.
    OutOfMemory,
}

/// What was held at one moment. Node 0 is the root, which is no call and holds nothing itself; parents come before their
/// children; every node but the root has a total above zero, unless it is ranked by what is resident.
#[derive(Clone, Debug)]
pub struct CallTree<'a> {
    nodes: Vec<Node>,
    recording: &'a Recording,
}

/// One line of one function under one caller.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The caller's index; the root is its own.
    pub parent: u32,
    /// Equal for equal file and name.
    pub function: u32,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
    /// What it allocated itself, or what of that is there where the tree is ranked by what is resident.
    pub own: Tally,
    /// What it allocated itself.
    pub requested: Tally,
    /// Bytes of it that were in memory; none if that was not measured.
    pub resident: Option<u64>,
    /// What it and everything that it called allocated.
    pub total: Tally,
}

impl<'a> CallTree<'a> {
    /// What the recording says about a moment; an empty tree if there was no such moment.
    pub fn of(recording: &'a Recording, moment: Moment) -> CallTree<'a> {
        let recorded = &recording.nodes;
        let mut own = vec![Tally::default(); recorded.len()];
        let was = moment != Moment::OutOfMemory || recording.facts.failure.is_some();
        for site in recording.sites.iter().filter(|_| was) {
            own[site.node as usize] += site.at(moment);
        }
        let absent = resident::absent(recording, moment);
        let mut held: Vec<bool> = own.iter().map(|tally| tally.bytes > 0).collect();
        held[0] = true;
        for id in (1..recorded.len()).rev() {
            if held[id] {
                held[recorded[id].parent as usize] = true;
            }
        }

        let mut nodes = Vec::with_capacity(held.iter().filter(|held| **held).count());
        let mut index = vec![0; recorded.len()];
        for id in (0..recorded.len()).filter(|id| held[*id]) {
            let node = recorded[id];
            index[id] = nodes.len() as u32;
            nodes.push(Node {
                parent: index[node.parent as usize],
                function: node.function,
                line: node.line,
                own: own[id],
                requested: own[id],
                resident: absent.as_ref().map(|absent| {
                    let absent = absent.get(&(id as u32)).copied().unwrap_or(0);
                    own[id].bytes.saturating_sub(absent)
                }),
                total: Tally::default(),
            });
        }
        let mut tree = CallTree { nodes, recording };
        tree.add_up();
        tree
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Everything that was held.
    pub fn total(&self) -> Tally {
        self.nodes[0].total
    }

    /// What a node is called.
    pub fn call(&self, node: &Node) -> Call<'a> {
        self.called(node.function, node.line)
    }

    /// What a line of a function is called.
    pub fn called(&self, function: u32, line: u32) -> Call<'a> {
        let (file, function) = self.recording.function(function);
        Call { file, function, line }
    }

    /// Every node but the root, each directly after its caller or after what its elder siblings called, with its index and its
    /// depth: 1 for what the root called.
    pub fn walk(&self) -> impl Iterator<Item = (usize, usize, &Node)> {
        let mut first_child = vec![0u32; self.nodes.len()];
        let mut next_sibling = vec![0u32; self.nodes.len()];
        for id in (1..self.nodes.len()).rev() {
            let parent = self.nodes[id].parent as usize;
            next_sibling[id] = std::mem::replace(&mut first_child[parent], id as u32);
        }
        let mut unfinished = vec![first_child[0]];
        std::iter::from_fn(move || {
            while unfinished.last() == Some(&0) {
                unfinished.pop();
            }
            let depth = unfinished.len();
            let next = unfinished.last_mut()?;
            let id = std::mem::replace(next, next_sibling[*next as usize]) as usize;
            unfinished.push(first_child[id]);
            Some((id, depth, &self.nodes[id]))
        })
    }

    /// The node at this index and its callers, innermost first, without the root.
    pub fn callers(&self, index: usize) -> impl Iterator<Item = &Node> {
        let mut at = index;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at).filter(|_| at != 0)?;
            at = node.parent as usize;
            Some(node)
        })
    }

    /// Totals from what each node holds itself.
    fn add_up(&mut self) {
        for node in &mut self.nodes {
            node.total = node.own;
        }
        for id in (1..self.nodes.len()).rev() {
            let total = self.nodes[id].total;
            let parent = self.nodes[id].parent as usize;
            self.nodes[parent].total += total;
        }
    }
}
