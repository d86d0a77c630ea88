//! Reads ELF files: how far a library extends in memory, and its tables of names.

use std::fs::File;
use std::path::Path;

use object::elf::{FileHeader64, PT_LOAD, SHT_STRTAB};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, ReadCache};

/// The header of a 64-bit file.
pub type Header = FileHeader64<LittleEndian>;

/// Where the variables of a loaded file end, counted from where the file begins in memory. Those that the file has no bytes for come
/// last.
pub fn end_in_memory(path: &Path) -> Option<u64> {
    let file = ReadCache::new(File::open(path).ok()?);
    let header = Header::parse(&file).ok()?;
    let loads = header.program_headers(LittleEndian, &file).ok()?.iter();
    let loads = loads.filter(|segment| segment.p_type(LittleEndian) == PT_LOAD);
    let ranges = loads.map(|segment| {
        let start = segment.p_vaddr(LittleEndian);
        Some((start, start.checked_add(segment.p_memsz(LittleEndian))?))
    });
    let ranges: Vec<_> = ranges.collect::<Option<_>>()?;
    let first = ranges.iter().map(|(start, _)| start & !4095).min()?;
    let end = ranges.iter().map(|(_, end)| *end).max()?;
    Some(end.checked_next_multiple_of(4096)? - first)
}

/// Where the tables of names are in an ELF file: offset and size of each, in bytes.
pub fn string_tables(file: &File) -> Option<Vec<(u64, u64)>> {
    let file = ReadCache::new(file);
    let header = Header::parse(&file).ok()?;
    let sections = header.section_headers(LittleEndian, &file).ok()?.iter();
    let tables = sections.filter(|section| section.sh_type(LittleEndian) == SHT_STRTAB);
    Some(tables.filter_map(|table| table.file_range(LittleEndian)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_program_end_behind_its_file() {
        let this = std::env::current_exe().unwrap();
        let end = end_in_memory(&this).unwrap();
        assert!(end > 4096 && end.is_multiple_of(4096), "{end}");
        assert_eq!(end_in_memory(Path::new("/proc/self/status")), None);
    }
}
