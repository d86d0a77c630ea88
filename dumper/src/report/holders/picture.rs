//! `holders.svg`: the variables with their parts as a flame graph.

use std::io::{self, Write};

use super::{HeldBy, grouped, shown};
use crate::holders::{Part, Variable};
use crate::label::printable;
use crate::profile::{Moment, Node, Profile, Rank, Strings};
use crate::report::drawing::Drawing;
use crate::report::flamegraph::{self, Caption, Labels};
use crate::source::Sources;
use crate::units::Bytes;

/// What is said of the memory that no variable was found for.
pub(crate) const NOBODY: &str = "held by no variable that was found";
/// And of the variables that have no row of their own.
pub(crate) const SMALLER: &str = "smaller variables";
/// Less than one part in this many of all needs no frame.
const WORTH: u64 = 1000;

/// Draws it. `name` is what the process is called.
pub(crate) fn draw(held: &HeldBy, name: &str, out: &mut dyn Write, sources: &mut Sources) -> io::Result<()> {
    let profile = profile(held);
    let tree = profile.at(Moment::Live).by(Rank::Requested);
    let covered = Bytes(held.look.covered_bytes);
    let title = format!(
        "Variables hold {covered} of {} ({})",
        Bytes(held.look.whole()),
        printable(name)
    );
    let age = held.age().map_or(String::new(), |age| format!(", {age}"));
    let caption = Caption {
        title,
        subtitle: format!(
            "looked at {}{age}; below each variable is the way to its memory",
            shown(&held.look.occasion)
        ),
    };
    let mut labels = Labels::new(&tree, sources, "");
    flamegraph::write(out, &Drawing::by_caller(&tree), &mut labels, caption)
}

/// What a part is called: `[i] Machine × 300`.
pub(crate) fn part(part: &Part) -> String {
    let type_name = shown(&part.type_name);
    let name = match part.step.as_str() {
        "" => type_name,
        step => format!("{} {type_name}", shown(step)),
    };
    match part.objects {
        0 | 1 => name,
        objects => format!("{name} × {}", grouped(objects)),
    }
}

/// What the variables do not hold, and what is held by those that are not told.
pub(crate) fn rest(held: &HeldBy) -> [(&'static str, u64); 2] {
    let told = held.look.variables.iter().map(|variable| variable.bytes);
    let smaller = held.look.covered_bytes.saturating_sub(crate::units::sum(told));
    let nobody = held.look.whole().saturating_sub(held.look.covered_bytes);
    [(SMALLER, smaller), (NOBODY, nobody)]
}

fn profile(held: &HeldBy) -> Profile {
    let mut strings = Strings::default();
    strings.add("");
    let mut functions = Vec::new();
    let mut nodes = vec![(Node::default(), 0)];
    let mut add = |parent: u32, name: &str, bytes: u64| {
        functions.push((0, strings.add(name)));
        let function = functions.len() as u32 - 1;
        nodes.push((
            Node {
                parent,
                function,
                line: 0,
            },
            bytes,
        ));
        nodes.len() as u32 - 1
    };
    for variable in &held.look.variables {
        let places = own_bytes(variable);
        let name = format!("{}, {}", held.place(variable), super::kind(variable));
        let first = add(0, &name, places.first().map_or(variable.bytes, |own| *own));
        let mut known = vec![first];
        for (index, one) in variable.tree.iter().enumerate().skip(1) {
            let above = known
                .get(one.parent)
                .copied()
                .filter(|_| one.parent < index)
                .unwrap_or(first);
            known.push(add(above, &part(one), places[index]));
        }
    }
    let least = held.look.whole() / WORTH;
    for (name, bytes) in rest(held).into_iter().filter(|(_, bytes)| *bytes > least) {
        add(0, name, bytes);
    }
    Profile::from_nodes(strings, functions, nodes)
}

/// Of each part, the bytes that no part below it has.
fn own_bytes(variable: &Variable) -> Vec<u64> {
    let mut own: Vec<u64> = variable.tree.iter().map(|part| part.bytes).collect();
    for (index, part) in variable.tree.iter().enumerate().skip(1) {
        if part.parent < index {
            own[part.parent] = own[part.parent].saturating_sub(part.bytes);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::holders::tests::held;

    #[test]
    fn frames_are_variables_with_the_way_to_their_memory_and_what_nobody_holds() {
        let held = held(800, 1000);
        let profile = profile(&held);
        let tree = profile.at(Moment::Live).by(Rank::Requested);
        let frames: Vec<(String, u64)> = (1..tree.nodes().len())
            .map(|id| (tree.call(&tree.nodes()[id]).short(""), tree.total(id).bytes))
            .collect();
        let expected = [
            ("fleet in main() at sensors.py:74, list of 300 Machine", 800),
            ("[i] Machine", 800),
            (".spectra ndarray", 720),
            (NOBODY, 200),
        ];
        assert_eq!(frames, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }

    #[test]
    fn a_tree_that_is_none_is_drawn_below_its_variable() {
        let mut held = held(800, 800);
        held.look.variables[0].tree[1].parent = 9;
        held.look.variables[0].tree[2].parent = 2;
        assert_eq!(profile(&held).nodes.len(), 4);
    }
}
