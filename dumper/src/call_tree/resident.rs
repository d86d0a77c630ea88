//! What of each node was in memory, and the tree of that.

use std::collections::HashMap;

use super::{CallTree, Moment, Node};
use crate::measured::Measured;
use crate::rank::Rank;
use crate::recording::Recording;

/// What each node has asked for and not touched. Of its large blocks that was measured; small ones are taken to be there. A block
/// that is younger than the measurement is, too.
pub(super) fn absent(recording: &Recording, moment: Moment) -> Option<HashMap<u32, u64>> {
    let measured = recording.measured(moment)?;
    let mut absent = HashMap::new();
    for site in &measured.sites {
        if let Some(recorded) = recording.sites.get(site.site as usize) {
            let not_there = site.pages.bytes.saturating_sub(site.pages.resident);
            let sum: &mut u64 = absent.entry(recorded.node).or_default();
            *sum = sum.saturating_add(not_there.min(recorded.at(moment).bytes));
        }
    }
    Some(absent)
}

impl CallTree<'_> {
    /// The same tree, with what is compared as each node's bytes. What was asked for stays in [`Node::requested`].
    pub fn ranked_by(mut self, rank: Rank) -> Self {
        for node in &mut self.nodes {
            node.own.bytes = node.by(rank);
        }
        self.add_up();
        self
    }

    /// All that was in memory; none if it was not measured.
    pub fn resident(&self) -> Option<u64> {
        let mut nodes = self.nodes.iter();
        nodes.try_fold(0u64, |sum, node| Some(sum.saturating_add(node.resident?)))
    }
}

impl Node {
    fn by(&self, rank: Rank) -> u64 {
        match rank {
            Rank::Requested => self.requested.bytes,
            Rank::Resident => self.resident.unwrap_or(self.requested.bytes),
        }
    }
}

impl Recording {
    /// What was measured of its process that tells the most of a moment.
    pub fn measured(&self, moment: Moment) -> Option<&Measured> {
        self.measurements.at(moment, &self.facts)
    }
}
