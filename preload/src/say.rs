//! One line to stderr, from a buffer on the stack, by one `write`.

use core::fmt::{Arguments, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sys;
use crate::text::Text;

/// The file that was stderr when the program started; zeros for none.
static DEVICE: AtomicU64 = AtomicU64::new(0);
/// See [`DEVICE`].
static INODE: AtomicU64 = AtomicU64::new(0);

/// Remembers what stderr is.
pub fn meet_stderr() {
    let (device, inode) = sys::file_of(libc::STDERR_FILENO).unwrap_or((0, 0));
    DEVICE.store(device, Relaxed);
    INODE.store(inode, Relaxed);
}

/// Writes `=fil-profile= ` and the message; a stderr that is closed or full is nobody's trouble. Where the program has opened
/// something else in its place, that is the program's alone.
pub fn line(message: Arguments<'_>) {
    let stderr = (DEVICE.load(Relaxed), INODE.load(Relaxed));
    if stderr == (0, 0) || sys::file_of(libc::STDERR_FILENO) != Some(stderr) {
        return;
    }
    let mut text = Text::<512>::new();
    let _ = writeln!(text, "=fil-profile= {message}");
    sys::write_quietly(libc::STDERR_FILENO, text.bytes());
}
