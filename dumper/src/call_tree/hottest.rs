//! The lines that held the most themselves, whoever called them.

use std::collections::HashMap;

use super::CallTree;
use crate::label::Call;
use crate::recording::Tally;

/// A call site: one line of one function with all its callers.
#[derive(Clone, Debug)]
pub struct Hot<'a> {
    /// The line that allocated.
    pub call: Call<'a>,
    /// What it held.
    pub held: Tally,
    /// If the line belongs to a library: the line of the user's own code that it held the most of this for.
    pub on_behalf_of: Option<Call<'a>>,
}

impl<'a> CallTree<'a> {
    /// The `count` call sites that held the most themselves, the largest first.
    pub fn hottest(&self, count: usize) -> Vec<Hot<'a>> {
        let mut sums: HashMap<(u32, u32), Tally> = HashMap::new();
        for node in self.nodes.iter().filter(|node| node.own.bytes > 0) {
            *sums.entry((node.function, node.line)).or_default() += node.own;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by_key(|((function, line), held)| {
            (std::cmp::Reverse(held.bytes), self.called(*function, *line))
        });
        sums.truncate(count);
        let hottest = sums.into_iter().map(|((function, line), held)| {
            let call = self.called(function, line);
            let on_behalf_of = if call.is_library() {
                self.beneficiary(function, line)
            } else {
                None
            };
            Hot {
                call,
                held,
                on_behalf_of,
            }
        });
        hottest.collect()
    }

    /// The line of the user's own code that is nearest above most bytes of a library's line.
    fn beneficiary(&self, function: u32, line: u32) -> Option<Call<'a>> {
        let mut sums: HashMap<Call<'a>, u64> = HashMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            if node.own.bytes > 0 && (node.function, node.line) == (function, line) {
                let mut calls = self.callers(id).map(|node| self.call(node));
                if let Some(call) = calls.find(|call| !call.is_library() && !call.file.is_empty()) {
                    let sum = sums.entry(call).or_default();
                    *sum = sum.saturating_add(node.own.bytes);
                }
            }
        }
        sums.into_iter()
            .max_by_key(|(call, bytes)| (*bytes, std::cmp::Reverse(*call)))
            .map(|(call, _)| call)
    }
}
