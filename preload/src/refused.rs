//! Something other than memory is refused to the job: a thread, a process, locked memory, huge pages, or room in a file system. The
//! supervisor is told what, at which line and at which limit. Much of this runs in a handler of SIGBUS, so it makes system calls, and its
//! buffers are under a lock.

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use recording::protocol::message::{Message, Refusal};

use crate::lock::Lock;
use crate::state::STATE;
use crate::switches::RECORDING;
use crate::sys::{self, File};
use crate::text::Text;
use crate::thread::Inside;
use crate::{errno, message_pipe};

/// Shortest time between two messages: a program may try again and again.
const PAUSE_NS: u64 = 200_000_000;
/// With less than this a file system is full.
const LITTLE: u64 = 64 << 10;
/// A look after a SIGBUS takes as long as /proc/self/maps is; so many are made.
const MOST_LOOKS: u32 = 16;
/// What stands for no place.
const NOWHERE: &str = "-";

/// The longest path that is followed.
type Name = Text<512>;
static NAME: Lock<Name> = Lock::new(Name::new());

/// This was refused at this limit, 0 for an unknown one. Leaves `errno` as it is.
#[cold]
pub fn tell(what: Refusal, limit: Option<u64>) {
    tell_of(what, limit.unwrap_or(0), NOWHERE);
}

fn tell_of(what: Refusal, limit: u64, place: &str) {
    static LAST_NS: AtomicU64 = AtomicU64::new(0);
    let now = sys::monotonic_ns();
    if !RECORDING.load(Relaxed) || now.saturating_sub(LAST_NS.swap(now, Relaxed)) < PAUSE_NS {
        return;
    }
    let (pid, node) = (sys::pid(), callstack());
    let errno = errno::get();
    message_pipe::send(Message::Refused {
        pid,
        what,
        node,
        limit,
        place,
    });
    errno::set(errno);
}

/// The callstack of this thread as a node; 0 if it cannot be taken.
pub fn callstack() -> u32 {
    let _inside = Inside::enter();
    STATE.try_for_a_while().map_or(0, |mut state| state.callstack())
}

/// A thread or a process was refused, and not for want of memory.
#[cold]
pub fn one_more(what: Refusal) {
    tell(
        what,
        sys::limit(libc::RLIMIT_NPROC).filter(|limit| *limit != libc::RLIM_INFINITY),
    );
}

/// Memory could not be locked.
#[cold]
pub fn lock() {
    tell(Refusal::LockedMemory, sys::limit(libc::RLIMIT_MEMLOCK));
}

/// There was no room for so many bytes of a file.
#[cold]
pub fn room(descriptor: i32, bytes: u64) {
    let Some(mut name) = NAME.try_for_a_while() else { return };
    name.clear();
    let _ = write!(name, "/proc/self/fd/{descriptor}\0");
    let path: Name = name.as_c_str().map_or(Name::new(), sys::link);
    look_at(path.bytes(), &mut name, bytes);
}

/// After a SIGBUS at this address. It may be at a file for which there is no room.
#[cold]
pub fn after_bus_error(address: usize) {
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    // A program may live on SIGBUS.
    if LOOKS.fetch_add(1, Relaxed) >= MOST_LOOKS {
        return;
    }
    let Some(mut name) = NAME.try_for_a_while() else { return };
    let Some(path) = path_at(address) else { return };
    match path.bytes() {
        path if path.starts_with(b"/anon_hugepage") => tell(Refusal::HugePages, None),
        path => look_at(path, &mut name, LITTLE),
    }
}

/// Tells of the file system of this file if fewer than so many bytes of it are free. `name` is room for a path.
fn look_at(file: &[u8], name: &mut Name, bytes: u64) {
    // A file that has been removed is still in its folder's file system.
    let folder = file
        .iter()
        .rposition(|byte| *byte == b'/')
        .and_then(|end| file.get(..end));
    let Some(folder) = folder.filter(|folder| !folder.is_empty()) else {
        return;
    };
    name.clear();
    name.push(folder);
    name.push(b"\0");
    let room = name
        .as_c_str()
        .and_then(|path| File::open(path, libc::O_PATH).ok())
        .and_then(|folder| folder.room());
    if let (Some((total, free)), Ok(place)) = (room, core::str::from_utf8(folder))
        && total > 0
        && free < bytes
    {
        tell_of(Refusal::FileSystem, total, place);
    }
}

/// The path of the file that is mapped at an address.
fn path_at(address: usize) -> Option<Name> {
    let maps = File::open(c"/proc/self/maps", libc::O_RDONLY).ok()?;
    let mut line = Name::new();
    let mut buffer = [0; 256];
    loop {
        let read = maps.read(&mut buffer);
        for byte in buffer.get(..read)? {
            if *byte != b'\n' {
                line.push(&[*byte]);
                continue;
            }
            if let Some(path) = path_if_at(line.bytes(), address) {
                let mut found = Name::new();
                found.push(path);
                return Some(found);
            }
            line.clear();
        }
        if read < buffer.len() {
            return None;
        }
    }
}

/// `7f1c4e000000-7f1c4e200000 rw-s 00000000 00:1b 5   /dev/shm/psm_1 (deleted)`: the path, if the address is in this range.
fn path_if_at(line: &[u8], address: usize) -> Option<&[u8]> {
    let text = core::str::from_utf8(line.get(..line.iter().position(|byte| *byte == b' ')?)?).ok()?;
    let (from, to) = text.split_once('-')?;
    let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
    let path = line.get(line.iter().position(|byte| *byte == b'/')?..)?;
    range.contains(&address).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_at_an_address_is_found_in_a_line_of_maps() {
        let line = b"7f1c4e000000-7f1c4e200000 rw-s 00000000 00:1b 5      /dev/shm/a b (deleted)";
        assert_eq!(path_if_at(line, 0x7f1c_4e00_0000), Some(&b"/dev/shm/a b (deleted)"[..]));
        assert_eq!(path_if_at(line, 0x7f1c_4e20_0000), None);
        assert_eq!(
            path_if_at(b"7f1c4e000000-7f1c4e200000 rw-p 00000000 00:00 0 ", 0x7f1c_4e00_0000),
            None
        );
        assert_eq!(path_if_at(b"", 0), None);
        // This code itself is mapped from a file.
        let path = path_at(path_if_at as *const () as usize).expect("a program is a file");
        assert!(path.bytes().starts_with(b"/"));
    }
}
