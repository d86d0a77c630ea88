//! All of it: find the interpreter and the roots, descend from each, and put together what is told.

use std::collections::HashMap;

use crate::Trouble;
use crate::blocks::Blocks;
use crate::descent::{Descent, Held};
use crate::dicts::Table;
use crate::fast::Map;
use crate::interpreter;
use crate::memory::{AT_A_TIME, Memory, Pages};
use crate::objects::{Objects, Step};
use crate::reader::{Object, Reader};
use crate::report::{Frame, FrameRow, Part, Report, Site, Thread, TypeRow, Variable, VariableKind};
use crate::roots::{self, Name, Root, Roots, Scope};

/// How it is done.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// About how many objects are looked at closely; with the first looks there are at most five times as many.
    pub visits: usize,
    /// The same seed looks at the same items of containers.
    pub seed: u64,
    /// `now` or `core`, for the report.
    pub moment: &'a str,
    /// The process, whose first thread has the same number.
    pub pid: Option<u64>,
    /// Blocks that somebody has recorded.
    pub blocks: Option<&'a dyn Blocks>,
    /// How much is live, if somebody has recorded that: nobody can hold more.
    pub live_bytes: Option<u64>,
    /// Which part of the time is spent that this may take. With 1.0 it ends, and tells what is known by then.
    pub spent: Option<&'a dyn Fn() -> f64>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            visits: 14_000,
            seed: 0,
            moment: "now",
            pid: None,
            blocks: None,
            live_bytes: None,
            spent: None,
        }
    }
}

/// Visits for a first look at a local variable, at a global with many items, and at another.
const FIRST_LOCAL: usize = 150;
const FIRST_LARGE: usize = 64;
const FIRST_OTHER: usize = 8;
/// The part of the time for first looks, and how many there are between two looks at the clock.
const FIRST_TIME: f64 = 0.7;
/// The part of the time by which all roots must have been found.
const ROOTS_TIME: f64 = 0.4;
const BETWEEN: usize = 32;
/// From this many items on, a global is large.
const LARGE: u64 = 64;
/// Objects that are looked at again, closely, and the share of all that makes an object one of them.
const MOST_CLOSELY: usize = 100;
const CLOSELY_SHARE: f64 = 0.001;
/// Visits that each of them gets.
const LEAST_CLOSELY: usize = 300;
/// Visits in all, for each that is wanted.
const LIMIT: u64 = 5;
/// Rows of the report, and the share of all that is worth one.
const MOST_VARIABLES: usize = 100;
const MOST_TYPES: usize = 60;
const VARIABLE_SHARE: f64 = 0.001;
/// Parts of a variable that are told, those with this share of all that variables hold; and places that allocated.
const PART_SHARE: f64 = 0.005;
const MOST_PARTS: usize = 40;
const MOST_SITES: usize = 5;
/// A step is on the path if this share of the variable is below it.
const PATH_SHARE: f64 = 0.6;
/// Frames of a thread that are told.
const MOST_FRAMES: usize = 200;
/// Bytes of the name of a slot.
const LONGEST_SLOT: usize = 120;

/// An object that roots refer to, and what one reference to it holds.
struct Group {
    object: Object,
    roots: Vec<Root>,
    held: Held,
}

/// Reads the memory and tells who holds it.
pub fn inspect(memory: &dyn Memory, options: &Options) -> Result<Report, Trouble> {
    let mut pages = Pages::new(memory);
    let found = interpreter::find(&mut pages)?;
    let mut reader = Reader::new(pages, found.layout);
    let interpreters = interpreter::interpreters(&mut reader, found.runtime)?;
    let mut objects = Objects::new(reader, options.seed, options.blocks);
    let is_over = || options.spent.is_some_and(|spent| spent() >= ROOTS_TIME);
    let mut roots = roots::find(&mut objects, &interpreters, &is_over);
    let mut groups = grouped(&mut objects, &mut roots);
    let most_visits = LIMIT * options.visits as u64;
    let mut descent = Descent::new(&mut objects, &roots.temporaries, most_visits, options.spent);
    let is_whole = look(&mut descent, &mut groups);
    descent.allow(1.0);
    look_closely(&mut descent, &mut groups, options.visits);
    let visits = descent.visits;
    settle(&objects, &mut groups, options.live_bytes);
    let mut report = Telling {
        objects: &mut objects,
        roots: &roots,
        pid: options.pid,
        files: Map::default(),
    }
    .report(&groups);
    let cost = objects.reader.pages.cost();
    report.pid = options.pid;
    report.moment = options.moment.to_owned();
    report.python = found.version();
    report.visits = visits;
    report.reads = cost.reads;
    report.read_bytes = cost.bytes;
    report.is_cut |= roots.is_cut || !is_whole;
    Ok(report)
}

/// The roots by the object that they refer to.
fn grouped(objects: &mut Objects, roots: &mut Roots) -> Vec<Group> {
    let mut places: Map<u64, usize> = Map::default();
    let mut groups: Vec<Group> = Vec::new();
    for (number, root) in roots.roots.iter().enumerate() {
        if number.is_multiple_of(AT_A_TIME) {
            let next = roots.roots[number..].iter().take(AT_A_TIME);
            objects.reader.pages.prefetch(next.map(|root| root.target));
        }
        if let Some(place) = places.get(&root.target) {
            groups[*place].roots.push(*root);
            continue;
        }
        if let Some(object) = objects.object(root.target) {
            places.insert(root.target, groups.len());
            groups.push(Group {
                object,
                roots: vec![*root],
                held: Held::default(),
            });
        }
    }
    groups
}

/// A first look at each, and whether there was time for all. Variables of functions come first.
fn look(descent: &mut Descent, groups: &mut [Group]) -> bool {
    descent.allow(FIRST_TIME);
    let is_local = |group: &Group| group.roots.iter().any(|root| matches!(root.scope, Scope::Local(_)));
    let (locals, others): (Vec<usize>, Vec<usize>) = (0..groups.len()).partition(|index| is_local(&groups[*index]));
    let count = locals.len();
    // If there is not time for all, the others are most likely small.
    let mut others: Vec<(u64, usize)> = others
        .into_iter()
        .map(|index| (descent.objects().likely_length(groups[index].object), index))
        .collect();
    others.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    let others = others.into_iter().map(|(_, index)| index);
    let all: Vec<usize> = locals.into_iter().chain(others).collect();
    for (number, index) in all.iter().copied().enumerate() {
        if number % BETWEEN == 0 {
            if descent.is_over() {
                return false;
            }
            let next = all[number..].iter().take(BETWEEN).map(|index| groups[*index].object);
            let next: Vec<Object> = next.collect();
            descent
                .objects()
                .reader
                .pages
                .prefetch(next.iter().map(|object| object.address));
            descent.objects().prefetch(next.into_iter());
        }
        let group = &mut groups[index];
        let length = descent.objects().expand(group.object, 1).length.unwrap_or(0);
        let budget = match number < count {
            true => FIRST_LOCAL,
            false if length >= LARGE => FIRST_LARGE,
            false => FIRST_OTHER,
        };
        group.held = descent.from(group.object, budget);
        // The tree is drawn of what is looked at closely.
        group.held.nodes = Vec::new();
        group.held.items = Vec::new();
        group.held.types.shrink_to_fit();
    }
    true
}

/// Gives each its part of the blocks that it claims: what is of known owners, and how much there is, is known by now.
fn settle(objects: &Objects, groups: &mut [Group], live_bytes: Option<u64>) {
    let of_all = |each: &dyn Fn(&Held) -> f64| -> f64 {
        let groups = groups.iter().map(|group| each(&group.held) * group.roots.len() as f64);
        groups.sum()
    };
    let (known, variance) = (of_all(&|held| held.bytes), of_all(&|held| held.variance));
    let claimed = of_all(&|held| held.claimed(|block| objects.owners.part(block)));
    // What is known to be held by somebody else is not there to be claimed.
    let room = live_bytes.map_or(f64::MAX, |live| (live as f64 - known + variance.sqrt()).max(0.0));
    let factor = if claimed > room { room / claimed } else { 1.0 };
    for group in groups {
        group.held.settle(|block| objects.owners.part(block) * factor);
    }
}

/// What all the group's roots hold together, at most.
fn weight(group: &Group) -> f64 {
    group.held.most() * group.roots.len() as f64
}

/// A close look at those that hold most, with visits by what they hold.
fn look_closely(descent: &mut Descent, groups: &mut [Group], visits: usize) {
    let total: f64 = groups.iter().map(weight).sum();
    let mut largest: Vec<usize> = (0..groups.len()).collect();
    largest.sort_by(|a, b| weight(&groups[*b]).total_cmp(&weight(&groups[*a])));
    largest.truncate(MOST_CLOSELY);
    largest.retain(|index| weight(&groups[*index]) > CLOSELY_SHARE * total);
    for index in largest {
        let share = weight(&groups[index]) / total.max(1.0);
        if descent.is_over() {
            // What the first look has found is told.
            break;
        }
        let budget = LEAST_CLOSELY.max((visits as f64 * share) as usize);
        groups[index].held = descent.from(groups[index].object, budget);
    }
}

struct Telling<'t, 'm> {
    objects: &'t mut Objects<'m>,
    roots: &'t Roots,
    pid: Option<u64>,
    files: Map<u64, String>,
}

impl Telling<'_, '_> {
    fn report(&mut self, groups: &[Group]) -> Report {
        let mut report = Report {
            threads: self.threads(),
            ..Report::default()
        };
        let (mut covered, mut supposed, mut variance) = (0.0, 0.0, 0.0);
        let mut types: HashMap<&str, (f64, f64)> = HashMap::new();
        for group in groups {
            let roots = group.roots.len() as f64;
            covered += group.held.bytes * roots;
            supposed += group.held.supposed * roots;
            variance += group.held.variance * roots * roots;
            for (id, bytes, objects) in &group.held.types {
                let of_type = types.entry(&self.objects.reader.types.get(*id).name).or_default();
                of_type.0 += bytes * roots;
                of_type.1 += objects * roots;
            }
        }
        report.types = types
            .into_iter()
            .map(|(name, (bytes, objects))| TypeRow {
                name: name.to_owned(),
                bytes: bytes as u64,
                objects: objects.round() as u64,
            })
            .collect();
        report.types.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
        report.types.truncate(MOST_TYPES);
        report.covered_bytes = covered as u64;
        report.covered_error_bytes = variance.sqrt() as u64;
        report.supposed_bytes = supposed as u64;
        report.is_cut = groups.iter().any(|group| group.held.is_cut);
        let mut rows: Vec<(&Group, &Root)> = Vec::new();
        for group in groups
            .iter()
            .filter(|group| group.held.bytes > VARIABLE_SHARE * covered)
        {
            rows.extend(group.roots.iter().map(|root| (group, root)));
        }
        rows.sort_by(|a, b| b.0.held.bytes.total_cmp(&a.0.held.bytes));
        rows.truncate(MOST_VARIABLES);
        report.variables = rows
            .into_iter()
            .map(|(group, root)| self.variable(group, root, PART_SHARE * covered))
            .collect();
        report
    }

    fn threads(&self) -> Vec<Thread> {
        let threads = (0..self.roots.threads.len()).map(|number| {
            let frames = self.roots.frames.iter().filter(|frame| frame.thread == number);
            let frames = frames.take(MOST_FRAMES).map(|frame| FrameRow {
                file: frame.place.file.clone(),
                line: frame.place.line,
                function: frame.place.function.clone(),
            });
            Thread {
                name: self.thread_name(number),
                frames: frames.collect(),
            }
        });
        threads.collect()
    }

    fn thread_name(&self, number: usize) -> String {
        let native = self.roots.threads.get(number).and_then(|thread| thread.native);
        match native {
            Some(native) if self.pid == Some(native) => "main thread".to_owned(),
            Some(native) if number > 0 || self.pid.is_some() => format!("thread {native}"),
            _ if number == 0 => "main thread".to_owned(),
            _ => format!("thread #{number}"),
        }
    }

    /// Of its parts, those with at least so many bytes are told.
    fn variable(&mut self, group: &Group, root: &Root, least: f64) -> Variable {
        let (path, path_type) = self.path(&group.held);
        let (frame, kind) = self.frame(root.scope);
        Variable {
            frame,
            name: self.name(root.name),
            kind,
            type_name: self.objects.reader.type_of(group.object).name.clone(),
            length: group.held.length,
            item_type: self.item_type(&group.held),
            bytes: group.held.bytes as u64,
            error_bytes: group.held.variance.sqrt() as u64,
            exclusive_bytes: group.held.exclusive as u64,
            objects: group.held.objects.round() as u64,
            path,
            path_type,
            tree: self.tree(&group.held, least),
            sites: sites(&group.held),
        }
    }

    /// What it holds, part by part.
    fn tree(&mut self, held: &Held, least: f64) -> Vec<Part> {
        let mut places: Vec<Option<usize>> = Vec::with_capacity(held.nodes.len());
        let mut parts: Vec<Part> = Vec::new();
        for (index, node) in held.nodes.iter().enumerate() {
            // A node comes after the one above it.
            let parent = places.get(node.parent).copied().flatten();
            let is_told = index == 0 || node.bytes >= least && parent.is_some() && parts.len() < MOST_PARTS;
            places.push(is_told.then_some(parts.len()));
            if is_told {
                parts.push(Part {
                    parent: parent.unwrap_or(0),
                    step: self.step(node.step).filter(|_| index > 0).unwrap_or_default(),
                    type_name: self.objects.reader.types.get(node.type_id).name.clone(),
                    bytes: node.bytes as u64,
                    objects: node.objects.round() as u64,
                });
            }
        }
        parts
    }

    fn frame(&mut self, scope: Scope) -> (Frame, VariableKind) {
        match scope {
            Scope::Local(number) => {
                let frame = &self.roots.frames[number];
                let told = Frame {
                    file: frame.place.file.clone(),
                    line: frame.place.line,
                    function: frame.place.function.clone(),
                    thread: self.thread_name(frame.thread),
                };
                (told, VariableKind::Local)
            }
            Scope::Global(dict) => {
                let told = Frame {
                    file: self.file(dict),
                    function: "<module>".to_owned(),
                    ..Frame::default()
                };
                (told, VariableKind::Global)
            }
            Scope::Thread(number) => {
                let told = Frame {
                    thread: self.thread_name(number),
                    ..Frame::default()
                };
                (told, VariableKind::Other)
            }
        }
    }

    /// The file of a module, or its name if it has none.
    fn file(&mut self, dict: u64) -> String {
        if let Some(file) = self.files.get(&dict) {
            return file.clone();
        }
        let reader = &mut self.objects.reader;
        let table = Table::of_dict(reader, dict);
        let text = |reader: &mut Reader, name| {
            let value = table.and_then(|table| table.find(reader, name));
            value.and_then(|value| reader.text(value))
        };
        let file = text(reader, "__file__").or_else(|| text(reader, "__name__"));
        let file = file.unwrap_or_else(|| "?".to_owned());
        self.files.insert(dict, file.clone());
        file
    }

    fn text(&mut self, address: u64) -> String {
        self.objects.reader.text(address).unwrap_or_else(|| "?".to_owned())
    }

    fn name(&mut self, name: Name) -> String {
        match name {
            Name::Text(address) => self.text(address),
            Name::Attribute(class, attribute) => {
                let reader = &mut self.objects.reader;
                let class = reader.types.at(&mut reader.pages, class);
                let class = class.map_or("?".to_owned(), |id| self.objects.reader.types.get(id).name.clone());
                format!("{class}.{}", self.text(attribute))
            }
            Name::Ours(name) => name.to_owned(),
        }
    }

    /// The steps to where most of it is.
    fn path(&mut self, held: &Held) -> (Vec<String>, String) {
        let Some(first) = held.nodes.first() else {
            return (Vec::new(), String::new());
        };
        let mut path = Vec::new();
        let (mut at, mut type_id, whole) = (0, first.type_id, first.bytes);
        loop {
            let below = held
                .nodes
                .iter()
                .enumerate()
                .skip(1)
                .filter(|(_, node)| node.parent == at);
            let largest = below.max_by(|a, b| a.1.bytes.total_cmp(&b.1.bytes));
            let Some((index, node)) = largest.filter(|(_, node)| node.bytes > PATH_SHARE * whole) else {
                break;
            };
            path.extend(self.step(node.step));
            (at, type_id) = (index, node.type_id);
        }
        (path, self.objects.reader.types.get(type_id).name.clone())
    }

    fn step(&mut self, step: Step) -> Option<String> {
        Some(match step {
            Step::Item => "[i]".to_owned(),
            Step::Value => "[key]".to_owned(),
            Step::Key => "keys".to_owned(),
            Step::Attribute(name) => format!(".{}", self.text(name)),
            Step::Slot(name) => {
                let bytes = self.objects.reader.pages.c_string(name, LONGEST_SLOT)?;
                format!(".{}", String::from_utf8(bytes).ok()?)
            }
            Step::Variable(name) => format!("variable {}", self.text(name)),
            Step::Named(name) => name.to_owned(),
            Step::Found => return None,
        })
    }

    /// The type of most items of a container.
    fn item_type(&mut self, held: &Held) -> Option<String> {
        held.length?;
        let most = held.items.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        most.map(|(id, _)| self.objects.reader.types.get(*id).name.clone())
    }
}

/// Who allocated it, the largest first.
fn sites(held: &Held) -> Vec<Site> {
    let mut sites: Vec<Site> = held
        .sites
        .iter()
        .map(|(site, bytes)| Site {
            site: *site,
            bytes: *bytes as u64,
        })
        .collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.bytes, site.site)));
    sites.truncate(MOST_SITES);
    sites
}

const _: () = assert!(cpython::TYPE_BYTES as u64 >= cpython::TYPE_DICT_OFFSET + 8);
