//! What each line of the user's own code holds, with what libraries hold for it.

use std::collections::HashMap;

use super::CallTree;
use crate::label::Call;
use crate::recording::Tally;

impl<'a> CallTree<'a> {
    /// Every line of the user's own code that something is held for: each block counts for the innermost such line of its
    /// callstack. In no order.
    pub(crate) fn own_lines(&self) -> Vec<(Call<'a>, Tally)> {
        let mut sums: HashMap<(&str, u32), (Call<'a>, Tally)> = HashMap::new();
        for id in (1..self.nodes.len()).filter(|id| self.nodes[*id].own.bytes > 0) {
            let mut calls = self.callers(id).map(|node| self.call(node));
            if let Some(call) = calls.find(|call| !call.is_library() && !call.file.is_empty()) {
                let sum = sums.entry((call.file, call.line)).or_insert((call, Tally::default()));
                sum.1 += self.nodes[id].own;
            }
        }
        sums.into_values().collect()
    }
}
