//! The call sites that held the most themselves, with all their callers: the one ranking, and the one culprit.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::prune::{Limits, keep};
use super::tally::{Tally, Weight};
use super::tree::CallTree;
use crate::label::Call;
use crate::units::Share;

/// A call site: one line of one function with all its callers.
#[derive(Clone, Debug)]
pub struct CallSite<'a> {
    /// The line that allocated.
    pub call: Call<'a>,
    /// If the line belongs to a library: the line of the user's own code that it held the most for.
    pub from: Option<Call<'a>>,
    /// What it held.
    pub held: Weight,
    /// What of that counts by the rank of its tree.
    pub ranked: Tally,
    /// Its part of everything, by that rank.
    pub share: Share,
}

/// Of the call sites that are kept, one in so many is for the largest by request of those that rank behind.
const ASKED_FOR: usize = 10;

/// A line, by the nodes that it is at.
struct Line<'a> {
    call: Call<'a>,
    nodes: &'a [u32],
    held: Weight,
}

impl<'a> CallTree<'a> {
    /// The call site that held the most, and for which line of the user's own code. This is what every report names.
    pub fn culprit(&self) -> Option<CallSite<'a>> {
        self.sites(1).pop()
    }

    /// The `most` call sites that held the most themselves by rank, the largest first.
    pub fn sites(&self, most: usize) -> Vec<CallSite<'a>> {
        let line = |id: &u32| {
            let node = &self.nodes[*id as usize];
            (node.function, node.line)
        };
        let allocating = (0..self.nodes.len() as u32).filter(|id| self.held[*id as usize].requested.bytes > 0);
        let mut allocating: Vec<u32> = allocating.collect();
        allocating.sort_unstable_by_key(line);
        let lines = allocating.chunk_by(|a, b| line(a) == line(b));
        let lines: Vec<Line> = lines.map(|nodes| self.line(nodes)).collect();
        let by_rank = |id: &usize| (Reverse(lines[*id].held.by(self.rank).bytes), lines[*id].call);
        let asked_for = if lines.len() > most { most / ASKED_FOR } else { 0 };
        let mut kept: Vec<usize> = keep(
            (0..lines.len()).collect(),
            Limits::count(most - asked_for),
            by_rank,
            |_| 0,
        );
        if asked_for > 0 {
            // What was asked for and is not in memory ranks last, and is still worth listing.
            let mut is_kept = vec![false; lines.len()];
            kept.iter().for_each(|id| is_kept[*id] = true);
            let beyond = (0..lines.len()).filter(|id| !is_kept[*id]).collect();
            let requested = |id: &usize| (Reverse(lines[*id].held.requested.bytes), by_rank(id));
            kept.extend(keep(beyond, Limits::count(asked_for), requested, |_| 0));
            kept.sort_unstable_by_key(|id| by_rank(id));
        }
        let own_callers = self.own_callers();
        let sites = kept.into_iter().map(|id| self.site(&lines[id], &own_callers));
        sites.collect()
    }

    fn line<'b>(&self, nodes: &'b [u32]) -> Line<'b>
    where
        'a: 'b,
    {
        let mut held = Weight::default();
        nodes.iter().for_each(|id| held += self.held[*id as usize]);
        let call = self.call(&self.nodes[nodes[0] as usize]);
        Line { call, nodes, held }
    }

    fn site(&self, line: &Line<'_>, own_callers: &[u32]) -> CallSite<'a> {
        let call = self.call(&self.nodes[line.nodes[0] as usize]);
        let ranked = line.held.by(self.rank);
        CallSite {
            call,
            from: if call.is_library() {
                self.beneficiary(line.nodes, own_callers)
            } else {
                None
            },
            held: line.held,
            ranked,
            share: Share::of(ranked.bytes, self.all().bytes),
        }
    }

    /// Of the lines of the user's own code that are nearest above a library's line, the one with the most bytes of it.
    fn beneficiary(&self, nodes: &[u32], own_callers: &[u32]) -> Option<Call<'a>> {
        let mut sums: HashMap<Call<'a>, Weight> = HashMap::new();
        for id in nodes {
            let own = own_callers[*id as usize];
            if own != 0 {
                *sums.entry(self.call(&self.nodes[own as usize])).or_default() += self.held[*id as usize];
            }
        }
        let size = |held: &Weight| (held.by(self.rank).bytes, held.requested.bytes);
        let largest = sums.into_iter().max_by_key(|(call, held)| (size(held), Reverse(*call)));
        largest.map(|(call, _)| call)
    }
}
