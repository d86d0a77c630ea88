//! Where the descent begins: the variables of functions that run, the globals of modules, the attributes of classes, and what a
//! thread has beside its frames.

use crate::fast::{Map, Set};

use crate::dicts::Table;
use crate::frames::{self, Frame, Place, Variables};
use crate::interpreter::{self, Interpreter, Thread};
use crate::memory::AT_A_TIME;
use crate::objects::Objects;
use crate::reader::{Object, Reader};
use crate::types::Kind;
use cpython::flag;

/// Roots in all; a job has no more variables that matter.
const MOST_ROOTS: usize = 40_000;
/// Frames of all threads.
const MOST_FRAMES: usize = 20_000;
/// Modules, and entries of all their dicts.
const MOST_MODULES: u64 = 20_000;
const MOST_GLOBALS: u64 = 400_000;
/// A global number or text below this is left out.
const SMALLEST_TEXT: u64 = 4096;

/// How deep a global is looked into, and at how many references of each object, to see that it is small.
const SMALL_DEPTH: usize = 5;
const SMALL_REFERENCES: usize = 12;

/// How a root is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By a `str`.
    Text(u64),
    /// By a class and a `str`: an attribute of the class.
    Attribute(u64, u64),
    /// By us.
    Ours(&'static str),
}

/// Where a root belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A variable of the frame with this number.
    Local(usize),
    /// A global of the module whose dict this is.
    Global(u64),
    /// A thread, by its number.
    Thread(usize),
}

/// A reference that nothing else in the heap holds.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// The object that it refers to.
    pub target: u64,
    /// Its name.
    pub name: Name,
    /// Where it belongs.
    pub scope: Scope,
}

/// A frame with what is told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The number of its thread.
    pub thread: usize,
    /// Its file, line and function.
    pub place: Place,
    /// The dict of its globals.
    pub globals: u64,
}

/// All roots of a process.
#[derive(Default)]
pub struct Roots {
    /// The threads, those of the main interpreter first.
    pub threads: Vec<Thread>,
    /// The frames of all threads, the innermost of each first.
    pub frames: Vec<Told>,
    /// The roots.
    pub roots: Vec<Root>,
    /// How many references to an object are temporary: they are left out of its count.
    pub temporaries: Map<u64, u64>,
    /// Whether there were more roots than are looked at.
    pub is_cut: bool,
    /// How many entries of dicts have been looked at.
    entries: u64,
}

/// Finds them. Once `is_over`, what is left of the modules is left out; the variables of functions, and the modules that they are in, come
/// first.
pub fn find(objects: &mut Objects, interpreters: &[Interpreter], is_over: &dyn Fn() -> bool) -> Roots {
    let mut roots = Roots::default();
    let mut modules = Vec::new();
    for interpreter in interpreters {
        for thread in &interpreter.threads {
            let number = roots.threads.len();
            roots.threads.push(*thread);
            let frames = frames::of_thread(&mut objects.reader, thread.state);
            objects.running.extend(frames.iter().map(|frame| frame.address));
            for frame in frames {
                if roots.frames.len() >= MOST_FRAMES {
                    roots.is_cut = true;
                    break;
                }
                roots.add_frame(objects, frame, number);
            }
            for (target, name) in interpreter::other_references(&mut objects.reader, *thread) {
                roots.add(target, Name::Ours(name), Scope::Thread(number));
            }
        }
        modules.push(interpreter.modules);
    }
    roots.add_lone_temporaries(objects);
    let mut dicts: Vec<u64> = Vec::new();
    let mut seen = Set::default();
    let of_frames = roots.frames.iter().map(|frame| frame.globals);
    dicts.extend(of_frames.filter(|globals| seen.insert(*globals)));
    for modules in modules {
        dicts.extend(
            module_dicts(objects, modules)
                .into_iter()
                .filter(|dict| seen.insert(*dict)),
        );
    }
    let mut classes = Set::default();
    objects.modules = seen;
    for dict in dicts {
        if is_over() {
            roots.is_cut = true;
            break;
        }
        roots.add_globals(objects, dict, &mut classes);
    }
    roots
}

/// The dicts of all modules.
fn module_dicts(objects: &mut Objects, modules: u64) -> Vec<u64> {
    let Some(table) = Table::of_dict(&mut objects.reader, modules) else {
        return Vec::new();
    };
    let count = table.entries.min(MOST_MODULES);
    let modules = (0..count).filter_map(|index| {
        let (_, module) = table.entry(&mut objects.reader, index)?;
        objects.reader.object(module)?;
        let dict = objects.reader.pages.word(module + 16)?;
        objects.reader.is_a(dict, "dict").then_some(dict)
    });
    modules.collect()
}

impl Roots {
    fn add(&mut self, target: u64, name: Name, scope: Scope) {
        if self.roots.len() >= MOST_ROOTS {
            self.is_cut = true;
            return;
        }
        self.roots.push(Root { target, name, scope });
    }

    fn add_frame(&mut self, objects: &mut Objects, frame: Frame, thread: usize) {
        let place = frames::place(&mut objects.reader, frame);
        let (globals, locals) = frames::dicts(&mut objects.reader, frame);
        let number = self.frames.len();
        self.frames.push(Told { thread, place, globals });
        if let Some(variables) = frames::variables(&mut objects.reader, frame, &mut objects.names) {
            let likely = likely(objects, frame, &variables);
            for (name, value) in variables.locals {
                self.add(value, Name::Text(name), Scope::Local(number));
            }
            for value in variables
                .temporaries
                .into_iter()
                .chain(likely)
                .filter(|value| *value != 0)
            {
                *self.temporaries.entry(value).or_default() += 1;
                // Left out again, if somebody else has it too.
                self.add(value, Name::Ours("temporary value"), Scope::Local(number));
            }
        }
        // Of a function the dict of local variables is a copy of them.
        let table = locals.and_then(|locals| Table::of_dict(&mut objects.reader, locals));
        for index in 0..table.map_or(0, |table| self.allow(table.entries)) {
            let entry = table.and_then(|table| table.entry(&mut objects.reader, index));
            if let Some((name, value)) = entry {
                self.add(value, Name::Text(name), Scope::Local(number));
            }
        }
    }

    /// Keeps a temporary value as a root where nobody else has it: what a loop goes over, an argument that was just made. Else it
    /// only explains a reference.
    fn add_lone_temporaries(&mut self, objects: &mut Objects) {
        let mut seen = Set::default();
        let temporaries = &self.temporaries;
        self.roots.retain(|root| {
            if root.name != Name::Ours("temporary value") {
                return true;
            }
            let references = objects.object(root.target).and_then(|object| object.references);
            let is_alone = references.is_some_and(|count| Some(&count) == temporaries.get(&root.target));
            is_alone && seen.insert(root.target)
        });
    }

    /// How many of so many entries may still be looked at.
    fn allow(&mut self, entries: u64) -> u64 {
        let allowed = entries.min(MOST_GLOBALS.saturating_sub(self.entries));
        self.is_cut |= allowed < entries;
        self.entries += allowed;
        allowed
    }

    fn add_globals(&mut self, objects: &mut Objects, dict: u64, classes: &mut Set<u64>) {
        let Some(table) = Table::of_dict(&mut objects.reader, dict) else {
            return;
        };
        let mut found = Vec::new();
        self.each_entry(objects, &table, |this, objects, name, value| {
            let class = this.add_global(objects, value, Name::Text(name), dict);
            found.extend(class.filter(|class| classes.insert(*class)));
        });
        for some in found.chunks(AT_A_TIME) {
            let tables = class_tables(objects, some);
            for (class, table) in tables {
                self.each_entry(objects, &table, |this, objects, name, value| {
                    this.add_global(objects, value, Name::Attribute(class, name), dict);
                });
            }
        }
    }

    /// Calls `each` with name and value of each entry of a table. What they need is read together.
    fn each_entry(
        &mut self,
        objects: &mut Objects,
        table: &Table,
        mut each: impl FnMut(&mut Self, &mut Objects, u64, u64),
    ) {
        let count = self.allow(table.entries);
        let mut from = 0;
        while from < count {
            let some = from..count.min(from + AT_A_TIME as u64);
            from = some.end;
            table.prefetch(&mut objects.reader, some.clone());
            let entries: Vec<(u64, u64)> = some
                .filter_map(|index| table.entry(&mut objects.reader, index))
                .collect();
            objects.reader.pages.prefetch(entries.iter().map(|(_, value)| *value));
            let found: Vec<Object> = entries.iter().filter_map(|(_, value)| objects.object(*value)).collect();
            objects.prefetch(found.into_iter());
            for (name, value) in entries {
                each(self, objects, name, value);
            }
        }
    }

    /// Adds one global. If it is a class, that is returned: what its attributes hold has not this root, but one of its own for each.
    fn add_global(&mut self, objects: &mut Objects, value: u64, name: Name, dict: u64) -> Option<u64> {
        let object = objects.object(value)?;
        let about = objects.reader.type_of(object);
        let (kind, is_class) = (about.kind, about.has(flag::TYPE));
        if is_class {
            return Some(value);
        }
        // What lives for ever is never freed, whoever refers to it.
        object.references?;
        let is_worth = match kind {
            Kind::Leaf | Kind::Str | Kind::Int => objects.expand(object, 1).bytes >= SMALLEST_TEXT,
            Kind::Function | Kind::Scan | Kind::Tuple => !is_small(objects, object, SMALL_DEPTH),
            _ => true,
        };
        if is_worth {
            self.add(value, name, Scope::Global(dict));
        }
        None
    }
}

/// The tables of the attributes of those of the classes that may be changed.
fn class_tables(objects: &mut Objects, classes: &[u64]) -> Vec<(u64, Table)> {
    let reader = &mut objects.reader;
    let word = |reader: &mut Reader, address: u64, offset: u64| reader.pages.word(address.checked_add(offset)?);
    let mut dicts = Vec::new();
    for class in classes {
        let flags = word(reader, *class, cpython::TYPE_FLAGS);
        if flags.is_some_and(|flags| flags & flag::HEAP != 0)
            && let Some(dict) = word(reader, *class, cpython::TYPE_DICT)
        {
            dicts.push((*class, dict));
        }
    }
    reader.pages.prefetch(dicts.iter().map(|(_, dict)| *dict));
    let keys: Vec<u64> = dicts.iter().filter_map(|(_, dict)| word(reader, *dict, 32)).collect();
    reader.pages.prefetch(keys.into_iter());
    let tables = dicts
        .into_iter()
        .filter_map(|(class, dict)| Some((class, Table::of_dict(reader, dict)?)));
    tables.collect()
}

/// Whether a global is worth no visit: a function with plain defaults, or one that a decorator has wrapped. Modules have thousands of
/// them.
fn is_small(objects: &mut Objects, object: Object, depth: usize) -> bool {
    let kind = objects.kind(object.type_id);
    let can_be = matches!(
        kind,
        Kind::Leaf | Kind::Str | Kind::Int | Kind::Function | Kind::Scan | Kind::Tuple
    );
    if !can_be || depth == 0 {
        return object.references.is_none();
    }
    let expansion = objects.expand(object, SMALL_REFERENCES + 1);
    let references = expansion.references.iter().take(SMALL_REFERENCES);
    objects
        .reader
        .pages
        .prefetch(references.map(|reference| reference.address));
    expansion.bytes < SMALLEST_TEXT
        && expansion.claims.is_empty()
        && expansion.references.len() <= SMALL_REFERENCES
        && expansion.references.iter().all(|reference| {
            let is_module = objects.modules.contains(&reference.address);
            let below = objects.object(reference.address);
            is_module || below.is_none_or(|below| is_small(objects, below, depth - 1))
        })
}

/// The temporary values that a frame has, where it does not say how many there are. Above them stand remains of earlier statements.
/// The lowest are what loops go over. Then comes what the instruction works on: two values, or what is called and its arguments.
fn likely(objects: &mut Objects, frame: Frame, variables: &Variables) -> Vec<u64> {
    let type_name = |objects: &mut Objects, address: u64| {
        let object = objects.object(address)?;
        Some(objects.reader.type_of(object).name.clone())
    };
    let is_loop = |name: &str| {
        name.ends_with("iterator") || matches!(name, "enumerate" | "zip" | "map" | "filter" | "reversed" | "generator")
    };
    let is_callable = |name: &str| {
        matches!(
            name,
            "function"
                | "method"
                | "builtin_function_or_method"
                | "method_descriptor"
                | "wrapper_descriptor"
                | "method-wrapper"
                | "type"
        )
    };
    let values = &variables.maybe;
    let mut loops = 0;
    while let Some(value) = values.get(loops) {
        if !type_name(objects, *value).is_some_and(|name| is_loop(&name)) {
            break;
        }
        loops += 1;
    }
    let mut called = values.iter().skip(loops).take(2);
    let is_call = called.any(|value| type_name(objects, *value).is_some_and(|name| is_callable(&name)));
    let arguments = match is_call {
        true => frames::instruction_argument(&mut objects.reader, frame).unwrap_or(0),
        false => 0,
    };
    let count = loops + 2 + usize::from(arguments);
    values.iter().copied().take(count).collect()
}
