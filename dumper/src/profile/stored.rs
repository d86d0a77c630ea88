//! A profile's tables as a bundle keeps them: without what held nothing at any moment, and checked anew when they are read.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::holding::Holding;
use super::measured::Measurements;
use super::model::{Function, Node, Profile};
use super::strings::Strings;
use crate::bounded::{self, NAMES, NODES, SITES};

/// All of a profile but its facts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tables {
    #[serde(deserialize_with = "bounded::list::<_, _, NODES>")]
    nodes: Vec<Node>,
    #[serde(deserialize_with = "bounded::list::<_, _, SITES>")]
    sites: Vec<Holding>,
    #[serde(deserialize_with = "bounded::list::<_, _, NAMES>")]
    functions: Vec<Function>,
    names: Strings,
    measurements: Measurements,
}

impl Tables {
    /// How many there are, of all tables.
    pub(crate) fn count(&self) -> usize {
        self.nodes.len() + self.sites.len() + self.functions.len() + self.names.len() + self.measurements.rows()
    }
}

impl Profile {
    /// Removes the nodes that lead to no held memory, no event and no failed allocation.
    pub(crate) fn compact(mut self) -> Profile {
        // What a site has only written, to mappings of files, is not in its holding.
        let mut is_kept: Vec<bool> = self.holdings.iter().map(|site| !site.is_empty()).collect();
        for site in self.measurements.all().flat_map(|measured| &measured.written) {
            if let Some(is_kept) = is_kept.get_mut(site.site as usize) {
                *is_kept |= site.pages.resident > 0;
            }
        }
        let mut kept_sites = 0;
        let places = is_kept.iter().map(|is_kept| {
            kept_sites += u32::from(*is_kept);
            is_kept.then(|| kept_sites - 1)
        });
        let places: Vec<Option<u32>> = places.collect();
        self.measurements
            .move_sites(|site| places.get(site as usize).copied().flatten());
        let mut keeps = is_kept.into_iter();
        self.holdings.retain(|_| keeps.next() == Some(true));
        let mut is_kept = vec![false; self.nodes.len()];
        let failure = self.facts.failure.iter().map(|failure| failure.node);
        let events = self.facts.events.iter().map(|event| event.node);
        let sites = self.holdings.iter().map(|site| site.node);
        for node in sites.chain(failure).chain(events).chain([0]) {
            is_kept[node as usize] = true;
        }
        for id in (1..self.nodes.len()).rev() {
            if is_kept[id] {
                is_kept[self.nodes[id].parent as usize] = true;
            }
        }
        let mut place = vec![0; self.nodes.len()];
        let mut kept = 0;
        for id in (0..self.nodes.len()).filter(|id| is_kept[*id]) {
            let node = self.nodes[id];
            // Never to a higher index: what is kept takes the place of what has been dealt with.
            self.nodes[kept] = Node {
                parent: place[node.parent as usize],
                ..node
            };
            place[id] = kept as u32;
            kept += 1;
        }
        self.nodes.truncate(kept);
        self.nodes.shrink_to_fit();
        for site in &mut self.holdings {
            site.node = place[site.node as usize];
        }
        for event in &mut self.facts.events {
            event.node = place[event.node as usize];
        }
        if let Some(failure) = &mut self.facts.failure {
            failure.node = place[failure.node as usize];
        }
        let measurements = std::mem::take(&mut self.measurements);
        self.measure(measurements);
        self
    }

    /// Its facts and its tables.
    pub(crate) fn into_parts(self) -> (Facts, Tables) {
        let tables = Tables {
            nodes: self.nodes,
            sites: self.holdings,
            functions: self.functions,
            names: self.strings,
            measurements: self.measurements,
        };
        (self.facts, tables)
    }

    /// The profile that these are the parts of; none if one of them points at something that is not there.
    pub(crate) fn from_parts(facts: Facts, tables: Tables) -> Option<Profile> {
        let nodes = tables.nodes.len();
        let is_there = |node: u32| (node as usize) < nodes;
        let mut parents = tables.nodes.iter().enumerate();
        let is_sound = nodes > 0
            && tables.names.are_sound()
            && parents.all(|(id, node)| (node.parent as usize) < id.max(1))
            && tables.sites.iter().all(|site| is_there(site.node))
            && facts.events.iter().all(|event| is_there(event.node))
            && facts.failure.iter().all(|failure| is_there(failure.node));
        is_sound.then(|| {
            let mut profile = Profile {
                facts,
                nodes: tables.nodes,
                holdings: tables.sites,
                functions: tables.functions,
                strings: tables.names,
                ..Profile::default()
            };
            profile.measure(tables.measurements);
            profile
        })
    }

    /// Every line of every function that a node is at, each once.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, u32)> {
        let mut lines: Vec<(u32, u32)> = self.nodes.iter().map(|node| (node.function, node.line)).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
            .into_iter()
            .map(|(function, line)| (self.function(function).0, line))
    }
}
