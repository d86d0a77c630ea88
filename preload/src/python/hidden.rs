//! An interpreter that is a part of the program, where the dynamic linker does not know its names: linked without `-rdynamic`. The
//! program's own table of symbols has them, unless it was removed (`strip`).
#![expect(unsafe_code, reason = "reads the program's headers in memory")]

use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::sys::{self, File};

/// What is asked for of an interpreter. Of the last ones, a version has one.
const NAMES: [&CStr; 15] = [
    c"Py_GetVersion",
    c"PyGILState_GetThisThreadState",
    c"PyCode_Type",
    c"PyUnicode_Type",
    c"PyBytes_Type",
    c"PyMem_GetAllocator",
    c"PyMem_SetAllocator",
    c"PyObject_GetArenaAllocator",
    c"PyObject_SetArenaAllocator",
    c"Py_IsInitialized",
    c"_PyRuntime",
    c"Py_IsFinalizing",
    c"_Py_IsFinalizing",
    c"_Py_Finalizing",
    c"_PyThreadState_UncheckedGet",
];

/// Where they are, in the same order; 0 for unknown.
static ADDRESSES: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// No interpreter.
    None,
    /// One whose symbols [`address`] knows from now on.
    Named,
    /// One without symbols.
    Stripped,
}

/// The address of one of [`NAMES`], if [`look`] has found it; else null.
pub fn address(symbol: &CStr) -> *mut c_void {
    let known = NAMES.iter().zip(&ADDRESSES).find(|(name, _)| **name == symbol);
    known.map_or(null_mut(), |(_, address)| address.load(Relaxed) as *mut c_void)
}

/// Looks for an interpreter in the program. Its file is opened only if it uses functions that an interpreter uses and hardly any other
/// program.
#[cold]
pub fn look() -> Hidden {
    let Some(program) = Program::running().filter(|program| program.uses_functions_of_an_interpreter()) else {
        return Hidden::None;
    };
    let Ok(file) = File::open(c"/proc/self/exe", libc::O_RDONLY) else {
        return Hidden::None;
    };
    let look = |bytes: &[u8]| {
        let found = symbols(bytes, |name, value| {
            if let Some(known) = NAMES.iter().position(|known| known.to_bytes() == name) {
                ADDRESSES[known].store(program.base.wrapping_add(value as usize), Relaxed);
            }
        });
        match found.and(NAMES.first()) {
            Some(name) if !address(name).is_null() => Hidden::Named,
            _ if contains(bytes, b"\0PYTHONHASHSEED\0") => Hidden::Stripped,
            _ => Hidden::None,
        }
    };
    sys::with_bytes(&file, file.bytes(), look).unwrap_or(Hidden::None)
}

/// The program as it is in memory.
struct Program {
    /// What is added to its addresses.
    base: usize,
    /// The names that it shares with libraries.
    names: &'static [u8],
}

impl Program {
    fn running() -> Option<Self> {
        // SAFETY: the function wants nothing.
        let at = unsafe { libc::getauxval(libc::AT_PHDR) } as *const libc::Elf64_Phdr;
        // SAFETY: the function wants nothing.
        let count = unsafe { libc::getauxval(libc::AT_PHNUM) } as usize;
        if at.is_null() {
            return None;
        }
        // SAFETY: a slice wants so many headers at this address: the kernel says so (getauxval(3)), and they stay.
        let headers = unsafe { core::slice::from_raw_parts(at, count) };
        let address = |kind| {
            headers
                .iter()
                .find(|header| header.p_type == kind)
                .map(|header| header.p_vaddr as usize)
        };
        let base = (at as usize).wrapping_sub(address(libc::PT_PHDR)?);
        let mut entry = base.wrapping_add(address(libc::PT_DYNAMIC)?) as *const [usize; 2];
        let (mut names, mut bytes) = (0, 0);
        loop {
            // SAFETY: a read wants a readable entry: the dynamic section is loaded, and ends with an entry of tag 0.
            match unsafe { entry.read() } {
                [0, _] => break,
                [DT_STRTAB, value] => names = value,
                [DT_STRSZ, value] => bytes = value,
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        if names == 0 {
            return None;
        }
        // SAFETY: a slice wants so many bytes at this address: glibc writes the address into the dynamic section, and the names stay.
        let names = unsafe { core::slice::from_raw_parts(names as *const u8, bytes) };
        Some(Self { base, names })
    }

    /// Those of `os` and `locale`, which are built in where the interpreter is.
    fn uses_functions_of_an_interpreter(&self) -> bool {
        let used = [b"\0confstr\0".as_slice(), b"\0wcsxfrm\0", b"\0sched_rr_get_interval\0"];
        used.iter().all(|name| contains(self.names, name))
    }
}

/// Tags of the dynamic section (elf(5)).
const DT_STRTAB: usize = 5;
const DT_STRSZ: usize = 10;

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Shows the name and the value of each symbol of an ELF file; nothing if it has no table of them.
fn symbols(file: &[u8], mut show: impl FnMut(&[u8], u64)) -> Option<()> {
    const SYMBOL_TABLE: u64 = 2;
    const SYMBOL_BYTES: usize = 24;
    let (sections, size, count) = (number(file, 40, 8)?, number(file, 58, 2)?, number(file, 60, 2)?);
    let section = |index: u64| file.get(usize::try_from(sections.checked_add(index * size)?).ok()?..);
    let contents = |section: &[u8]| {
        let (start, bytes) = (number(section, 24, 8)? as usize, number(section, 32, 8)? as usize);
        file.get(start..start.checked_add(bytes)?)
    };
    let is_table = |section: &&[u8]| number(section, 4, 4) == Some(SYMBOL_TABLE);
    let table = (0..count).filter_map(section).find(is_table)?;
    let names = contents(section(number(table, 40, 4)?)?)?;
    for symbol in contents(table)?.chunks_exact(SYMBOL_BYTES) {
        let name = names.get(number(symbol, 0, 4)? as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        show(name.get(..end)?, number(symbol, 8, 8)?);
    }
    Some(())
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with a table of two symbols, and the table of their names.
    fn file() -> Vec<u8> {
        let mut file = vec![0; 64];
        file[40] = 64;
        file[58] = 64;
        file[60] = 2;
        let names = b"\0first\0second\0";
        let section = |kind: u8, start: u8, bytes: u8| {
            let mut section = [0; 64];
            (section[4], section[24], section[32], section[40]) = (kind, start, bytes, 1);
            section
        };
        file.extend(section(2, 192, 48));
        file.extend(section(3, 240, names.len() as u8));
        for (name, value) in [(1, 0x1234u16), (7, 0x5678)] {
            let mut symbol = [0; 24];
            symbol[0] = name;
            symbol[8..10].copy_from_slice(&value.to_le_bytes());
            file.extend(symbol);
        }
        file.extend(names);
        file
    }

    #[test]
    fn symbols_are_read_with_their_names() {
        let mut seen = Vec::new();
        assert_eq!(
            symbols(&file(), |name, value| seen.push((name.to_vec(), value))),
            Some(())
        );
        assert_eq!(seen, [(b"first".to_vec(), 0x1234), (b"second".to_vec(), 0x5678)]);
    }

    #[test]
    fn this_program_is_no_interpreter() {
        assert_eq!(look(), Hidden::None);
        assert!(Program::running().is_some_and(|program| contains(program.names, b"\0malloc\0")));
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(at in 0usize..300, byte: u8, length in 0usize..300) {
            let mut file = file();
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            file.truncate(length);
            symbols(&file, |_, _| ());
        }
    }
}
