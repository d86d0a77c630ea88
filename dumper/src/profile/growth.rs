//! By how much each line has grown since an earlier moment.

use std::collections::HashMap;

use super::model::{IMPORTS, Profile};
use super::moment::Moment;
use super::tally::Growth;
use crate::label::Call;

/// What lines hold themselves, compared with an earlier moment of the process.
#[derive(Clone, Debug)]
pub struct Grown<'a> {
    /// How long the process had run then, in seconds.
    pub since: f64,
    sites: HashMap<Call<'a>, Growth>,
    /// Of each call site, by the line of the user's own code that it was for.
    parts: HashMap<(Call<'a>, Option<Call<'a>>), Growth>,
}

impl<'a> Grown<'a> {
    /// By how much a call site has grown.
    pub fn site(&self, call: &Call) -> Growth {
        self.sites.get(call).copied().unwrap_or_default()
    }

    /// By how much a call site has grown of what it holds for a line of the user's own code.
    pub(crate) fn part(&self, call: Call<'a>, caller: Option<Call<'a>>) -> Growth {
        self.parts.get(&(call, caller)).copied().unwrap_or_default()
    }

    pub(super) fn until(profile: &'a Profile, moment: Moment) -> Option<Grown<'a>> {
        let since = profile.facts.growth_since(moment)?;
        let charges = profile.charges(&profile.nodes);
        let line = |id: u32| (profile.nodes[id as usize].function, profile.nodes[id as usize].line);
        let mut sums: HashMap<_, Growth> = HashMap::new();
        for holding in &profile.holdings {
            let growth = holding.growth(moment);
            if growth != Growth::default() {
                let charge = charges[holding.node as usize];
                let site = if charge.import == 0 {
                    line(holding.node)
                } else {
                    IMPORTS
                };
                let caller = charge.caller(holding.node);
                let caller = caller.map(|own| profile.told(&profile.nodes, own));
                *sums.entry((site, caller)).or_default() += growth;
            }
        }
        let mut grown = Grown {
            since,
            sites: HashMap::new(),
            parts: HashMap::new(),
        };
        for (((function, line), caller), growth) in sums {
            let site = profile.call(function, line);
            *grown.sites.entry(site).or_default() += growth;
            *grown.parts.entry((site, caller)).or_default() += growth;
        }
        Some(grown)
    }
}
