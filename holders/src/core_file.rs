//! The memory of a process that is no more: a core file. Pages that it leaves out, since they are as in a file that was mapped, come
//! from that file, if it is still the same.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::memory::{Mapping, Memory, PAGE};
use crate::unpack;

const TYPE_CORE: u16 = 4;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const WRITABLE: u32 = 2;
/// The number of program headers stands in the first section header.
const MANY_HEADERS: u64 = 0xffff;
const MOST_HEADERS: u64 = 1 << 20;
const MOST_NOTE_BYTES: u64 = 64 << 20;
const NOTE_PROCESS: u32 = 3;
const NOTE_FILES: u32 = 0x4649_4c45;
/// In the note about the process: its number, and the beginning of its command line.
const PROCESS_PID: usize = 24;
const PROCESS_ARGUMENTS: std::ops::Range<usize> = 56..136;

/// A range of the memory, and where in the core file it is.
struct Segment {
    start: u64,
    /// Bytes that are in the core file.
    bytes: u64,
    offset: u64,
}

/// A file that was mapped.
struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    /// Its number in `opened`.
    file: usize,
}

/// A core file.
pub struct CoreFile {
    file: File,
    segments: Vec<Segment>,
    mapped: Vec<Mapped>,
    opened: Vec<Option<File>>,
    mappings: Vec<Mapping>,
    pid: Option<u64>,
    command: String,
}

impl CoreFile {
    /// Opens a core file, which may be compressed. Files that were mapped are looked for below `root`.
    pub fn open(path: &Path, root: &Path) -> io::Result<Self> {
        let file = unpack::open(path, &b"\x7fELF"[..])?.ok_or_else(no_core)?;
        let mut core = Self {
            file,
            segments: Vec::new(),
            mapped: Vec::new(),
            opened: Vec::new(),
            mappings: Vec::new(),
            pid: None,
            command: String::new(),
        };
        core.read_headers(root)?;
        Ok(core)
    }

    /// The number that the process had.
    pub fn pid(&self) -> Option<u64> {
        self.pid
    }

    /// The beginning of its command line.
    pub fn command(&self) -> &str {
        &self.command
    }

    fn read_headers(&mut self, root: &Path) -> io::Result<()> {
        let mut header = [0; 64];
        self.file.read_exact_at(&mut header, 0).map_err(|_| no_core())?;
        if header[4] != 2 || header[5] != 1 || u16::from_le_bytes([header[16], header[17]]) != TYPE_CORE {
            return Err(no_core());
        }
        let table = number(&header, 32);
        let mut count = u64::from(u16::from_le_bytes([header[56], header[57]]));
        if count == MANY_HEADERS {
            let mut section = [0; 64];
            self.file.read_exact_at(&mut section, number(&header, 40))?;
            count = u64::from(half(&section, 44));
        }
        let mut writable = Vec::new();
        let mut notes = Vec::new();
        for index in 0..count.min(MOST_HEADERS) {
            let mut entry = [0; 56];
            self.file.read_exact_at(&mut entry, table.saturating_add(index * 56))?;
            let (offset, start) = (number(&entry, 8), number(&entry, 16));
            let (bytes, size) = (number(&entry, 32), number(&entry, 40));
            match half(&entry, 0) {
                PT_LOAD => {
                    self.segments.push(Segment { start, bytes, offset });
                    writable.push((start, start.saturating_add(size), half(&entry, 4) & WRITABLE != 0));
                }
                PT_NOTE if bytes <= MOST_NOTE_BYTES => {
                    notes.resize(bytes as usize, 0);
                    self.file.read_exact_at(&mut notes, offset)?;
                }
                _ => {}
            }
        }
        self.segments.sort_by_key(|segment| segment.start);
        let paths = self.read_notes(&notes);
        self.mappings = self.map(writable, &paths);
        self.opened = paths.iter().map(|path| self.open_mapped(path, &paths, root)).collect();
        Ok(())
    }

    /// Returns the names of the files that were mapped.
    fn read_notes(&mut self, notes: &[u8]) -> Vec<String> {
        let mut paths = Vec::new();
        let mut rest = notes;
        while rest.len() >= 12 {
            let (name, size, kind) = (half(rest, 0) as usize, half(rest, 4) as usize, half(rest, 8));
            let begin = 12 + name.next_multiple_of(4);
            let Some(note) = rest.get(begin..begin.saturating_add(size)) else {
                break;
            };
            match kind {
                NOTE_PROCESS if note.len() >= PROCESS_ARGUMENTS.end => {
                    self.pid = Some(u64::from(half(note, PROCESS_PID)));
                    let text = note[PROCESS_ARGUMENTS].split(|byte| *byte == 0).next();
                    self.command = String::from_utf8_lossy(text.unwrap_or_default()).trim_end().to_owned();
                }
                NOTE_FILES => paths = self.read_files(note).unwrap_or_default(),
                _ => {}
            }
            rest = rest.get(begin + size.next_multiple_of(4)..).unwrap_or_default();
        }
        paths
    }

    fn read_files(&mut self, note: &[u8]) -> Option<Vec<String>> {
        let count = usize::try_from(number(note, 0)).ok()?;
        let page = number(note, 8);
        let names = note.get(16 + count.checked_mul(24)?..)?;
        let mut names = names.split(|byte| *byte == 0);
        let mut paths: Vec<String> = Vec::new();
        for index in 0..count {
            let name = String::from_utf8_lossy(names.next()?).into_owned();
            let file = paths.iter().position(|path| *path == name).unwrap_or(paths.len());
            if file == paths.len() {
                paths.push(name);
            }
            let at = 16 + index * 24;
            self.mapped.push(Mapped {
                start: number(note, at),
                end: number(note, at + 8),
                offset: number(note, at + 16).saturating_mul(page),
                file,
            });
        }
        Some(paths)
    }

    /// All ranges, with the names of files; those that only the list of files has, too.
    fn map(&self, loaded: Vec<(u64, u64, bool)>, paths: &[String]) -> Vec<Mapping> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for (start, end, is_writable) in loaded.iter().copied().filter(|(start, end, _)| start < end) {
            let file = self
                .mapped
                .iter()
                .find(|mapped| (mapped.start..mapped.end).contains(&start));
            mappings.push(Mapping {
                start,
                end,
                offset: file.map_or(0, |mapped| mapped.offset + (start - mapped.start)),
                is_writable,
                path: file.map_or(String::new(), |mapped| paths[mapped.file].clone()),
            });
        }
        for mapped in &self.mapped {
            if mapped.start < mapped.end
                && !loaded
                    .iter()
                    .any(|(start, end, _)| (*start..*end).contains(&mapped.start))
            {
                mappings.push(Mapping {
                    start: mapped.start,
                    end: mapped.end,
                    offset: mapped.offset,
                    is_writable: false,
                    path: paths[mapped.file].clone(),
                });
            }
        }
        mappings.sort_by_key(|mapping| mapping.start);
        mappings
    }

    /// Opens a file that was mapped, unless its first page is another now than the one that the core file has.
    fn open_mapped(&self, path: &str, paths: &[String], root: &Path) -> Option<File> {
        let below: PathBuf = root.join(path.trim_start_matches('/'));
        if !below.metadata().is_ok_and(|about| about.is_file()) {
            return None;
        }
        let file = File::open(below).ok()?;
        let first = self
            .mapped
            .iter()
            .find(|mapped| paths[mapped.file] == path && mapped.offset == 0);
        let (mut then, mut now) = ([0; PAGE as usize], [0; PAGE as usize]);
        let is_known = first.is_some_and(|mapped| self.read_own(mapped.start, &mut then));
        if is_known && (file.read_exact_at(&mut now, 0).is_err() || then != now) {
            return None;
        }
        Some(file)
    }

    /// Reads what the core file itself has.
    fn read_own(&self, address: u64, into: &mut [u8]) -> bool {
        let after = self.segments.partition_point(|segment| segment.start <= address);
        let Some(segment) = after.checked_sub(1).map(|index| &self.segments[index]) else {
            return false;
        };
        let from = address - segment.start;
        let is_there = from
            .checked_add(into.len() as u64)
            .is_some_and(|end| end <= segment.bytes);
        is_there
            && self
                .file
                .read_exact_at(into, segment.offset.saturating_add(from))
                .is_ok()
    }

    fn read_mapped(&self, address: u64, into: &mut [u8]) -> bool {
        let mapped = self
            .mapped
            .iter()
            .find(|mapped| (mapped.start..mapped.end).contains(&address));
        let Some((mapped, file)) = mapped.and_then(|mapped| Some((mapped, self.opened[mapped.file].as_ref()?))) else {
            return false;
        };
        let Some(mut at) = mapped.offset.checked_add(address - mapped.start) else {
            return false;
        };
        // The last page of a file ends with zeros.
        into.fill(0);
        let mut rest = into;
        while !rest.is_empty() {
            match file.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => {
                    rest = &mut rest[count..];
                    at += count as u64;
                }
                Err(_) => return false,
            }
        }
        true
    }
}

impl Memory for CoreFile {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self.read_own(address, into) || self.read_mapped(address, into)
    }

    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }
}

fn no_core() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no core file of a 64-bit program")
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

fn half(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    u32::from_le_bytes(bytes.unwrap_or_default())
}
