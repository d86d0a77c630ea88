//! By how much each line has grown since an earlier moment.

use std::collections::HashMap;

use super::model::Profile;
use super::moment::Moment;
use super::tally::Growth;
use crate::label::Call;

/// What lines hold themselves, compared with an earlier moment of the process.
#[derive(Clone, Debug)]
pub struct Grown<'a> {
    /// How long the process had run then, in seconds.
    pub since: f64,
    lines: HashMap<Call<'a>, Growth>,
}

impl<'a> Grown<'a> {
    /// By how much a line has grown.
    pub fn line(&self, call: &Call) -> Growth {
        self.lines.get(call).copied().unwrap_or_default()
    }

    pub(super) fn until(profile: &'a Profile, moment: Moment) -> Option<Grown<'a>> {
        let since = profile.facts.growth_since(moment)?;
        let mut sums: HashMap<(u32, u32), Growth> = HashMap::new();
        for holding in &profile.holdings {
            let node = profile.nodes[holding.node as usize];
            *sums.entry((node.function, node.line)).or_default() += holding.growth(moment);
        }
        let lines = sums.into_iter().filter(|(_, growth)| *growth != Growth::default());
        let lines = lines.map(|((function, line), growth)| (profile.call(function, line), growth));
        Some(Grown {
            since,
            lines: lines.collect(),
        })
    }
}
