//! One moment of a profile, by one rank: who held how much, by callstack. Every picture, table and text is computed from this.

use super::growth::Grown;
use super::measured::Measured;
use super::model::{Node, Profile};
use super::moment::Moment;
use super::rank::Rank;
use super::tally::{Tally, Weight};
use crate::label::Call;
use crate::units;

/// A moment of a profile.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    profile: &'a Profile,
    moment: Moment,
}

/// What was held at one moment. Node 0 is the root, which is no call and holds nothing itself; parents come before their
/// children; every node but the root has something requested on it or on what it called.
#[derive(Clone, Debug)]
pub struct CallTree<'a> {
    pub(super) profile: &'a Profile,
    pub(super) rank: Rank,
    pub(super) nodes: Vec<Node>,
    /// What each node holds itself.
    pub(super) held: Vec<Weight>,
    /// By rank, what each node and everything that it called hold.
    pub(super) totals: Vec<Tally>,
}

impl Profile {
    /// What there is to say of a moment; nothing is held if there was no such moment.
    pub fn at(&self, moment: Moment) -> At<'_> {
        At { profile: self, moment }
    }
}

impl<'a> At<'a> {
    /// The measurement that says the most about the moment.
    pub fn measured(&self) -> Option<&'a Measured> {
        self.profile.measurements.at(self.moment, &self.profile.facts)
    }

    /// Which moment it is.
    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    /// How many bytes that were asked for were not in memory, and of how many, where the process has seen that itself.
    pub(crate) fn untouched(&self) -> Option<[u64; 2]> {
        let untouched = self.profile.untouched[self.moment as usize].as_ref()?;
        let all = self
            .profile
            .holdings
            .iter()
            .map(|holding| holding.at(self.moment).bytes);
        let is_seen = self.profile.facts.looked_resident_bytes > 0;
        is_seen.then(|| [units::sum(untouched.values().copied()), units::sum(all)])
    }

    /// All that was held, by either rank.
    pub fn weight(&self) -> Weight {
        let profile = self.profile;
        let was = self.moment != Moment::OutOfMemory || profile.facts.failure.is_some();
        let held = profile.holdings.iter().filter(|_| was);
        let mut all = Tally::default();
        held.for_each(|holding| all += holding.at(self.moment));
        let written = profile.written[self.moment as usize].values();
        written.for_each(|bytes| all += Tally::of_bytes(*bytes));
        let untouched = profile.untouched[self.moment as usize].as_ref();
        Weight {
            requested: all,
            resident: untouched.map(|untouched| all.bytes.saturating_sub(units::sum(untouched.values().copied()))),
        }
    }

    /// By how much each line has grown until this moment; none if no moment before it is known.
    pub fn growth(&self) -> Option<Grown<'a>> {
        Grown::until(self.profile, self.moment)
    }

    /// The call tree, whose order and shares are by this rank.
    pub fn by(&self, rank: Rank) -> CallTree<'a> {
        let profile = self.profile;
        let recorded = &profile.nodes;
        let mut own = vec![Tally::default(); recorded.len()];
        let was = self.moment != Moment::OutOfMemory || profile.facts.failure.is_some();
        for holding in profile.holdings.iter().filter(|_| was) {
            own[holding.node as usize] += holding.at(self.moment);
        }
        for (node, bytes) in &profile.written[self.moment as usize] {
            own[*node as usize] += Tally::of_bytes(*bytes);
        }
        let untouched = profile.untouched[self.moment as usize].as_ref();
        let mut is_kept: Vec<bool> = own.iter().map(|tally| tally.bytes > 0).collect();
        is_kept[0] = true;
        for id in (1..recorded.len()).rev() {
            if is_kept[id] {
                is_kept[recorded[id].parent as usize] = true;
            }
        }
        let count = is_kept.iter().filter(|is_kept| **is_kept).count();
        let mut nodes = Vec::with_capacity(count);
        let mut held = Vec::with_capacity(count);
        let mut place = vec![0; recorded.len()];
        for id in (0..recorded.len()).filter(|id| is_kept[*id]) {
            let node = recorded[id];
            place[id] = nodes.len() as u32;
            nodes.push(Node {
                parent: place[node.parent as usize],
                ..node
            });
            held.push(Weight {
                requested: own[id],
                resident: untouched.map(|untouched| {
                    let untouched = untouched.get(&(id as u32)).copied().unwrap_or(0);
                    own[id].bytes.saturating_sub(untouched)
                }),
            });
        }
        let mut tree = CallTree {
            profile,
            rank,
            nodes,
            held,
            totals: Vec::new(),
        };
        tree.totals = tree.totals_by(rank);
        tree
    }
}

impl<'a> CallTree<'a> {
    /// What order and shares are by.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// By rank, what the node at this index allocated itself.
    pub fn own(&self, index: usize) -> Tally {
        self.held[index].by(self.rank)
    }

    /// What the node at this index allocated itself, by either rank.
    pub fn held(&self, index: usize) -> Weight {
        self.held[index]
    }

    /// By rank, what the node at this index and everything that it called allocated.
    pub fn total(&self, index: usize) -> Tally {
        self.totals[index]
    }

    /// By rank, everything.
    pub fn all(&self) -> Tally {
        self.totals[0]
    }

    /// Everything, by either rank.
    pub fn weight(&self) -> Weight {
        let mut sum = Weight::default();
        self.held.iter().for_each(|held| sum += *held);
        sum
    }

    /// For each node, what it and everything that it called allocated, by any rank.
    pub(crate) fn totals_by(&self, rank: Rank) -> Vec<Tally> {
        let mut totals: Vec<Tally> = self.held.iter().map(|held| held.by(rank)).collect();
        for id in (1..totals.len()).rev() {
            let total = totals[id];
            totals[self.nodes[id].parent as usize] += total;
        }
        totals
    }

    /// The names of a node.
    pub fn call(&self, node: &Node) -> Call<'a> {
        self.profile.call(node.function, node.line)
    }

    /// The names of a function, and one of its lines.
    pub fn called(&self, function: u32, line: u32) -> Call<'a> {
        self.profile.call(function, line)
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
}
