//! What several processes held at one moment, as one view.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::graph::{CallName, Graph, GraphFrame};
use super::view::{ListedSite, View, sort};
use crate::profile::{Rank, Weight};

/// Call sites that are listed.
const SITES: usize = 200;

impl View {
    /// All of the views as one: a frame for each process, and what they hold at the same line put together.
    pub(in crate::report) fn together(views: &[&View]) -> Option<View> {
        let first = views.first()?;
        let mut weight = Weight::default();
        views.iter().for_each(|view| weight += view.weight);
        Some(View {
            pid: first.pid,
            name: first.name.clone(),
            moment: first.moment,
            when: first.when,
            stem: None,
            weight,
            rank: first.rank,
            facts: first.facts.clone(),
            graph: graph(views),
            sites: sites(views, first.rank),
            growth_since: growth_since(views),
            listings: Vec::new(),
            together: views.len(),
        })
    }
}

fn graph(views: &[&View]) -> Graph {
    let mut graph = Graph {
        frames: vec![GraphFrame {
            parent: 0,
            call: None,
            own: 0,
            resident: None,
        }],
        calls: Vec::new(),
    };
    let mut known: HashMap<CallName, u32> = HashMap::new();
    let mut number = |name: CallName, calls: &mut Vec<CallName>| {
        *known.entry(name).or_insert_with_key(|name| {
            calls.push(name.clone());
            calls.len() as u32 - 1
        })
    };
    for view in views {
        let process = CallName {
            function: view.who().into(),
            ..CallName::default()
        };
        let process = number(process, &mut graph.calls);
        let begin = graph.frames.len() as u32;
        for (index, frame) in view.graph.frames.iter().enumerate() {
            let call = match index {
                0 => Some(process),
                _ => frame
                    .call
                    .map(|call| number(view.graph.calls[call as usize].clone(), &mut graph.calls)),
            };
            let parent = match index {
                0 => 0,
                _ => begin + frame.parent,
            };
            graph.frames.push(GraphFrame { parent, call, ..*frame });
        }
    }
    graph
}

/// Each process has a moment of its own that its growth is counted from.
fn growth_since(views: &[&View]) -> Option<(f64, f64)> {
    let known = views.iter().filter_map(|view| view.growth_since);
    known.reduce(|(least, most), (first, last)| (least.min(first), most.max(last)))
}

fn sites(views: &[&View], rank: Rank) -> Vec<ListedSite> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut sites: Vec<ListedSite> = Vec::new();
    for site in views.iter().flat_map(|view| &view.sites) {
        let new = sites.len();
        let index = *known.entry(&site.place).or_insert(new);
        if index == new {
            sites.push(site.clone());
            continue;
        }
        let sum = &mut sites[index];
        sum.held += site.held;
        sum.total += site.total;
        for caller in &site.callers {
            match sum.callers.iter_mut().find(|known| known.place == caller.place) {
                Some(known) => known.held += caller.held,
                None => sum.callers.push(caller.clone()),
            }
        }
        if let Some(more) = site.growth {
            *sum.growth.get_or_insert_default() += more;
        }
    }
    for site in &mut sites {
        site.callers.sort_by_key(|caller| Reverse(caller.held.by(rank).bytes));
    }
    sort(&mut sites, rank);
    sites.truncate(SITES);
    sites
}
