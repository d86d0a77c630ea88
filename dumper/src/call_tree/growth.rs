//! By how much each line has grown since an earlier moment.

use std::collections::HashMap;

use super::{CallTree, Moment};
use crate::label::Call;
use crate::recording::Growth;

/// What lines hold themselves, compared with an earlier moment of the process.
#[derive(Clone, Debug)]
pub struct Grown<'a> {
    /// How long the process had run then, in seconds.
    pub since: f64,
    lines: HashMap<Call<'a>, Growth>,
}

impl Grown<'_> {
    /// By how much a line has grown.
    pub fn of(&self, call: &Call) -> Growth {
        self.lines.get(call).copied().unwrap_or_default()
    }
}

impl<'a> CallTree<'a> {
    /// By how much each line has grown until the moment that the tree is of; none if no moment before that is known.
    pub fn growth(&self, moment: Moment) -> Option<Grown<'a>> {
        let since = self.recording.facts.growth_since(moment)?;
        let mut sums: HashMap<(u32, u32), Growth> = HashMap::new();
        for site in &self.recording.sites {
            let node = self.recording.nodes[site.node as usize];
            *sums.entry((node.function, node.line)).or_default() += site.growth(moment);
        }
        let lines = sums.into_iter().filter(|(_, growth)| *growth != Growth::default());
        let lines = lines.map(|((function, line), growth)| (self.called(function, line), growth));
        Some(Grown {
            since,
            lines: lines.collect(),
        })
    }
}
