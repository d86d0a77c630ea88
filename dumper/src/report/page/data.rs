//! What the page's script reads: JSON in a script element, which no name can end.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::chart::Chart;
use super::graph::Graph;
use super::view::View;
use crate::outlet::to_page;
use crate::profile::Rank;

/// Writes the data of a page.
pub(super) fn write<'a>(out: &mut dyn Write, views: &'a [View], chart: Option<&Chart>) -> io::Result<()> {
    let mut names = StringList::default();
    let graph = |view: &'a View| GraphData {
        by_resident: view.rank == Rank::Resident,
        ..names.graph(&view.graph)
    };
    let graphs = views.iter().map(graph).collect();
    let data = Data {
        graphs,
        strings: names.strings,
        chart,
    };
    to_page(out, &data)
}

#[derive(Serialize)]
struct Data<'a> {
    strings: Vec<&'a str>,
    graphs: Vec<GraphData>,
    chart: Option<&'a Chart>,
}

/// Columns, since there are tens of thousands of rows.
#[derive(Serialize)]
struct GraphData {
    /// How far before a frame the one that it hangs on is.
    up: Vec<u32>,
    /// The frame's call, counted from 1; 0 where it has none.
    call: Vec<u32>,
    own: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident: Option<Vec<u64>>,
    /// Whether that is what is to be seen first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_resident: bool,
    calls: Vec<CallData>,
}

/// File, function and code are places in the list of strings.
#[derive(Serialize)]
struct CallData(usize, usize, u32, usize, u8);

/// Every string once.
#[derive(Default)]
struct StringList<'a> {
    strings: Vec<&'a str>,
    known: HashMap<&'a str, usize>,
}

impl<'a> StringList<'a> {
    fn number(&mut self, text: &'a str) -> usize {
        *self.known.entry(text).or_insert_with(|| {
            self.strings.push(text);
            self.strings.len() - 1
        })
    }

    fn graph(&mut self, graph: &'a Graph) -> GraphData {
        let frames = &graph.frames;
        let mut calls = Vec::with_capacity(graph.calls.len());
        for call in &graph.calls {
            let (file, function, code) = (
                self.number(&call.file),
                self.number(&call.function),
                self.number(&call.code),
            );
            calls.push(CallData(file, function, call.line, code, call.whose as u8));
        }
        GraphData {
            up: (0..).zip(frames).map(|(index, frame)| index - frame.parent).collect(),
            call: frames
                .iter()
                .map(|frame| frame.call.map_or(0, |call| call + 1))
                .collect(),
            own: frames.iter().map(|frame| frame.own).collect(),
            resident: graph
                .has_resident()
                .then(|| frames.iter().map(|frame| frame.resident.unwrap_or(0)).collect()),
            by_resident: false,
            calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::graph::{CallName, GraphFrame};

    fn graph(resident: Option<u64>) -> Graph {
        let call = CallName {
            file: "a.py".into(),
            function: "</script><!--&".into(),
            line: 3,
            ..CallName::default()
        };
        let frame = |parent, call, own| GraphFrame {
            parent,
            call,
            own,
            resident: resident.filter(|_| own > 0),
        };
        Graph {
            frames: vec![frame(0, None, 0), frame(0, Some(0), 0), frame(1, Some(0), 7)],
            calls: vec![call],
        }
    }

    fn json(graph: &Graph) -> String {
        let mut names = StringList::default();
        let data = names.graph(graph);
        let mut text = Vec::new();
        let strings = names.strings;
        to_page(&mut text, &(data, strings)).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn no_name_can_end_the_element_and_each_is_what_it_was() {
        let text = json(&graph(None));
        assert!(!text.contains(['<', '>', '&']), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[1], serde_json::json!(["a.py", "</script><!--&", ""]));
        assert_eq!(read[0]["up"], serde_json::json!([0, 1, 1]));
        assert_eq!(read[0]["call"], serde_json::json!([0, 1, 1]));
        assert_eq!(read[0]["calls"], serde_json::json!([[0, 1, 3, 2, 0]]));
    }

    #[test]
    fn resident_bytes_are_there_where_they_were_measured_and_nowhere_else() {
        let read = |graph| serde_json::from_str::<serde_json::Value>(&json(&graph)).unwrap();
        assert_eq!(read(graph(Some(5)))[0]["resident"], serde_json::json!([0, 0, 5]));
        assert_eq!(read(graph(None))[0].get("resident"), None);
    }
}
