//! For whom each node holds its memory: the nearest line of the user's own code, unless an import is nearer.

use super::model::{Node, Profile};
use super::tree::CallTree;
use crate::label::Call;
use crate::origin::Origin;

/// What Python calls the functions that comprehensions were before 3.12.
const COMPREHENSIONS: [&str; 3] = ["<listcomp>", "<setcomp>", "<dictcomp>"];

/// Of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The nearest node above it, or itself, that is of the user's own code; 0 where there is none.
    pub(crate) own: u32,
    /// The outermost frame of the import that it is part of; 0 if a line of the user's own is nearer, as in a module of the user's own.
    pub(crate) import: u32,
    /// Whether the program was given as text.
    is_text: bool,
}

impl Charge {
    /// The node of the user's own code that this node, which is not of it, holds its memory for.
    pub(super) fn caller(self, id: u32) -> Option<u32> {
        Some(self.own).filter(|own| *own != 0 && *own != id)
    }

    /// That of a node which is called from one with this.
    fn called(self, id: u32, origin: Origin, is_outermost: bool) -> Charge {
        let is_text = match origin {
            Origin::Launcher => false,
            Origin::Text if is_outermost => true,
            _ => self.is_text,
        };
        let charge = Charge { is_text, ..self };
        match origin {
            Origin::Text if is_text => Charge {
                own: id,
                import: 0,
                is_text,
            },
            Origin::Own => Charge {
                own: id,
                import: 0,
                is_text,
            },
            Origin::Launcher => Charge { own: 0, ..charge },
            Origin::Importer if self.import == 0 => Charge { import: id, ..charge },
            Origin::Importer | Origin::Library | Origin::Text | Origin::MadeUp => charge,
        }
    }
}

impl Profile {
    /// That of each of these nodes. All in one pass, so that deep callstacks are not walked once for each node.
    pub(super) fn charges(&self, nodes: &[Node]) -> Vec<Charge> {
        let mut origins: Vec<Option<Origin>> = vec![None; self.functions.len()];
        let mut charges = vec![Charge::default(); nodes.len()];
        for (id, node) in nodes.iter().enumerate().skip(1) {
            let origin = match origins.get_mut(node.function as usize) {
                Some(Some(origin)) => *origin,
                Some(unknown) => *unknown.insert(self.origin(node)),
                None => self.origin(node),
            };
            charges[id] = charges[node.parent as usize].called(id as u32, origin, node.parent == 0);
        }
        charges
    }

    /// A line as its file has it: a comprehension is told as the function that it stands in, as Python does from 3.12 on.
    pub(super) fn told(&self, nodes: &[Node], id: u32) -> Call<'_> {
        let node = nodes[id as usize];
        let call = self.call(node.function, node.line);
        let caller = nodes[node.parent as usize];
        let (file, function) = self.function(caller.function);
        match COMPREHENSIONS.contains(&call.function) && node.parent != 0 && file == call.file {
            true => Call { function, ..call },
            false => call,
        }
    }

    /// The line of the user's own code that is nearest above a node, or is the node's.
    pub fn own_line(&self, node: u32) -> Option<Call<'_>> {
        let mut path = vec![node];
        while let Some(node) = self.nodes.get(*path.last()? as usize).filter(|node| node.parent != 0) {
            path.push(node.parent);
        }
        let mut charge = Charge::default();
        for id in path.into_iter().rev() {
            let node = self.nodes.get(id as usize).filter(|_| id != 0)?;
            charge = charge.called(id, self.origin(node), node.parent == 0);
        }
        (charge.own != 0).then(|| self.told(&self.nodes, charge.own))
    }

    fn origin(&self, node: &Node) -> Origin {
        let (file, name) = self.function(node.function);
        Origin::of(file, name)
    }
}

impl CallTree<'_> {
    /// That of each of its nodes.
    pub(crate) fn charges(&self) -> Vec<Charge> {
        self.profile.charges(&self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Function;

    /// The charge of the innermost of a callstack, outermost first, as places in that stack, from 1.
    fn charge(stack: &[&str]) -> (u32, u32) {
        let mut profile = Profile {
            nodes: vec![Node::default()],
            ..Profile::default()
        };
        for file in stack {
            let (file, name) = (profile.strings.add(file), profile.strings.add("f"));
            profile.functions.push(Function { file, name });
            profile.nodes.push(Node {
                parent: profile.nodes.len() as u32 - 1,
                function: profile.functions.len() as u32 - 1,
                line: profile.nodes.len() as u32,
            });
        }
        let charge = profile.charges(&profile.nodes)[stack.len()];
        let line = profile.own_line(stack.len() as u32).map_or(0, |call| call.line);
        assert_eq!(line, charge.own, "{stack:?}");
        (charge.own, charge.import)
    }

    const IMPORT: &str = "<frozen importlib._bootstrap>";
    const NUMPY: &str = "/venv/lib/python3.11/site-packages/numpy/core.py";

    #[test]
    fn a_module_of_the_users_own_is_no_import_and_what_it_imports_is() {
        assert_eq!(charge(&["job.py", NUMPY]), (1, 0));
        assert_eq!(charge(&["job.py", IMPORT, IMPORT, NUMPY]), (1, 2));
        assert_eq!(charge(&["job.py", IMPORT, NUMPY, IMPORT]), (1, 2));
        assert_eq!(charge(&["job.py", IMPORT, "tables.py"]), (3, 0));
        assert_eq!(charge(&["job.py", IMPORT, "tables.py", NUMPY]), (3, 0));
        assert_eq!(charge(&["job.py", IMPORT, "tables.py", IMPORT, NUMPY]), (3, 4));
        assert_eq!(charge(&[NUMPY, IMPORT]), (0, 2));
        assert_eq!(charge(&["[No Python stack]"]), (0, 0));
    }

    #[test]
    fn text_is_the_users_own_if_the_program_was_given_so_and_nothing_that_a_launcher_runs_is_for_its_caller() {
        assert_eq!(charge(&["<string>", NUMPY]), (1, 0));
        assert_eq!(charge(&["<string>", NUMPY, "<string>"]), (3, 0));
        assert_eq!(charge(&["job.py", NUMPY, "<string>"]), (1, 0));
        let spawn = "/usr/lib/python3.11/multiprocessing/spawn.py";
        assert_eq!(charge(&["<string>", spawn, NUMPY]), (0, 0));
        assert_eq!(charge(&["<string>", spawn, NUMPY, "<string>"]), (0, 0));
        assert_eq!(charge(&["<string>", spawn, "job.py", NUMPY]), (3, 0));
    }
}
