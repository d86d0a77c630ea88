//! One moment as a profile of `pprof`: protobuf, gzipped.
//!
//! Concatenated messages are one message, so that callstacks are written as they come and none but the present one is in memory.

mod messages;

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::account::Shown;
use super::format::{About, Format, Input, Needs};
use super::stacks::{REST, Selection};
use crate::label::printable;
use crate::profile::{CallTree, Node, Rank, Tally, Weight};
use crate::run::Run;

use messages::{Function, Line, Location, Mapping, Profile, Sample, ValueType};

/// Frames that are written in all: as many bytes, or a few times as many, before they are compressed.
const MOST_FRAMES: u64 = 4 << 20;

/// Something that each callstack has a value of.
struct Measure {
    name: &'static str,
    unit: &'static str,
    of: fn(&Tally) -> u64,
}

/// The names are those of Go's heap profiles, which every tool knows.
const MEASURES: [Measure; 2] = [
    Measure {
        name: "inuse_objects",
        unit: "count",
        of: Tally::whole_blocks,
    },
    Measure {
        name: "inuse_space",
        unit: "bytes",
        of: |held| held.bytes,
    },
];
/// Beside these where it was measured: what of each callstack's memory is there.
const RESIDENT: (&str, &str) = ("resident_space", "bytes");
/// What is shown first.
const FOREMOST: &str = "inuse_space";
/// The one mapping.
const PROGRAM: u64 = 1;

/// `pprof`'s profile, gzipped.
pub(super) struct Pprof;

impl Format for Pprof {
    fn about(&self) -> About {
        About::new(
            "pprof",
            ".pb.gz",
            Needs::Moment,
            "A profile for `pprof` and tools that read its format",
        )
        .binary()
    }

    fn write(&self, input: &Input, out: &mut dyn Write) -> io::Result<()> {
        let shown = input.shown()?;
        // It has both numbers of each callstack, and its tools rank by what was asked for.
        let tree = shown.profile.at(shown.moment).by(Rank::Requested);
        write(out, input.account.run, shown, &tree)
    }
}

fn write(out: &mut dyn Write, run: &Run, shown: &Shown, tree: &CallTree) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::default());
    let mut tables = Tables::new(tree);
    let mut put = |part: Profile| out.write_all(&part.encode_to_vec());
    let selection = Selection::choose(tree, MOST_FRAMES, |_| 1);
    let mut resident_left = tree.weight().resident;
    let requested = selection.each(tree, |stack, last| {
        let locations = stack.iter().rev().map(|node| tables.location(node)).collect();
        let held = tree.held(last);
        resident_left = resident_left.map(|left| left.saturating_sub(held.resident.unwrap_or(0)));
        put(sample(locations, held))
    })?;
    if requested.bytes > 0 {
        let rest = Weight {
            requested,
            resident: resident_left,
        };
        put(sample(vec![tables.made_up(REST)], rest))?;
    }
    put(about(run, shown, resident_left.is_some(), &mut tables))?;
    put(tables.into_profile())?;
    out.finish()?;
    Ok(())
}

fn sample(location_id: Vec<u64>, held: Weight) -> Profile {
    let values = MEASURES.iter().map(|measure| signed((measure.of)(&held.requested)));
    let values = values.chain(held.resident.map(signed));
    Profile {
        sample: vec![Sample {
            location_id,
            value: values.collect(),
        }],
        ..Profile::default()
    }
}

/// Everything but the callstacks and their names.
fn about(run: &Run, shown: &Shown, is_measured: bool, tables: &mut Tables) -> Profile {
    let measures = MEASURES.iter().map(|measure| (measure.name, measure.unit));
    let measures = measures.chain(is_measured.then_some(RESIDENT));
    let sample_type = measures.map(|(name, unit)| ValueType {
        kind: tables.string(name),
        unit: tables.string(unit),
    });
    let seconds = run.ending.as_ref().map_or(0.0, |ending| ending.seconds);
    let verdict = run.outcome.as_ref().map(|outcome| outcome.sentence.as_str());
    let comments = [Some(run.command.join(" ")), verdict.map(str::to_owned)];
    let comments = comments.into_iter().flatten().filter(|comment| !comment.is_empty());
    Profile {
        sample_type: sample_type.collect(),
        mapping: vec![Mapping {
            id: PROGRAM,
            filename: tables.string(&shown.process.name()),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
        }],
        time_nanos: signed(shown.facts().started_ns),
        // Negative and absurd durations become the nearest that there is.
        duration_nanos: (seconds * 1e9) as i64,
        period_type: Some(ValueType {
            kind: tables.string("space"),
            unit: tables.string("bytes"),
        }),
        period: if shown.facts().exact {
            1
        } else {
            signed(shown.facts().sample_interval)
        },
        comment: comments.map(|comment| tables.string(&comment)).collect(),
        default_sample_type: tables.string(FOREMOST),
        ..Profile::default()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What callstacks point at.
struct Tables<'a> {
    tree: &'a CallTree<'a>,
    strings: Vec<String>,
    string_numbers: HashMap<String, i64>,
    functions: Vec<Function>,
    function_ids: HashMap<u32, u64>,
    locations: Vec<Location>,
    location_ids: HashMap<(u32, u32), u64>,
}

impl<'a> Tables<'a> {
    fn new(tree: &'a CallTree<'a>) -> Tables<'a> {
        let mut tables = Tables {
            tree,
            strings: Vec::new(),
            string_numbers: HashMap::new(),
            functions: Vec::new(),
            function_ids: HashMap::new(),
            locations: Vec::new(),
            location_ids: HashMap::new(),
        };
        // The format wants the empty string to be the first.
        tables.string("");
        tables
    }

    /// Tools show it as it is, also on a terminal.
    fn string(&mut self, text: &str) -> i64 {
        let text = &*printable(text);
        if let Some(number) = self.string_numbers.get(text) {
            return *number;
        }
        let number = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_numbers.insert(text.to_owned(), number);
        number
    }

    /// The location of a node's line. Ids begin with 1.
    fn location(&mut self, node: &Node) -> u64 {
        if let Some(id) = self.location_ids.get(&(node.function, node.line)) {
            return *id;
        }
        let function = match self.function_ids.get(&node.function) {
            Some(id) => *id,
            None => {
                let call = self.tree.call(node);
                let name = if call.function.is_empty() {
                    "[unnamed]"
                } else {
                    call.function
                };
                let id = self.add_function(name, call.file);
                self.function_ids.insert(node.function, id);
                id
            }
        };
        let id = self.add_location(function, node.line);
        self.location_ids.insert((node.function, node.line), id);
        id
    }

    fn made_up(&mut self, name: &str) -> u64 {
        let function = self.add_function(name, "");
        self.add_location(function, 0)
    }

    fn add_function(&mut self, name: &str, file: &str) -> u64 {
        let id = self.functions.len() as u64 + 1;
        let name = self.string(name);
        let filename = self.string(file);
        self.functions.push(Function {
            id,
            name,
            system_name: name,
            filename,
        });
        id
    }

    fn add_location(&mut self, function_id: u64, line: u32) -> u64 {
        let id = self.locations.len() as u64 + 1;
        self.locations.push(Location {
            id,
            mapping_id: PROGRAM,
            line: vec![Line {
                function_id,
                line: line.into(),
            }],
        });
        id
    }

    fn into_profile(self) -> Profile {
        Profile {
            location: self.locations,
            function: self.functions,
            string_table: self.strings,
            ..Profile::default()
        }
    }
}
