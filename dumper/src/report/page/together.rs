//! What several processes held at one moment, as one view.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::graph::{CallName, Frame, Graph};
use super::view::{Culprit, Site, View};
use crate::recording::Tally;

/// Call sites that are listed.
const SITES: usize = 200;

impl View {
    /// All of the views as one: a frame for each process, and what they hold at the same line put together.
    pub(in crate::report) fn together(views: &[&View]) -> Option<View> {
        let first = views.first()?;
        let mut total = Tally::default();
        views.iter().for_each(|view| total += view.total);
        let mut together = View {
            pid: first.pid,
            name: first.name.clone(),
            moment: first.moment,
            when: first.when,
            stem: None,
            total,
            ranked: views.iter().fold(0, |sum, view| sum.saturating_add(view.ranked)),
            is_by_resident: false,
            facts: first.facts.clone(),
            graph: graph(views),
            sites: sites(views),
            growth_since: growth_since(views),
            listings: Vec::new(),
            culprit: culprit(views),
            together: views.len(),
        };
        if first.is_by_resident {
            together.rank_by_resident();
        }
        Some(together)
    }
}

fn graph(views: &[&View]) -> Graph {
    let mut graph = Graph {
        frames: vec![Frame {
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
            graph.frames.push(Frame { parent, call, ..*frame });
        }
    }
    graph
}

/// Each process has a moment of its own that its growth is counted from.
fn growth_since(views: &[&View]) -> Option<(f64, f64)> {
    let known = views.iter().filter_map(|view| view.growth_since);
    known.reduce(|(least, most), (first, last)| (least.min(first), most.max(last)))
}

fn sites(views: &[&View]) -> Vec<Site> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut sites: Vec<Site> = Vec::new();
    for site in views.iter().flat_map(|view| &view.sites) {
        let new = sites.len();
        let index = *known.entry(&site.place).or_insert(new);
        if index == new {
            sites.push(site.clone());
            continue;
        }
        let sum = &mut sites[index];
        sum.own += site.own;
        sum.total += site.total;
        sum.resident = match (sum.resident, site.resident) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        if let Some(more) = site.growth {
            *sum.growth.get_or_insert_default() += more;
        }
    }
    sites.sort_by(|a, b| {
        let order = |site: &Site| Reverse((site.own.bytes, site.total.bytes));
        order(a).cmp(&order(b)).then_with(|| a.place.cmp(&b.place))
    });
    sites.truncate(SITES);
    sites
}

/// The line that most of all processes is due to, of those that are the largest in one of them.
fn culprit(views: &[&View]) -> Option<Culprit> {
    let mut sums: HashMap<&str, Culprit> = HashMap::new();
    for culprit in views.iter().filter_map(|view| view.culprit.as_ref()) {
        let sum = sums.entry(&culprit.place).or_insert_with(|| Culprit {
            bytes: 0,
            ..culprit.clone()
        });
        sum.bytes = sum.bytes.saturating_add(culprit.bytes);
    }
    sums.into_values()
        .max_by(|a, b| a.bytes.cmp(&b.bytes).then_with(|| b.place.cmp(&a.place)))
}
