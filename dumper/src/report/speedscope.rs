//! One moment as a file of speedscope: JSON, with each frame once and a list of frames for each callstack.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::format::{About, Format, Input, Needs};
use super::stacks::{REST, Selection};
use super::words;
use crate::label::printable;
use crate::outlet::to_json;
use crate::profile::{CallTree, Node, Rank};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// Frames that are written in all: of at most eight bytes each.
const MOST_FRAMES: u64 = 3 << 20;
/// Bytes of their names: a line of code repeats those of its function.
const LONGEST_NAMES: usize = 32 << 20;

#[derive(Serialize)]
struct Frame<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

/// JSON for speedscope.
pub(super) struct Speedscope;

impl Format for Speedscope {
    fn about(&self) -> About {
        About::new("speedscope", ".speedscope.json", Needs::Moment, "For speedscope")
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let shown = input.shown()?;
        let what = if shown.rank == Rank::Resident { ", resident" } else { "" };
        let when = words::moment(shown.moment, input.account.run);
        write(out, &format!("{when}{what} ({})", shown.process.name()), input.tree()?)
    }
}

/// Only the frames' names and the weights are in memory beside the tree.
fn write(out: &mut dyn Write, title: &str, tree: &CallTree) -> io::Result<()> {
    write!(out, "{{\"$schema\":\"{SCHEMA}\",\"exporter\":\"fil-profile ")?;
    write!(out, "{}\",\"name\":", env!("CARGO_PKG_VERSION"))?;
    text(out, title)?;
    out.write_all(b",\"activeProfileIndex\":0,\"profiles\":[{\"type\":\"sampled\",\"name\":")?;
    text(out, title)?;
    out.write_all(b",\"unit\":\"bytes\",\"startValue\":0,\"endValue\":")?;
    write!(out, "{},\"samples\":[", tree.all().bytes)?;

    let mut numbers = HashMap::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut room = LONGEST_NAMES;
    let mut weights: Vec<u64> = Vec::new();
    let selection = Selection::choose(tree, MOST_FRAMES, |_| 1);
    let rest = selection.each(tree, |stack, last| {
        let between = if weights.is_empty() { "\n[" } else { ",\n[" };
        out.write_all(between.as_bytes())?;
        for (depth, node) in stack.iter().enumerate() {
            let number = *numbers.entry((node.function, node.line)).or_insert_with(|| {
                frames.push(frame(tree, node, &mut room));
                frames.len() - 1
            });
            let comma = if depth == 0 { "" } else { "," };
            write!(out, "{comma}{number}")?;
        }
        weights.push(tree.own(last).bytes);
        out.write_all(b"]")
    })?;
    if rest.bytes > 0 {
        frames.push(Frame {
            name: REST.into(),
            file: None,
            line: None,
        });
        let between = if weights.is_empty() { "" } else { "," };
        write!(out, "{between}\n[{}]", frames.len() - 1)?;
        weights.push(rest.bytes);
    }
    out.write_all(b"],\"weights\":")?;
    to_json(out, &weights)?;
    out.write_all(b"}],\"shared\":{\"frames\":")?;
    to_json(out, &frames)?;
    out.write_all(b"}}\n")
}

fn frame<'a>(tree: &CallTree<'a>, node: &Node, room: &mut usize) -> Frame<'a> {
    let mut call = tree.call(node);
    *room = room.saturating_sub(call.file.len() + call.function.len());
    if *room == 0 {
        (call.file, call.function) = ("", "[no room for its name]");
    }
    Frame {
        // They are shown as they are.
        name: match call.function {
            "" => "[unnamed]".into(),
            function => printable(function),
        },
        file: Some(call.file).filter(|file| !file.is_empty()).map(printable),
        line: Some(call.line).filter(|line| *line > 0),
    }
}

fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    to_json(out, &printable(text))
}
