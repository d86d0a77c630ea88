//! A profile as the job wants it shown: from which callers on, and under which names.

use super::model::{Function, Profile};
use crate::label::cut;
use crate::presentation::Presentation;

/// Characters of a name. It is kept for each function of the source.
const LONGEST_NAME: usize = 500;

impl Profile {
    /// Cuts the callers off and names files as the presentation says. Numbers do not change.
    pub(crate) fn present(&mut self, presentation: &Presentation) {
        if *presentation == Presentation::default() {
            return;
        }
        match &presentation.below {
            Some(file) => self.cut_callers(file),
            None => self.begin_at_sources(presentation),
        }
        for function in &mut self.functions {
            let known = presentation.sources.get(self.strings.get(function.file));
            if let Some(source) = known {
                function.file = self.strings.add(&cut(&source.name, LONGEST_NAME));
            }
        }
        self.merge_functions();
    }

    /// What is called from this file begins at the root, with the outermost such call.
    fn cut_callers(&mut self, file: &str) {
        let is_of_file = |function: &Function| self.strings.get(function.file) == file;
        let of_file: Vec<bool> = self.functions.iter().map(is_of_file).collect();
        // By node: whether it is a call of that file, and whether one is above it.
        let mut is_call = vec![false; self.nodes.len()];
        let mut is_below = vec![false; self.nodes.len()];
        // Whether all that is above it, and below the first call of the file, is of the file.
        let mut begins = vec![true; self.nodes.len()];
        for id in 1..self.nodes.len() {
            let node = self.nodes[id];
            let parent = node.parent as usize;
            is_call[id] = of_file.get(node.function as usize).copied().unwrap_or(false);
            is_below[id] = is_call[parent] || is_below[parent];
            begins[id] = !is_below[id] || is_call[parent] && begins[parent];
            // What such a call allocates itself stays where it is.
            if is_below[id] && !is_call[id] && is_call[parent] && begins[parent] {
                self.nodes[id].parent = 0;
            }
        }
    }

    /// What runs a cell of a notebook is nothing to do with it.
    fn begin_at_sources(&mut self, presentation: &Presentation) {
        let is_source = |function: &Function| presentation.sources.contains_key(self.strings.get(function.file));
        let of_source: Vec<bool> = self.functions.iter().map(is_source).collect();
        let mut is_within = vec![false; self.nodes.len()];
        for id in 1..self.nodes.len() {
            let node = &mut self.nodes[id];
            let is_source = of_source.get(node.function as usize).copied().unwrap_or(false);
            let parent_within = is_within[node.parent as usize];
            is_within[id] = is_source || parent_within;
            if is_source && !parent_within {
                node.parent = 0;
            }
        }
    }

    /// Functions that no longer differ are one again.
    fn merge_functions(&mut self) {
        let mut known = std::collections::HashMap::new();
        let mut which = Vec::with_capacity(self.functions.len());
        for (id, function) in self.functions.iter().enumerate() {
            let names = (self.strings.get(function.file), self.strings.get(function.name));
            which.push(*known.entry(names).or_insert(id as u32));
        }
        for node in &mut self.nodes {
            if let Some(function) = which.get(node.function as usize) {
                node.function = *function;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presentation::Source;
    use crate::profile::Node;

    /// A profile with one callstack, outermost first: file and function.
    fn profile(stack: &[(&str, &str)]) -> Profile {
        let mut profile = Profile {
            nodes: vec![Node::default()],
            ..Profile::default()
        };
        for (file, name) in stack {
            let (file, name) = (profile.strings.add(file), profile.strings.add(name));
            profile.functions.push(Function { file, name });
            profile.nodes.push(Node {
                parent: profile.nodes.len() as u32 - 1,
                function: profile.functions.len() as u32 - 1,
                line: 1,
            });
        }
        profile
    }

    fn shown(mut profile: Profile, presentation: &Presentation) -> Vec<String> {
        profile.present(presentation);
        let last = profile.nodes.len() as u32 - 1;
        profile.stack(last).map(|call| call.exact()).collect()
    }

    #[test]
    fn callers_end_at_the_outermost_call_of_the_file_that_is_named() {
        let stack = [
            ("a", "main"),
            ("scope", "profile"),
            ("scope", "call"),
            ("b", "f"),
            ("scope", "profile"),
            ("c", "g"),
        ];
        let presentation = Presentation {
            below: Some("scope".to_owned()),
            ..Presentation::default()
        };
        assert_eq!(
            shown(profile(&stack), &presentation),
            ["c:1 (g)", "scope:1 (profile)", "b:1 (f)"]
        );
        assert_eq!(shown(profile(&stack), &Presentation::default()).len(), 6);
    }

    #[test]
    fn a_callstack_begins_at_the_outermost_cell_and_cells_have_their_names() {
        let stack = [
            ("shell", "run"),
            ("/tmp/1.py", "<module>"),
            ("lib", "g"),
            ("/tmp/1.py", "f"),
        ];
        let source = Source {
            name: "In [3]".to_owned(),
            text: String::new(),
        };
        let presentation = Presentation {
            below: None,
            sources: [("/tmp/1.py".to_owned(), source)].into(),
        };
        let expected = ["In [3]:1 (f)", "lib:1 (g)", "In [3]:1 (<module>)"];
        assert_eq!(shown(profile(&stack), &presentation), expected);
    }
}
