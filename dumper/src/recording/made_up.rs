//! A recording of what nobody recorded: for a picture of something that was computed.

use super::names::Names;
use super::{Facts, Function, Node, Recording, Site, Tally};

impl Recording {
    /// One with these names, these functions, each as the places of its file and of its name among them, and these nodes, the root first and parents before their children, each
    /// with what it holds at [`Moment::Live`](crate::Moment::Live).
    pub(crate) fn made_up(
        texts: &[String],
        functions: impl IntoIterator<Item = (u32, u32)>,
        nodes: impl IntoIterator<Item = (Node, u64)>,
    ) -> Recording {
        let mut names = Names::default();
        texts.iter().for_each(|text| {
            names.add(text);
        });
        let functions = functions.into_iter().map(|(file, name)| Function { file, name });
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
