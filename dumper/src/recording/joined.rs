//! Call trees put together into one, as if one process had recorded them all: of the processes of a run, or of many runs.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::names::Names;
use super::{Facts, Function, Node, Recording, Site, Tally};
use crate::call_tree::CallTree;

/// What stands for all that has been let go of.
const REST: &str = "[smaller callstacks]";
/// Bytes of names that are kept, of all trees together.
const MOST_TEXT: usize = 32 << 20;

/// Trees that have been put together. All that they held is held at [`Moment::Live`](crate::Moment::Live) of the recording
/// that this becomes.
#[derive(Debug)]
pub(crate) struct Joined {
    names: Names,
    number_of: HashMap<String, u32>,
    functions: Vec<Function>,
    function_of: HashMap<(u32, u32), u32>,
    nodes: Vec<Node>,
    node_of: HashMap<(u32, u32, u32), u32>,
    own: Vec<Tally>,
}

impl Joined {
    pub(crate) fn new() -> Joined {
        let mut joined = Joined {
            names: Names::default(),
            number_of: HashMap::new(),
            functions: Vec::new(),
            function_of: HashMap::new(),
            nodes: Vec::new(),
            node_of: HashMap::new(),
            own: Vec::new(),
        };
        // Number 0 is the empty name.
        joined.name("");
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
            self.own[index as usize] += node.own;
        }
    }

    /// Adds bytes of which no more is known, under a frame of this name.
    pub(crate) fn hold(&mut self, frame: &str, bytes: u64) {
        let function = self.function("", frame);
        let node = self.node(0, function, 0);
        self.own[node as usize] += Tally {
            bytes,
            ..Tally::default()
        };
    }

    /// Lets go of all nodes but those that hold the most, and of the names that only the others have, if there are more nodes than `most`
    /// or their names are too long; what the others hold is told in one sum for each that is kept.
    pub(crate) fn shrink(&mut self, most: usize) {
        if self.nodes.len() <= most && self.names.text_bytes() <= MOST_TEXT {
            return;
        }
        let mut totals = self.own.clone();
        for id in (1..self.nodes.len()).rev() {
            let total = totals[id];
            totals[self.nodes[id].parent as usize] += total;
        }
        let mut largest: Vec<u32> = (1..self.nodes.len() as u32).collect();
        // A caller holds no less than what it calls and has a smaller number: it comes first.
        largest.sort_unstable_by_key(|id| (Reverse(totals[*id as usize].bytes), *id));
        let mut is_kept = vec![false; self.nodes.len()];
        is_kept[0] = true;
        // Half of them, so that not every tree that is added makes for another round.
        let mut text = 0;
        let mut is_named = vec![false; self.functions.len()];
        for id in largest.into_iter().take(most / 2) {
            let function = self.nodes[id as usize].function as usize;
            if !std::mem::replace(&mut is_named[function], true) {
                let Function { file, name } = self.functions[function];
                text += self.names.get(file).len() + self.names.get(name).len();
            }
            if text > MOST_TEXT / 2 {
                break;
            }
            is_kept[id as usize] = true;
        }
        let Joined {
            names,
            functions,
            nodes,
            own,
            ..
        } = std::mem::replace(self, Joined::new());
        let rest = self.function("", REST);
        self.own[0] = own[0];
        let mut place = vec![0; nodes.len()];
        for (id, node) in nodes.iter().enumerate().skip(1) {
            let parent = place[node.parent as usize];
            place[id] = match is_kept[id] {
                true => {
                    let Function { file, name } = functions[node.function as usize];
                    let function = self.function(names.get(file), names.get(name));
                    self.node(parent, function, node.line)
                }
                false if self.nodes[parent as usize].function == rest => parent,
                false => self.node(parent, rest, 0),
            };
            self.own[place[id] as usize] += own[id];
        }
    }

    /// A recording of all of it.
    pub(crate) fn finish(self) -> Recording {
        let held = self.own.iter().zip(0..).filter(|(own, _)| own.bytes > 0);
        Recording {
            measurements: Default::default(),
            facts: Facts::default(),
            sites: held.map(|(own, node)| Site::live(node, *own)).collect(),
            nodes: self.nodes,
            functions: self.functions,
            names: self.names,
        }
    }

    fn name(&mut self, text: &str) -> u32 {
        if let Some(number) = self.number_of.get(text) {
            return *number;
        }
        let number = self.names.add(text);
        self.number_of.insert(text.to_owned(), number);
        number
    }

    fn function(&mut self, file: &str, name: &str) -> u32 {
        let (file, name) = (self.name(file), self.name(name));
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
        self.own.push(Tally::default());
        if index > 0 {
            self.node_of.insert((parent, function, line), index);
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_tree::Moment;
    use proptest::prelude::*;

    /// A tree of one stack for each of the numbers: `f<n>` called from `main`, which holds as many bytes.
    fn recording(numbers: &[u64]) -> Recording {
        let mut joined = Joined::new();
        let main = joined.function("a.py", "main");
        for bytes in numbers {
            let caller = joined.node(0, main, 1);
            let function = joined.function("a.py", &format!("f{bytes}"));
            let node = joined.node(caller, function, 2);
            joined.own[node as usize] += Tally {
                bytes: *bytes,
                ..Tally::default()
            };
        }
        joined.finish()
    }

    #[test]
    fn the_same_stack_of_two_trees_is_one_and_frames_keep_them_apart() {
        let (a, b) = (recording(&[10, 20]), recording(&[20]));
        let [a, b] = [&a, &b].map(|recording| CallTree::of(recording, Moment::Live));
        let mut together = Joined::new();
        together.add(None, &a);
        together.add(None, &b);
        let together = together.finish();
        let tree = CallTree::of(&together, Moment::Live);
        assert_eq!((tree.nodes().len(), tree.total().bytes), (4, 50));
        assert_eq!(tree.hottest(1)[0].held.bytes, 40);

        let mut apart = Joined::new();
        apart.add(Some("process 1"), &a);
        apart.add(Some("process 2"), &b);
        let apart = apart.finish();
        let tree = CallTree::of(&apart, Moment::Live);
        let roots = tree.nodes().iter().skip(1).filter(|node| node.parent == 0);
        let roots: Vec<_> = roots
            .map(|node| (tree.call(node).short(""), node.total.bytes))
            .collect();
        assert_eq!(roots, [("process 1".to_owned(), 30), ("process 2".to_owned(), 20)]);
    }

    #[test]
    fn names_of_what_is_let_go_of_are_let_go_of_too() {
        let mut joined = Joined::new();
        let mut bytes = 0;
        for run in 0..20u64 {
            for number in 0..500 {
                let function = joined.function(&format!("/{run}/{number}/{}", "a".repeat(15_000)), "f");
                let node = joined.node(0, function, 1);
                joined.own[node as usize] += Tally {
                    bytes: 1000 + number,
                    ..Tally::default()
                };
                bytes += 1000 + number;
            }
            joined.shrink(40_000);
            assert!(joined.names.text_bytes() <= MOST_TEXT, "{}", joined.names.text_bytes());
            assert!(joined.functions.len() <= MOST_TEXT / 15_000 + 3);
        }
        let joined = joined.finish();
        let tree = CallTree::of(&joined, Moment::Live);
        assert_eq!(tree.total().bytes, bytes);
        assert!(tree.hottest(1)[0].call.file.starts_with('/') || tree.hottest(1)[0].call.function == REST);
    }

    proptest! {
        #[test]
        fn what_is_let_go_of_is_still_counted(numbers in prop::collection::vec(1u64..1000, 1..200), most in 2usize..100) {
            let recording = recording(&numbers);
            let tree = CallTree::of(&recording, Moment::Live);
            let mut joined = Joined::new();
            joined.add(Some("run"), &tree);
            joined.shrink(most);
            // Each that is kept may have one beside it that stands for the rest.
            prop_assert!(joined.nodes.len() <= 2 * most + 2);
            let joined = joined.finish();
            prop_assert_eq!(CallTree::of(&joined, Moment::Live).total().bytes, numbers.iter().sum::<u64>());
        }
    }
}
