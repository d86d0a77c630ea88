//! Two call trees as one: each node with what it held in the old run and in the new one.

use std::collections::HashMap;

use super::lines::Pairs;
use crate::profile::{CallTree, Node, Profile, Tally};

/// The root first, and parents before their children.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) nodes: Vec<Both>,
    index: HashMap<(u32, u32), u32>,
}

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct Both {
    pub(super) parent: u32,
    /// Of its lines.
    pub(super) key: u32,
    pub(super) old: Tally,
    pub(super) new: Tally,
    /// With what they called.
    pub(super) old_total: u64,
    pub(super) new_total: u64,
    /// Of both totals together, in the units of a tally.
    pub(super) variance: u64,
}

impl Merged {
    pub(super) fn new(old: &CallTree, new: &CallTree, pairs: &Pairs) -> Merged {
        let mut merged = Merged {
            nodes: vec![Both::default()],
            index: HashMap::new(),
        };
        merged.add(old, |id| pairs.of_old(id), |both| &mut both.old);
        merged.add(new, |id| pairs.of_new(id), |both| &mut both.new);
        for both in &mut merged.nodes {
            (both.old_total, both.new_total) = (both.old.bytes, both.new.bytes);
            both.variance = both.old.variance.saturating_add(both.new.variance);
        }
        for id in (1..merged.nodes.len()).rev() {
            let Both {
                parent,
                old_total,
                new_total,
                variance,
                ..
            } = merged.nodes[id];
            let parent = &mut merged.nodes[parent as usize];
            parent.old_total = parent.old_total.saturating_add(old_total);
            parent.new_total = parent.new_total.saturating_add(new_total);
            parent.variance = parent.variance.saturating_add(variance);
        }
        merged
    }

    fn add(&mut self, tree: &CallTree, key: impl Fn((u32, u32)) -> u32, side: fn(&mut Both) -> &mut Tally) {
        let mut place = vec![0; tree.nodes().len()];
        for (id, node) in tree.nodes().iter().enumerate().skip(1) {
            let parent = place[node.parent as usize];
            let key = key((node.function, node.line));
            let new = self.nodes.len() as u32;
            let index = *self.index.entry((parent, key)).or_insert(new);
            if index == new {
                self.nodes.push(Both {
                    parent,
                    key,
                    ..Both::default()
                });
            }
            *side(&mut self.nodes[index as usize]) += tree.own(id);
            place[id] = index;
        }
    }

    /// What hangs on a node at a line.
    pub(super) fn child(&self, parent: u32, key: u32) -> Option<u32> {
        self.index.get(&(parent, key)).copied()
    }

    /// What each line allocated itself in both runs, summed over its callers.
    pub(super) fn sites(&self) -> impl Iterator<Item = (u32, Tally, Tally)> {
        let mut sites: HashMap<u32, (Tally, Tally)> = HashMap::new();
        for both in &self.nodes {
            if both.old.bytes > 0 || both.new.bytes > 0 {
                let (old, new) = sites.entry(both.key).or_default();
                *old += both.old;
                *new += both.new;
            }
        }
        sites.into_iter().map(|(key, (old, new))| (key, old, new))
    }

    /// As a profile in which each node holds what it held in the run in which that was more, and each pair of lines is a function
    /// with the key as its number.
    pub(super) fn profile(&self, pairs: &Pairs) -> Profile {
        let lines = pairs.pairs().iter().map(|pair| pair.shown());
        let functions = lines.map(|line| (line.file, line.function));
        let nodes = self.nodes.iter().map(|both| {
            let node = Node {
                parent: both.parent,
                function: both.key,
                line: 0,
            };
            (node, both.old.bytes.max(both.new.bytes))
        });
        Profile::from_nodes(pairs.texts().clone(), functions, nodes)
    }
}
