//! Tells whether a program can load our library. A statically linked program has no dynamic linker that would load it, and that of musl
//! fails if a library needs glibc.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{getegid, getuid};
use object::elf::{ELFCLASS64, EM_AARCH64, EM_X86_64, Machine};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadCache, ReadRef};

use crate::kernel::elf::Header;
use crate::start::sanitizer;

/// What `LD_PRELOAD` does to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The program loads it, as far as its file tells.
    Possible,
    /// The program ignores the library, for this reason. Programs that it starts may load it.
    Ignored(&'static str),
    /// The program fails or complains because of the library, for this reason.
    Harmful(&'static str),
}

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;

/// That of the library.
const MACHINE: Machine = if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else {
    EM_X86_64
};
const OTHER_MACHINE: &str = "it is not a 64-bit program for this processor";

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
    let verdict = linker(&ReadCache::new(file)).unwrap_or(Watch::Possible);
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
fn linker<'a>(file: impl ReadRef<'a>) -> Option<Watch> {
    let ident = file.read_bytes_at(0, 16).ok()?;
    if !ident.starts_with(b"\x7fELF") {
        return None;
    }
    if ident[4] != ELFCLASS64.0 {
        return Some(Watch::Harmful(OTHER_MACHINE));
    }
    let header = Header::parse(file).ok()?;
    if header.e_machine(LittleEndian) != MACHINE {
        return Some(Watch::Harmful(OTHER_MACHINE));
    }
    for segment in header.program_headers(LittleEndian, file).ok()? {
        if let Some(path) = segment.interpreter(LittleEndian, file).ok()? {
            let is_musl = path.windows(8).any(|part| part == b"/ld-musl");
            return Some(match is_musl {
                true => Watch::Harmful("it is linked to musl, not glibc"),
                false => Watch::Possible,
            });
        }
    }
    Some(Watch::Ignored("it is statically linked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::elf::{PT_INTERP, PT_LOAD, ProgramType};

    /// An ELF file with one program header of type `kind` that points at `interpreter`.
    fn image(kind: ProgramType, interpreter: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 64 + 56];
        image[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        image[18] = MACHINE.0 as u8;
        image[32] = 64;
        image[54] = 56;
        image[56] = 1;
        image[64..68].copy_from_slice(&kind.0.to_le_bytes());
        image[72] = 120;
        image[96] = interpreter.len() as u8;
        image.extend_from_slice(interpreter);
        image
    }

    #[test]
    fn a_program_of_glibc_can_be_watched() {
        assert_eq!(
            linker(&*image(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0")),
            Some(Watch::Possible)
        );
        assert_eq!(watch(Path::new("/bin/sh")), Watch::Possible);
    }

    #[test]
    fn a_program_without_a_dynamic_linker_ignores_the_library() {
        assert!(matches!(linker(&*image(PT_LOAD, b"")), Some(Watch::Ignored(_))));
    }

    #[test]
    fn musl_and_other_machines_must_not_get_the_library() {
        assert!(matches!(
            linker(&*image(PT_INTERP, b"/lib/ld-musl-x86_64.so.1\0")),
            Some(Watch::Harmful(_))
        ));
        let mut other = image(PT_INTERP, b"/lib/ld-linux.so.2\0");
        other[4] = 1;
        assert!(matches!(linker(&*other), Some(Watch::Harmful(_))));
    }

    #[test]
    fn a_torn_file_is_no_program_of_ours_to_judge() {
        let whole = image(PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        for length in 0..whole.len() {
            assert_eq!(linker(&whole[..length]), None, "{length}");
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
