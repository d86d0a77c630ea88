//! Can the dynamic linker put our library into this program? A statically linked one has no dynamic linker to ask, and
//! musl's gives up when a library needs glibc.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::unistd::{getegid, getuid};

use crate::start::sanitizer;

/// What `LD_PRELOAD` does to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// It is watched, as far as can be seen from its file.
    Possible,
    /// The program ignores the library, for this reason; what it starts may be watched.
    Ignored(&'static str),
    /// The program fails or complains because of the library, for this reason.
    Harmful(&'static str),
}

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

const PROGRAM_HEADER_BYTES: u64 = 56;
const PT_INTERP: u32 = 3;
const X86_64: u16 = 62;

/// Looks at the program that the kernel will start for `path`: for a script, its interpreter.
pub fn watch(path: &Path) -> Watch {
    let Ok(mut file) = File::open(path) else {
        return Watch::Possible;
    };
    let mut start = Vec::new();
    if file.by_ref().take(256).read_to_end(&mut start).is_err() {
        return Watch::Possible;
    }
    if let Some(line) = start.strip_prefix(b"#!") {
        return interpreter_of_script(line).map_or(Watch::Possible, |interpreter| watch_elf_at(&interpreter));
    }
    watch_elf(&file)
}

fn watch_elf_at(path: &Path) -> Watch {
    File::open(path).map_or(Watch::Possible, |file| watch_elf(&file))
}

fn watch_elf(file: &File) -> Watch {
    let changes_identity = file.metadata().is_ok_and(|about| {
        about.mode() & SETUID != 0 && about.uid() != getuid().as_raw()
            || about.mode() & SETGID != 0 && about.gid() != getegid().as_raw()
    });
    let verdict = linker(&|offset, bytes| file.read_exact_at(bytes, offset).ok()).unwrap_or(Watch::Possible);
    match verdict {
        Watch::Possible if changes_identity => Watch::Ignored("it is setuid or setgid"),
        Watch::Possible if sanitizer::is_in(file) => Watch::Harmful(sanitizer::WHY),
        verdict => verdict,
    }
}

fn interpreter_of_script(line: &[u8]) -> Option<std::path::PathBuf> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let word = line
        .split(|byte| *byte == b' ' || *byte == b'\t')
        .find(|word| !word.is_empty())?;
    Some(std::ffi::OsStr::from_bytes(word).into())
}

/// Judges an ELF file by its header and its PT_INTERP; `None` where it is no ELF file or is cut short.
fn linker(read: &dyn Fn(u64, &mut [u8]) -> Option<()>) -> Option<Watch> {
    let mut header = [0; 64];
    read(0, &mut header)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    if header[4] != 2 || u16::from_le_bytes([header[18], header[19]]) != X86_64 {
        return Some(Watch::Harmful("it is not an x86-64 program"));
    }
    let table = u64_at(&header, 32)?;
    let entry_bytes = u64::from(u16::from_le_bytes([header[54], header[55]]));
    let entries = u64::from(u16::from_le_bytes([header[56], header[57]]));
    if entry_bytes < PROGRAM_HEADER_BYTES {
        return None;
    }
    for index in 0..entries {
        let mut entry = [0; PROGRAM_HEADER_BYTES as usize];
        read(table.checked_add(index * entry_bytes)?, &mut entry)?;
        if u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) == PT_INTERP {
            let mut path = vec![0; u64_at(&entry, 32)?.min(4096) as usize];
            read(u64_at(&entry, 8)?, &mut path)?;
            let is_musl = path.windows(8).any(|part| part == b"/ld-musl");
            return Some(if is_musl {
                Watch::Harmful("it is linked to musl, not glibc")
            } else {
                Watch::Possible
            });
        }
    }
    Some(Watch::Ignored("it is statically linked"))
}

/// Where the variables of a loaded file end, from the file's beginning in memory: what its file has no bytes for comes last.
pub fn end_in_memory(path: &Path) -> Option<u64> {
    const PT_LOAD: u32 = 1;
    let file = File::open(path).ok()?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    if !header.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let (table, count) = (u64_at(&header, 32)?, u16::from_le_bytes([header[56], header[57]]));
    let mut table_bytes = vec![0; usize::from(count) * PROGRAM_HEADER_BYTES as usize];
    file.read_exact_at(&mut table_bytes, table).ok()?;
    let loads = table_bytes.chunks_exact(PROGRAM_HEADER_BYTES as usize);
    let loads = loads.filter(|load| load.starts_with(&PT_LOAD.to_le_bytes()));
    let ranges = loads.map(|load| Some((u64_at(load, 16)?, u64_at(load, 16)?.checked_add(u64_at(load, 40)?)?)));
    let ranges: Vec<_> = ranges.collect::<Option<_>>()?;
    let first = ranges.iter().map(|(start, _)| start & !4095).min()?;
    let end = ranges.iter().map(|(_, end)| *end).max()?;
    Some(end.checked_next_multiple_of(4096)? - first)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(image: &[u8]) -> Option<Watch> {
        linker(&|offset, bytes| {
            let from = usize::try_from(offset).ok()?;
            bytes.copy_from_slice(image.get(from..from.checked_add(bytes.len())?)?);
            Some(())
        })
    }

    /// An x86-64 ELF file with one program header of type `kind` that points at `interpreter`.
    fn image(kind: u32, interpreter: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 64 + 56];
        image[..5].copy_from_slice(b"\x7fELF\x02");
        image[18] = 62;
        image[32] = 64;
        image[54] = 56;
        image[56] = 1;
        image[64..68].copy_from_slice(&kind.to_le_bytes());
        image[72] = 120;
        image[96] = interpreter.len() as u8;
        image.extend_from_slice(interpreter);
        image
    }

    #[test]
    fn a_program_of_glibc_can_be_watched() {
        assert_eq!(
            judge(&image(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0")),
            Some(Watch::Possible)
        );
        assert_eq!(watch(Path::new("/bin/sh")), Watch::Possible);
    }

    #[test]
    fn the_variables_of_a_program_end_behind_its_file() {
        let this = std::env::current_exe().unwrap();
        let end = end_in_memory(&this).unwrap();
        assert!(end > 4096 && end.is_multiple_of(4096), "{end}");
        assert_eq!(end_in_memory(Path::new("/proc/self/status")), None);
    }

    #[test]
    fn a_program_without_a_dynamic_linker_ignores_the_library() {
        assert!(matches!(judge(&image(1, b"")), Some(Watch::Ignored(_))));
    }

    #[test]
    fn musl_and_other_machines_must_not_get_the_library() {
        assert!(matches!(
            judge(&image(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0")),
            Some(Watch::Harmful(_))
        ));
        let mut other = image(PT_INTERP, b"/lib/ld-linux.so.2\0");
        other[4] = 1;
        assert!(matches!(judge(&other), Some(Watch::Harmful(_))));
    }

    #[test]
    fn a_torn_file_is_no_program_of_ours_to_judge() {
        let whole = image(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        for length in 0..whole.len() {
            assert_eq!(judge(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_script_is_judged_by_its_interpreter() {
        assert_eq!(
            interpreter_of_script(b" /usr/bin/env python3\n"),
            Some("/usr/bin/env".into())
        );
        assert_eq!(interpreter_of_script(b"\n"), None);
    }
}
