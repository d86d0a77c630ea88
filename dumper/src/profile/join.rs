//! One profile of several call trees: of the processes of a run, or of many runs.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::holding::Holding;
use super::model::{Function, Node, Profile};
use super::moment::Moment;
use super::prune::{self, Limits};
use super::rank::Rank;
use super::strings::Interner;
use super::tally::{Tally, Weight};
use super::tree::CallTree;

/// What stands for all that has been let go of.
const REST: &str = "[smaller callstacks]";
/// Bytes of names that are kept, of all trees together.
const MOST_TEXT: usize = 32 << 20;

/// Trees that are being put together. All that they held is held at [`Moment::Live`] of the profile that this becomes.
#[derive(Debug)]
pub(crate) struct Join {
    strings: Interner,
    functions: Vec<Function>,
    function_of: HashMap<(u32, u32), u32>,
    nodes: Vec<Node>,
    node_of: HashMap<(u32, u32, u32), u32>,
    held: Vec<Weight>,
}

impl Join {
    pub(crate) fn new() -> Join {
        let mut joined = Join {
            strings: Interner::default(),
            functions: Vec::new(),
            function_of: HashMap::new(),
            nodes: Vec::new(),
            node_of: HashMap::new(),
            held: Vec::new(),
        };
        // Number 0 is the empty name.
        joined.strings.number("");
        let function = joined.function("", "");
        joined.add_node(0, function, 0);
        joined
    }

    /// Adds what a tree holds, under a frame of this name if there is one.
    pub(crate) fn add(&mut self, frame: Option<&str>, tree: &CallTree) {
        let root = match frame {
            Some(name) => {
                let function = self.function("", name);
                self.node(0, function, 0)
            }
            None => 0,
        };
        let mut functions: HashMap<u32, u32> = HashMap::new();
        let mut place = vec![root; tree.nodes().len()];
        for (id, node) in tree.nodes().iter().enumerate().skip(1) {
            let function = *functions.entry(node.function).or_insert_with(|| {
                let call = tree.call(node);
                self.function(call.file, call.function)
            });
            let index = self.node(place[node.parent as usize], function, node.line);
            place[id] = index;
            self.held[index as usize] += tree.held(id);
        }
    }

    /// Adds bytes of which no more is known, under a frame of this name.
    pub(crate) fn hold(&mut self, frame: &str, bytes: u64) {
        let function = self.function("", frame);
        let node = self.node(0, function, 0);
        self.held[node as usize] += Weight {
            requested: Tally::of_bytes(bytes),
            resident: None,
        };
    }

    /// Drops all nodes but those that hold the most by this rank, and the names that only the others have, if there are more nodes than
    /// `most` or their names are too long; what the others hold is kept as one sum for each node that stays.
    pub(crate) fn shrink(&mut self, most: usize, rank: Rank) {
        if self.nodes.len() <= most && self.strings.strings().text_bytes() <= MOST_TEXT {
            return;
        }
        let mut totals: Vec<u64> = self.held.iter().map(|held| held.by(rank).bytes).collect();
        for id in (1..self.nodes.len()).rev() {
            let parent = self.nodes[id].parent as usize;
            totals[parent] = totals[parent].saturating_add(totals[id]);
        }
        let Join {
            strings,
            functions,
            nodes,
            held,
            ..
        } = std::mem::replace(self, Join::new());
        let (strings, names) = (strings.finish(), |function: u32| functions[function as usize]);
        // A caller holds no less than what it calls and has a smaller number: it comes first. Half of them are kept, so that not
        // every tree that is added makes for another round.
        let limits = Limits {
            most: most / 2,
            room: MOST_TEXT as u64 / 2,
        };
        let mut is_named = vec![false; functions.len()];
        let cost = |id: &u32| {
            let function = nodes[*id as usize].function;
            let Function { file, name } = names(function);
            match std::mem::replace(&mut is_named[function as usize], true) {
                true => 0,
                false => (strings.get(file).len() + strings.get(name).len()) as u64,
            }
        };
        let all = (1..nodes.len() as u32).collect();
        let largest = prune::keep(all, limits, |id: &u32| (Reverse(totals[*id as usize]), *id), cost);
        let is_kept = prune::flags(nodes.len(), largest);
        let rest = self.function("", REST);
        self.held[0] = held[0];
        let mut place = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate().skip(1) {
            let parent = place[node.parent as usize];
            place[id] = match is_kept[id] {
                true => {
                    let Function { file, name } = names(node.function);
                    let function = self.function(strings.get(file), strings.get(name));
                    self.node(parent, function, node.line)
                }
                false if self.nodes[parent as usize].function == rest => parent,
                false => self.node(parent, rest, 0),
            };
            self.held[place[id] as usize] += held[id];
        }
    }

    /// The profile of all of it.
    pub(crate) fn finish(self) -> Profile {
        let untouched = self
            .held
            .iter()
            .zip(0..)
            .filter_map(|(held, node)| Some((node, held.requested.bytes.saturating_sub(held.resident?))));
        let untouched: HashMap<u32, u64> = untouched.collect();
        let held = self.held.iter().zip(0..).filter(|(held, _)| held.requested.bytes > 0);
        let mut profile = Profile {
            holdings: held.map(|(held, node)| Holding::live(node, held.requested)).collect(),
            nodes: self.nodes,
            functions: self.functions,
            strings: self.strings.finish(),
            ..Profile::default()
        };
        profile.untouched[Moment::Live as usize] = Some(untouched).filter(|untouched| !untouched.is_empty());
        profile
    }

    fn function(&mut self, file: &str, name: &str) -> u32 {
        let (file, name) = (self.strings.number(file), self.strings.number(name));
        let new = self.functions.len() as u32;
        let number = *self.function_of.entry((file, name)).or_insert(new);
        if number == new {
            self.functions.push(Function { file, name });
        }
        number
    }

    fn node(&mut self, parent: u32, function: u32, line: u32) -> u32 {
        match self.node_of.get(&(parent, function, line)) {
            Some(index) => *index,
            None => self.add_node(parent, function, line),
        }
    }

    fn add_node(&mut self, parent: u32, function: u32, line: u32) -> u32 {
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { parent, function, line });
        self.held.push(Weight::default());
        if index > 0 {
            self.node_of.insert((parent, function, line), index);
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree of one stack for each of the numbers: `f<n>` called from `main`, which holds as many bytes.
    fn profile(numbers: &[u64]) -> Profile {
        let mut joined = Join::new();
        let main = joined.function("a.py", "main");
        for bytes in numbers {
            let caller = joined.node(0, main, 1);
            let function = joined.function("a.py", &format!("f{bytes}"));
            let node = joined.node(caller, function, 2);
            joined.held[node as usize] += Weight {
                requested: Tally::of_bytes(*bytes),
                resident: None,
            };
        }
        joined.finish()
    }

    #[test]
    fn the_same_stack_of_two_trees_is_one_and_frames_keep_them_apart() {
        let (a, b) = (profile(&[10, 20]), profile(&[20]));
        let [a, b] = [&a, &b].map(|profile| profile.at(Moment::Live).by(Rank::Requested));
        let mut together = Join::new();
        together.add(None, &a);
        together.add(None, &b);
        let together = together.finish();
        let tree = together.at(Moment::Live).by(Rank::Requested);
        assert_eq!((tree.nodes().len(), tree.all().bytes), (4, 50));
        assert_eq!(tree.sites(1)[0].ranked.bytes, 40);

        let mut apart = Join::new();
        apart.add(Some("process 1"), &a);
        apart.add(Some("process 2"), &b);
        let apart = apart.finish();
        let tree = apart.at(Moment::Live).by(Rank::Requested);
        let roots = tree
            .nodes()
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, node)| node.parent == 0);
        let roots: Vec<_> = roots
            .map(|(id, node)| (tree.call(node).short(""), tree.total(id).bytes))
            .collect();
        assert_eq!(roots, [("process 1".to_owned(), 30), ("process 2".to_owned(), 20)]);
    }

    #[test]
    fn names_of_what_is_let_go_of_are_let_go_of_too() {
        let mut joined = Join::new();
        let mut bytes = 0;
        for run in 0..20u64 {
            for number in 0..500 {
                let function = joined.function(&format!("/{run}/{number}/{}", "a".repeat(15_000)), "f");
                let node = joined.node(0, function, 1);
                joined.held[node as usize] += Weight {
                    requested: Tally::of_bytes(1000 + number),
                    resident: None,
                };
                bytes += 1000 + number;
            }
            joined.shrink(40_000, Rank::Requested);
            let text = joined.strings.strings().text_bytes();
            assert!(text <= MOST_TEXT, "{text}");
            assert!(joined.functions.len() <= MOST_TEXT / 15_000 + 3);
        }
        let joined = joined.finish();
        let tree = joined.at(Moment::Live).by(Rank::Requested);
        assert_eq!(tree.all().bytes, bytes);
        let largest = tree.culprit().unwrap().call;
        assert!(largest.file.starts_with('/') || largest.function == REST);
    }

    proptest! {
        #[test]
        fn what_is_let_go_of_is_still_counted(numbers in prop::collection::vec(1u64..1000, 1..200), most in 2usize..100) {
            let profile = profile(&numbers);
            let tree = profile.at(Moment::Live).by(Rank::Requested);
            let mut joined = Join::new();
            joined.add(Some("run"), &tree);
            joined.shrink(most, Rank::Requested);
            // Each that is kept may have one beside it that stands for the rest.
            prop_assert!(joined.nodes.len() <= 2 * most + 2);
            let joined = joined.finish();
            prop_assert_eq!(joined.at(Moment::Live).by(Rank::Requested).all().bytes, numbers.iter().sum::<u64>());
        }
    }
}
