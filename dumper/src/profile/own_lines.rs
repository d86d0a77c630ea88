//! What each line of the user's own code holds, with what libraries hold for it.

use std::collections::HashMap;

use super::tally::Tally;
use super::tree::CallTree;
use crate::label::Call;

impl<'a> CallTree<'a> {
    /// Every line of the user's own code that something is held for, by rank: each block counts for the innermost such line of its
    /// callstack. In no order.
    pub(crate) fn own_lines(&self) -> Vec<(Call<'a>, Tally)> {
        let mut sums: HashMap<(&str, u32), (Call<'a>, Tally)> = HashMap::new();
        let own_callers = self.own_callers();
        for id in (1..self.nodes.len()).filter(|id| self.own(*id).bytes > 0) {
            if own_callers[id] != 0 {
                let call = self.call(&self.nodes[own_callers[id] as usize]);
                let sum = sums.entry((call.file, call.line)).or_insert((call, Tally::default()));
                sum.1 += self.own(id);
            }
        }
        sums.into_values().collect()
    }

    /// For each node, the node nearest above it, or itself, that is of the user's own code; 0 where there is none. All in one pass, so
    /// that deep callstacks are not walked once for each node.
    pub(super) fn own_callers(&self) -> Vec<u32> {
        let mut is_own: HashMap<u32, bool> = HashMap::new();
        let mut callers = vec![0; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate().skip(1) {
            let is_own = *is_own.entry(node.function).or_insert_with(|| self.call(node).is_own());
            callers[id] = match is_own {
                true => id as u32,
                false => callers[node.parent as usize],
            };
        }
        callers
    }
}
