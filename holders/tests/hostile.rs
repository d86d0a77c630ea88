//! Whatever stands in memory, the reader neither panics nor hangs, and looks at no more than it may.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holders::live::Live;
use holders::memory::{Mapping, Memory, PAGE};
use holders::{Options, inspect};
use proptest::prelude::*;

/// Visits that are wanted, and how many there may be.
const VISITS: usize = 6000;
const MOST_VISITS: u64 = 5 * VISITS as u64;
/// In a debug build on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Memory that remembers what was read of another.
struct Recording<'a> {
    of: &'a Live,
    pages: RefCell<HashMap<u64, Vec<u8>>>,
}

impl Memory for Recording<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let is_there = self.of.read(address, into);
        if is_there {
            self.pages.borrow_mut().insert(address, into.to_vec());
        }
        is_there
    }

    fn mappings(&self) -> &[Mapping] {
        self.of.mappings()
    }
}

/// Pages at their addresses.
#[derive(Clone)]
struct Image {
    pages: HashMap<u64, Vec<u8>>,
    mappings: Vec<Mapping>,
}

impl Memory for Image {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let page = self.pages.get(&address).filter(|page| page.len() == into.len());
        page.is_some_and(|page| {
            into.copy_from_slice(page);
            true
        })
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }
}

/// A program with containers, instances, generators, threads and cycles.
const PROGRAM: &str = "
import collections, sys, threading, time
class Node:
    def __init__(self, parent):
        self.parent, self.rows = parent, [{'a': 1.5, 'b': str(parent)}]
class Slotted:
    __slots__ = ('left', 'right')
def generate():
    kept = [bytes(100)] * 10
    yield kept
def hold(depth):
    nodes, slotted = [Node(None)], Slotted()
    nodes.extend(Node(nodes[-1]) for _ in range(50))
    slotted.left, slotted.right = {1, 2, 3}, collections.deque(range(1000))
    generator, ordered = generate(), collections.OrderedDict(a=nodes, b=slotted)
    next(generator)
    if depth:
        hold(depth - 1)
    print('ready', flush=True)
    sys.stdin.readline()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
hold(3)
";

/// All that is read of a process that runs the program; `None` where there is no Python to run.
fn image() -> Option<Image> {
    let mut command = Command::new("python3");
    let command = command
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = command.spawn().ok()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take()?).read_line(&mut line).ok()?;
    let live = Live::open(&Path::new("/proc").join(process.id().to_string())).expect("our own child can be read");
    let recording = Recording {
        of: &live,
        pages: RefCell::default(),
    };
    let report = inspect(&recording, &options()).expect("it is a Python");
    assert!(
        report.variables.iter().any(|variable| variable.name == "nodes"),
        "{} variables",
        report.variables.len()
    );
    let pages = recording.pages.into_inner();
    process.kill().expect("it waits");
    process.wait().expect("it was killed");
    Some(Image {
        pages,
        mappings: live.mappings().to_vec(),
    })
}

fn options() -> Options<'static> {
    Options {
        visits: VISITS,
        ..Options::default()
    }
}

fn check(memory: &dyn Memory) {
    let begin = Instant::now();
    if let Ok(report) = inspect(memory, &options()) {
        assert!(report.visits <= MOST_VISITS, "{} visits", report.visits);
        let most: u64 = memory
            .mappings()
            .iter()
            .map(|mapping| mapping.end - mapping.start)
            .sum();
        for variable in &report.variables {
            assert!(
                variable.exclusive_bytes <= variable.bytes.saturating_add(1),
                "{variable:?}"
            );
            assert!(variable.bytes <= most.saturating_mul(report.visits), "{variable:?}");
        }
        assert!(report.json().len() < 4 << 20);
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
}

/// A word that does harm, by a number: one of the same memory, near one of it, or none at all.
fn word(image: &Image, addresses: &[u64], number: u64) -> u64 {
    let page = addresses[(number >> 8) as usize % addresses.len()];
    let at = (number >> 40) as usize % (PAGE as usize / 8) * 8;
    let other = u64::from_le_bytes(image.pages[&page][at..at + 8].try_into().expect("eight bytes"));
    match number % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => number >> 56,
        3 => page + at as u64,
        4 => other ^ 1 << (number >> 50 & 63),
        5 => number,
        _ => other,
    }
}

#[test]
fn no_image_of_a_python_is_too_torn() {
    let Some(image) = image() else {
        eprintln!("no python3: only random memory is tried");
        return;
    };
    check(&image);
    let mut addresses: Vec<u64> = image.pages.keys().copied().collect();
    addresses.sort_unstable();
    let mut number = 1u64;
    let mut next = || {
        number = number
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        number ^ number >> 29
    };
    for round in 0..75 {
        let mut torn = image.clone();
        for _change in 0..1 << (round % 15) {
            let page = addresses[next() as usize % addresses.len()];
            let at = next() as usize % (PAGE as usize / 8) * 8;
            let word = word(&image, &addresses, next());
            torn.pages.get_mut(&page).expect("it is there")[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        // As if it had been given back meanwhile.
        if round % 5 == 0 {
            for _page in 0..20 {
                torn.pages.remove(&addresses[next() as usize % addresses.len()]);
            }
        }
        check(&torn);
    }
}

proptest! {
    #[test]
    fn memory_of_anything_is_no_python(bytes in proptest::collection::vec(any::<u8>(), 3 * PAGE as usize), start in 1u64..1 << 34) {
        let mut pages = HashMap::new();
        let start = start * PAGE;
        let mut bytes = bytes;
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for (index, page) in bytes.chunks_exact(PAGE as usize).enumerate() {
            pages.insert(start + index as u64 * PAGE, page.to_vec());
        }
        let mapping = Mapping {
            start,
            end: start + 3 * PAGE,
            is_writable: true,
            path: "/usr/lib/libpython3.11.so".to_owned(),
            ..Mapping::default()
        };
        check(&Image { pages, mappings: vec![mapping] });
    }
}
