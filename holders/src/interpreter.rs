//! The interpreter in a process: where it is, which version, which threads it has.

use crate::Trouble;
use crate::dicts::Table;
use crate::elf::Symbols;
use crate::memory::{Mapping, Pages};
use crate::reader::Reader;
use cpython::{Layout, newer::COOKIE};

/// Interpreters and threads that are followed; a torn list may have no end.
const MOST_INTERPRETERS: usize = 64;
const MOST_THREADS: usize = 4096;

/// An interpreter that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Where `_PyRuntime` is.
    pub runtime: u64,
    /// Where everything else is.
    pub layout: &'static Layout,
    /// Major, minor and micro version; the last is not always known.
    pub version: (u8, u8, Option<u8>),
}

impl Found {
    /// `3.11.7`, or `3.8`.
    pub fn version(&self) -> String {
        let (major, minor, micro) = self.version;
        match micro {
            Some(micro) => format!("{major}.{minor}.{micro}"),
            None => format!("{major}.{minor}"),
        }
    }
}

/// Finds the interpreter.
pub fn find(pages: &mut Pages) -> Result<Found, Trouble> {
    let mappings = pages.mappings();
    let mut files: Vec<&Mapping> = Vec::new();
    for mapping in mappings.iter().filter(|mapping| mapping.path.starts_with('/')) {
        if mapping.offset == 0 && !files.iter().any(|file| file.path == mapping.path) {
            files.push(mapping);
        }
    }
    // A library of that name first: the program that loads it may have the symbol too, as a reference.
    files.sort_by_key(|file| !file_name(&file.path).starts_with("libpython"));
    let mut unsupported = None;
    for file in files {
        let Some(symbols) = Symbols::at(pages, file.start) else {
            continue;
        };
        let Some(runtime) = symbols.find(pages, "_PyRuntime") else {
            continue;
        };
        let told = symbols.find(pages, "Py_Version").and_then(|at| pages.half(at));
        let Some(version) = version(pages, runtime, told, file, mappings) else {
            unsupported.get_or_insert(Trouble::UnknownVersion);
            continue;
        };
        let (major, minor, _) = version;
        if is_free_threaded(pages, runtime) {
            return Err(Trouble::FreeThreaded);
        }
        match cpython::of(major, minor) {
            Some(layout) => {
                return Ok(Found {
                    runtime,
                    layout,
                    version,
                });
            }
            None => unsupported = Some(Trouble::Unsupported(major, minor)),
        }
    }
    Err(unsupported.unwrap_or(Trouble::NoPython))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn has_cookie(pages: &mut Pages, runtime: u64) -> bool {
    let mut bytes = [0; 8];
    pages.read(runtime, &mut bytes).is_some() && &bytes == COOKIE
}

fn is_free_threaded(pages: &mut Pages, runtime: u64) -> bool {
    has_cookie(pages, runtime) && pages.word(runtime + 16) == Some(1)
}

/// By the variable that tells it, or, where there is none, by the names of files.
fn version(
    pages: &mut Pages,
    runtime: u64,
    told: Option<u32>,
    file: &Mapping,
    mappings: &[Mapping],
) -> Option<(u8, u8, Option<u8>)> {
    let in_runtime = match has_cookie(pages, runtime) {
        true => pages.word(runtime + 8).map(|word| word as u32),
        false => None,
    };
    if let Some(number) = in_runtime.or(told) {
        let [major, minor, micro, _] = number.to_be_bytes();
        return Some((major, minor, Some(micro)));
    }
    let by_name = |path: &str| {
        let digits = path.split("python3.").nth(1)?;
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((3, digits.parse().ok()?, None))
    };
    // The standard library is in a folder with the version in its name, extension modules have it in theirs.
    let by_extension = |path: &str| {
        let digits = path.split("cpython-3").nth(1)?;
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((3, digits.parse().ok()?, None))
    };
    by_name(file_name(&file.path))
        .or_else(|| {
            mappings
                .iter()
                .find_map(|mapping| by_extension(file_name(&mapping.path)))
        })
        .or_else(|| mappings.iter().find_map(|mapping| by_name(&mapping.path)))
}

/// A thread of Python.
#[derive(Clone, Copy, Debug)]
pub struct Thread {
    /// Its state.
    pub state: u64,
    /// The kernel's number of it, if Python knows that.
    pub native: Option<u64>,
}

/// An interpreter's threads, the oldest first, and its modules.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its threads.
    pub threads: Vec<Thread>,
    /// `sys.modules`.
    pub modules: u64,
}

/// All interpreters, the main one first. An error if what is there cannot be one: it is just starting, or the layout is another.
pub fn interpreters(reader: &mut Reader, runtime: u64) -> Result<Vec<Interpreter>, Trouble> {
    let offsets = &reader.layout.runtime;
    let mut found = Vec::new();
    let mut at = reader
        .pages
        .word(runtime.wrapping_add(offsets.interpreters.into()))
        .unwrap_or(0);
    while at != 0 && found.len() < MOST_INTERPRETERS {
        if let Some(interpreter) = interpreter(reader, at) {
            found.push(interpreter);
        }
        let next = at.checked_add(u64::from(offsets.next_interpreter));
        at = next.and_then(|next| reader.pages.word(next)).unwrap_or(0);
    }
    found.reverse();
    match found.is_empty() {
        true => Err(Trouble::NotRunning),
        false => Ok(found),
    }
}

fn interpreter(reader: &mut Reader, address: u64) -> Option<Interpreter> {
    let offsets = &reader.layout.runtime;
    let modules = reader.pages.word(address.checked_add(u64::from(offsets.modules))?)?;
    Table::of_dict(reader, modules).filter(|_| reader.is_a(modules, "dict"))?;
    let mut threads = Vec::new();
    let mut at = reader.pages.word(address + u64::from(offsets.threads))?;
    while at != 0 && threads.len() < MOST_THREADS {
        let owner = at.checked_add(u64::from(offsets.thread_interpreter));
        if owner.and_then(|owner| reader.pages.word(owner)) != Some(address) {
            break;
        }
        let native = offsets
            .native_thread
            .and_then(|offset| reader.pages.word(at + u64::from(offset)));
        threads.push(Thread { state: at, native });
        at = reader.pages.word(at + u64::from(offsets.next_thread)).unwrap_or(0);
    }
    threads.reverse();
    Some(Interpreter { threads, modules })
}

/// What a thread has beside its frames: exceptions that are handled or on their way, and the data of `threading.local`.
pub fn other_references(reader: &mut Reader, thread: Thread) -> Vec<(u64, &'static str)> {
    /// Handlers in handlers.
    const MOST: usize = 100;
    let offsets = &reader.layout.runtime;
    let mut found = Vec::new();
    let mut note = |value: Option<u64>, name| {
        if let Some(value) = value.filter(|value| *value != 0) {
            found.push((value, name));
        }
    };
    let at = |offset: u16| thread.state + u64::from(offset);
    note(reader.pages.word(at(offsets.thread_dict)), "threading.local data");
    note(reader.pages.word(at(offsets.raised)), "exception");
    let mut handled = reader.pages.word(at(offsets.handled)).unwrap_or(0);
    for _handler in 0..MOST {
        if handled == 0 {
            break;
        }
        let value = handled.checked_add(u64::from(offsets.handled_value));
        note(value.and_then(|at| reader.pages.word(at)), "exception that is handled");
        let next = handled.checked_add(u64::from(offsets.handled_next));
        handled = next.and_then(|at| reader.pages.word(at)).unwrap_or(0);
    }
    found
}
