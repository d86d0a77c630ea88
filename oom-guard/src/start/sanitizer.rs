//! Tells whether a program has the runtime of a sanitizer. Such a runtime has its own malloc and must be the first library; our library
//! would also appear in its reports.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use crate::kernel::elf;

/// Why such a program is not recorded.
pub const WHY: &str = "it has the runtime of a sanitizer, which must come before any other library";

/// How the file names of such runtimes begin, of gcc and clang, if they are libraries.
const LIBRARIES: [&str; 9] = [
    "libasan.so",
    "libtsan.so",
    "liblsan.so",
    "libhwasan.so",
    "libclang_rt.asan",
    "libclang_rt.tsan",
    "libclang_rt.msan",
    "libclang_rt.lsan",
    "libclang_rt.hwasan",
];
/// The functions of a runtime that is linked into the program. (UndefinedBehaviorSanitizer has no malloc and works with us.)
const FUNCTIONS: [&str; 5] = [
    "__asan_init",
    "__tsan_init",
    "__msan_init",
    "__lsan_init",
    "__hwasan_init",
];

/// At most this much of a table of names is read.
const MOST_BYTES: u64 = 64 << 20;
/// How much is read at a time. The supervisor does this too, and its heap counts towards the limit of the job's cgroup.
const PIECE_BYTES: usize = 64 << 10;

/// Whether a symbol or a library of this program belongs to such a runtime. A runtime that only another library needs is not found.
pub fn is_in(program: &File) -> bool {
    elf::string_tables(program)
        .unwrap_or_default()
        .into_iter()
        .any(|(offset, bytes)| tells(program, offset, bytes.min(MOST_BYTES)))
}

/// Whether a name in this part of the file is one of those above. Names end with a zero byte.
fn tells(program: &File, mut offset: u64, bytes: u64) -> bool {
    let end = offset.saturating_add(bytes);
    let mut piece = vec![0; PIECE_BYTES];
    while offset < end {
        let length = PIECE_BYTES.min((end - offset) as usize);
        if program.read_exact_at(&mut piece[..length], offset).is_err() {
            return false;
        }
        let names = &piece[..length];
        if names.split(|byte| *byte == 0).any(is_one) {
            return true;
        }
        if offset + length as u64 == end {
            return false;
        }
        // A name that is cut off is read again as a whole.
        let whole = names.iter().rposition(|byte| *byte == 0).unwrap_or(length - 1) + 1;
        offset += whole as u64;
    }
    false
}

fn is_one(name: &[u8]) -> bool {
    FUNCTIONS.iter().any(|function| function.as_bytes() == name)
        || LIBRARIES.iter().any(|library| name.starts_with(library.as_bytes()))
}

/// Whether a value of `LD_PRELOAD` names such a runtime.
pub fn is_preloaded(names: &OsStr) -> bool {
    let mut names = names.as_bytes().split(|byte| b": ".contains(byte));
    names.any(|name| name.rsplit(|byte| *byte == b'/').next().is_some_and(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preloaded_runtime_is_known_by_its_file() {
        let is_preloaded = |names: &str| is_preloaded(OsStr::new(names));
        assert!(is_preloaded("/usr/lib/x86_64-linux-gnu/libasan.so.8"));
        assert!(is_preloaded("libfaketime.so /opt/libclang_rt.asan-x86_64.so"));
        assert!(!is_preloaded("/opt/libasan.so.d/libjemalloc.so.2:libubsan.so.1"));
        assert!(!is_preloaded(""));
    }

    #[test]
    fn a_program_without_one_is_known_as_such() {
        assert!(!is_in(&File::open("/bin/sh").unwrap()));
        assert!(!is_in(&File::open("/proc/self/status").unwrap()));
    }

    #[test]
    fn a_name_at_the_end_of_a_piece_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        for before in [0, PIECE_BYTES - 12, PIECE_BYTES - 5, PIECE_BYTES - 1, 3 * PIECE_BYTES] {
            let mut names = vec![b'x'; before];
            for at in (99..before).step_by(100) {
                names[at] = 0;
            }
            names.extend_from_slice(b"\0__tsan_init\0more\0");
            std::fs::write(&path, &names).unwrap();
            let file = File::open(&path).unwrap();
            assert!(tells(&file, 0, names.len() as u64), "{before}");
            assert!(!tells(&file, 0, before as u64 + 8), "{before}");
        }
    }
}
