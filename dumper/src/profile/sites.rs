//! The lines that held the most: by the line that allocated, and by the line of the user's own code that it was for. The one ranking,
//! and the one culprit.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::charge::Charge;
use super::model::IMPORTS;
use super::prune::{Limits, keep};
use super::rank::Rank;
use super::tally::{Tally, Weight};
use super::tree::CallTree;
use crate::label::Call;
use crate::units::Share;

/// A call site: one line of one function with all its callers. What imports allocate is one of them.
#[derive(Clone, Debug)]
pub struct CallSite<'a> {
    /// The line that allocated.
    pub call: Call<'a>,
    /// If it is not the user's own: the lines of the user's own code that it held this for, the largest first.
    pub callers: Vec<(Call<'a>, Weight)>,
    /// What it held.
    pub held: Weight,
    /// What of that counts by the rank of its tree.
    pub ranked: Tally,
    /// Its part of everything, by that rank.
    pub share: Share,
}

/// A line of the user's own code with all that libraries held for it; also what no such line is behind, and what imports hold.
#[derive(Clone, Debug)]
pub struct ChargedLine<'a> {
    /// The line.
    pub call: Call<'a>,
    /// Whether it is the user's own.
    pub is_own: bool,
    /// Whether it is what imports hold.
    pub is_import: bool,
    /// Of a line of the user's own: the lines of libraries that it held memory in. Of imports: the lines of the user's own that import. The
    /// largest first.
    pub parts: Vec<(Call<'a>, Weight)>,
    /// The callstack that held the most of it, as the index of its node.
    pub(crate) largest: u32,
    /// What was held.
    pub held: Weight,
    /// What of that counts by the rank of its tree.
    pub ranked: Tally,
    /// Its part of everything, by that rank.
    pub share: Share,
}

impl<'a> CallSite<'a> {
    /// A line of the user's own that is not among the call sites that hold the most, or is none.
    pub(crate) fn of_own(call: Call<'a>, held: Weight) -> CallSite<'a> {
        CallSite {
            call,
            callers: Vec::new(),
            held,
            ranked: Tally::default(),
            share: Share::of(0, 0),
        }
    }
}

/// What is not of the user's own code counts in the order of charged lines as if it held so many times less: nobody can change it but
/// by the lines that use it.
const NOT_OWN: u64 = 4;
/// A line with a smaller part of everything does not stand out.
const STANDS_OUT: f64 = 0.1;
/// Of the call sites that are kept, one in so many is for the largest by request of those that rank behind.
const ASKED_FOR: usize = 10;

impl<'a> ChargedLine<'a> {
    /// Whether it holds enough to be named alone.
    pub fn stands_out(&self) -> bool {
        self.share.fraction() >= STANDS_OUT
    }

    /// Its place in the order: the largest first.
    fn order(&self) -> (Reverse<u64>, Reverse<u64>, Call<'a>) {
        let counts = |bytes: u64| match self.is_own || self.call.file.is_empty() && !self.is_import {
            true => bytes,
            false => bytes / NOT_OWN,
        };
        // What an import has not touched is no reason to name it.
        let ranked = match self.is_import {
            true => self.held.by(Rank::Resident).bytes.min(self.ranked.bytes),
            false => self.ranked.bytes,
        };
        (Reverse(counts(ranked)), Reverse(self.held.requested.bytes), self.call)
    }
}

/// A line as a tree numbers it.
type Line = (u32, u32);

/// Nodes that allocated and have something in common.
struct Group<K> {
    key: K,
    nodes: Vec<u32>,
    held: Weight,
}

impl<'a> CallTree<'a> {
    /// The line that every report names: of the user's own code the one that the most is held for, unless what has no such line
    /// behind it holds much more.
    pub fn culprit(&self) -> Option<ChargedLine<'a>> {
        self.charged_lines(1).pop()
    }

    /// The `most` lines of the user's own code that the most is held for, each block for the innermost one of its callstack, and what no
    /// such line is behind; the culprit first.
    pub fn charged_lines(&self, most: usize) -> Vec<ChargedLine<'a>> {
        let charges = self.charges();
        // A comprehension and the function that it stands in are one line, where a file's name says which.
        let mut first_at: HashMap<(&str, u32), u32> = HashMap::new();
        let mut first_of: HashMap<Line, Line> = HashMap::new();
        let line = |id: u32| match charges[id as usize] {
            Charge { import: 1.., .. } => IMPORTS,
            Charge { own: 0, .. } => self.line(id),
            Charge { own, .. } => {
                let own = self.line(own);
                *first_of.entry(own).or_insert_with(|| {
                    let (function, line) = own;
                    match self.called(function, line).file {
                        file if file.is_empty() || file.starts_with('<') => own,
                        file => (*first_at.entry((file, line)).or_insert(function), line),
                    }
                })
            }
        };
        let mut charged: Vec<(ChargedLine, Group<Line>)> = self
            .groups(line)
            .into_iter()
            .map(|group| (self.charged_line(&group, &charges), group))
            .collect();
        charged.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
        charged.truncate(most);
        let with_parts = charged.into_iter().map(|(charged, group)| {
            let part = |id: u32| match charges[id as usize] {
                Charge { own: 0, .. } => None,
                Charge { import: 1.., own, .. } => Some(self.told(own)),
                charge => charge.caller(id).map(|_| self.call(&self.nodes[id as usize])),
            };
            let size = |id: &&u32| (self.own(**id as usize).bytes, Reverse(**id));
            // Of functions on one line, what has no name says the least.
            let name = |call: &Call<'a>| (call.function.starts_with('<') && call.function != "<module>", *call);
            let own = group
                .nodes
                .iter()
                .map(|id| charges[*id as usize].own)
                .filter(|_| charged.is_own);
            let call = own.map(|own| self.told(own)).min_by_key(name);
            ChargedLine {
                call: call.unwrap_or(charged.call),
                largest: group.nodes.iter().max_by_key(size).copied().unwrap_or(0),
                parts: self.parts(&group, part),
                ..charged
            }
        });
        with_parts.collect()
    }

    /// The `most` call sites that held the most themselves by rank, the largest first.
    pub fn sites(&self, most: usize) -> Vec<CallSite<'a>> {
        let charges = self.charges();
        let groups = self.groups(|id| self.site_of(id, &charges));
        let call = |group: &Group<Line>| self.called(group.key.0, group.key.1);
        let by_rank = |id: &usize| (Reverse(groups[*id].held.by(self.rank).bytes), call(&groups[*id]));
        let asked_for = if groups.len() > most { most / ASKED_FOR } else { 0 };
        let mut kept: Vec<usize> = keep(
            (0..groups.len()).collect(),
            Limits::count(most - asked_for),
            by_rank,
            |_| 0,
        );
        if asked_for > 0 {
            // What was asked for and is not in memory ranks last, and is still worth listing.
            let mut is_kept = vec![false; groups.len()];
            kept.iter().for_each(|id| is_kept[*id] = true);
            let beyond = (0..groups.len()).filter(|id| !is_kept[*id]).collect();
            let requested = |id: &usize| (Reverse(groups[*id].held.requested.bytes), by_rank(id));
            kept.extend(keep(beyond, Limits::count(asked_for), requested, |_| 0));
            kept.sort_unstable_by_key(|id| by_rank(id));
        }
        let caller = |id: u32| charges[id as usize].caller(id).map(|own| self.told(own));
        let sites = kept.into_iter().map(|id| {
            let group = &groups[id];
            let ranked = group.held.by(self.rank);
            CallSite {
                call: call(group),
                callers: self.parts(group, caller),
                held: group.held,
                ranked,
                share: Share::of(ranked.bytes, self.all().bytes),
            }
        });
        sites.collect()
    }

    /// Every call site, of which each that is not the user's own is told apart by the line of the user's own code that it was for; the
    /// largest first.
    pub(crate) fn parts_of_sites(&self) -> Vec<(Call<'a>, Option<Call<'a>>, Weight)> {
        let charges = self.charges();
        let groups = self.groups(|id| {
            let caller = charges[id as usize].caller(id);
            (self.site_of(id, &charges), caller.map(|own| self.line(own)))
        });
        let part = |group: Group<(Line, Option<Line>)>| {
            let ((function, line), id) = (group.key.0, group.nodes[0]);
            let caller = charges[id as usize].caller(id).map(|own| self.told(own));
            (self.called(function, line), caller, group.held)
        };
        let mut parts: Vec<_> = groups.into_iter().map(part).collect();
        parts.sort_by_key(|(call, caller, held)| (Reverse(held.by(self.rank).bytes), *call, *caller));
        parts
    }

    /// The call site of a node.
    fn site_of(&self, id: u32, charges: &[Charge]) -> Line {
        match charges[id as usize].import {
            0 => self.line(id),
            _ => IMPORTS,
        }
    }

    fn charged_line(&self, group: &Group<Line>, charges: &[Charge]) -> ChargedLine<'a> {
        let ranked = group.held.by(self.rank);
        let charge = charges[group.nodes[0] as usize];
        ChargedLine {
            call: self.called(group.key.0, group.key.1),
            is_own: charge.own > 0 && charge.import == 0,
            is_import: charge.import > 0,
            parts: Vec::new(),
            largest: 0,
            held: group.held,
            ranked,
            share: Share::of(ranked.bytes, self.all().bytes),
        }
    }

    fn told(&self, id: u32) -> Call<'a> {
        self.profile.told(&self.nodes, id)
    }

    fn line(&self, id: u32) -> Line {
        let node = &self.nodes[id as usize];
        (node.function, node.line)
    }

    /// The nodes that allocated, by something that each has.
    fn groups<K: Ord + Copy>(&self, mut key: impl FnMut(u32) -> K) -> Vec<Group<K>> {
        let allocating = (0..self.nodes.len() as u32).filter(|id| self.held[*id as usize].requested.bytes > 0);
        let mut allocating: Vec<(K, u32)> = allocating.map(|id| (key(id), id)).collect();
        allocating.sort_unstable();
        let groups = allocating.chunk_by(|a, b| a.0 == b.0).map(|nodes| {
            let mut held = Weight::default();
            nodes.iter().for_each(|(_, id)| held += self.held[*id as usize]);
            Group {
                key: nodes[0].0,
                nodes: nodes.iter().map(|(_, id)| *id).collect(),
                held,
            }
        });
        groups.collect()
    }

    /// What a group's nodes hold, by another line that each has; the largest first.
    fn parts(&self, group: &Group<Line>, call: impl Fn(u32) -> Option<Call<'a>>) -> Vec<(Call<'a>, Weight)> {
        let mut sums: HashMap<Call<'a>, Weight> = HashMap::new();
        for id in &group.nodes {
            if let Some(call) = call(*id) {
                *sums.entry(call).or_default() += self.held[*id as usize];
            }
        }
        let mut parts: Vec<(Call, Weight)> = sums.into_iter().collect();
        let size = |held: &Weight| (held.by(self.rank).bytes, held.requested.bytes);
        parts.sort_by_key(|(call, held)| (Reverse(size(held)), *call));
        parts
    }
}
