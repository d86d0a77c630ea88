//! What /proc says of a process, in small buffers on the stack.

use core::fmt::Write;

use super::{File, page_bytes};
use crate::text::Text;

/// What of a process is in memory, in bytes: the second number in statm, in pages.
pub fn resident(process: u32) -> Option<u64> {
    let mut text = Text::<64>::new();
    let file = file_of_process(process, "statm")?;
    text.fill(|buffer| file.read(buffer));
    let text = core::str::from_utf8(text.bytes()).ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok()?.checked_mul(page_bytes())
}

/// A file of /proc about a process.
pub fn file_of_process(process: u32, name: &str) -> Option<File> {
    let mut path = Text::<32>::new();
    let _ = write!(path, "/proc/{process}/{name}\0");
    File::open(path.as_c_str()?, libc::O_RDONLY).ok()
}
