//! A recording of what nobody recorded: for a picture of something that was computed.

use super::names::Names;
use super::{Facts, Function, Node, Recording, Site, Tally};

impl Recording {
    /// One with these functions, as file and name, and these nodes, the root first and parents before their children, each
    /// with what it holds at [`Moment::Live`](crate::Moment::Live).
    pub(crate) fn made_up<'a>(
        functions: impl IntoIterator<Item = (&'a str, &'a str)>,
        nodes: impl IntoIterator<Item = (Node, u64)>,
    ) -> Recording {
        let mut names = Names::default();
        let functions = functions.into_iter().map(|(file, name)| Function {
            file: names.add(file),
            name: names.add(name),
        });
        let functions = functions.collect();
        let (nodes, held): (Vec<Node>, Vec<u64>) = nodes.into_iter().unzip();
        let held = held.into_iter().zip(0..).filter(|(bytes, _)| *bytes > 0);
        let sites = held.map(|(bytes, node)| {
            let tally = Tally {
                bytes,
                ..Tally::default()
            };
            Site::live(node, tally)
        });
        Recording {
            facts: Facts::default(),
            sites: sites.collect(),
            nodes,
            functions,
            names,
            measurements: Default::default(),
        }
    }
}
