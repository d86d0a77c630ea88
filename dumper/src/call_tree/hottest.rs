//! The lines that held the most themselves, whoever called them.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::CallTree;
use crate::label::Call;
use crate::recording::Tally;

/// A call site: one line of one function with all its callers.
#[derive(Clone, Debug)]
pub struct Hot<'a> {
    /// The line that allocated.
    pub call: Call<'a>,
    /// What it held, as it was asked for.
    pub held: Tally,
    /// Bytes of that that were in memory; none if that was not measured.
    pub resident: Option<u64>,
    /// If the line belongs to a library: the line of the user's own code that it held the most of this for.
    pub on_behalf_of: Option<Call<'a>>,
}

/// Of the call sites that are kept, one in so many is for the largest by request of those that rank behind.
const ASKED_FOR: usize = 10;

impl<'a> CallTree<'a> {
    /// The `count` call sites that held the most themselves, the largest first, by what the tree is ranked by.
    pub fn hottest(&self, count: usize) -> Vec<Hot<'a>> {
        let line = |id: &u32| {
            let node = &self.nodes[*id as usize];
            (node.function, node.line)
        };
        let allocating = (0..self.nodes.len() as u32).filter(|id| self.nodes[*id as usize].requested.bytes > 0);
        let mut allocating: Vec<u32> = allocating.collect();
        allocating.sort_unstable_by_key(line);
        let sites = allocating.chunk_by(|a, b| line(a) == line(b));
        let mut sites: Vec<(u64, &[u32])> = sites.map(|nodes| (self.ranked_at(nodes), nodes)).collect();
        let call = |nodes: &[u32]| self.call(&self.nodes[nodes[0] as usize]);
        let by_rank = |(more, a): &(u64, &[u32]), (less, b): &(u64, &[u32])| {
            let call = |nodes: &[u32]| self.call(&self.nodes[nodes[0] as usize]);
            less.cmp(more).then_with(|| call(a).cmp(&call(b)))
        };
        sites.sort_unstable_by(by_rank);
        if sites.len() > count {
            // What was asked for and is not there ranks last, and is yet worth to be seen.
            let mut beyond = sites.split_off(count - count / ASKED_FOR);
            beyond.sort_by_key(|(_, nodes)| Reverse(self.held_by(nodes).bytes));
            sites.extend(beyond.into_iter().take(count / ASKED_FOR));
            sites.sort_unstable_by(by_rank);
        }
        let own_callers = self.own_callers();
        let hottest = sites.into_iter().take(count).map(|(_, nodes)| Hot {
            call: call(nodes),
            held: self.held_by(nodes),
            resident: self.resident_of(nodes),
            on_behalf_of: match call(nodes).is_library() {
                true => self.beneficiary(nodes, &own_callers),
                false => None,
            },
        });
        hottest.collect()
    }

    fn held_by(&self, nodes: &[u32]) -> Tally {
        let mut sum = Tally::default();
        nodes.iter().for_each(|id| sum += self.nodes[*id as usize].requested);
        sum
    }

    fn resident_of(&self, nodes: &[u32]) -> Option<u64> {
        let mut resident = nodes.iter().map(|id| self.nodes[*id as usize].resident);
        resident.try_fold(0u64, |sum, resident| Some(sum.saturating_add(resident?)))
    }

    fn ranked_at(&self, nodes: &[u32]) -> u64 {
        let own = nodes.iter().map(|id| self.nodes[*id as usize].own.bytes);
        own.fold(0, u64::saturating_add)
    }

    /// The line of the user's own code that is nearest above most bytes of a library's line.
    fn beneficiary(&self, nodes: &[u32], own_callers: &[u32]) -> Option<Call<'a>> {
        let mut sums: HashMap<Call<'a>, u64> = HashMap::new();
        for id in nodes {
            let own = own_callers[*id as usize];
            if own != 0 {
                let sum = sums.entry(self.call(&self.nodes[own as usize])).or_default();
                *sum = sum.saturating_add(self.nodes[*id as usize].requested.bytes);
            }
        }
        sums.into_iter()
            .max_by_key(|(call, bytes)| (*bytes, Reverse(*call)))
            .map(|(call, _)| call)
    }
}
