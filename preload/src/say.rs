//! One line to stderr, from a buffer on the stack, by one `write`.

use core::fmt::{self, Arguments, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use recording::is_hidden;

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

/// Writes `=fil-profile= ` and the message; if stderr is closed or full, the message is lost. If the program has opened another
/// file in its place, nothing is written to it.
pub fn line(message: Arguments<'_>) {
    let stderr = (DEVICE.load(Relaxed), INODE.load(Relaxed));
    if stderr == (0, 0) || sys::file_of(libc::STDERR_FILENO) != Some(stderr) {
        return;
    }
    sys::write_quietly(libc::STDERR_FILENO, text(message).bytes());
}

fn text(message: Arguments<'_>) -> Text<512> {
    let mut text = Text::new();
    let _ = text.write_str("=fil-profile= ");
    let _ = Visible(&mut text).write_fmt(message);
    let _ = text.write_str("\n");
    text
}

/// Escapes what is invisible, controls a terminal or ends the line: a folder's name may have any characters.
struct Visible<'a>(&'a mut Text<512>);

impl Write for Visible<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match is_hidden(character) {
            true => write!(self.0, "{}", character.escape_default()),
            false => self.0.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_name_cannot_end_the_line_or_command_the_terminal() {
        let text = text(format_args!("in {}.", "a\nb\u{1b}]0;x\u{7}\u{202e}größe"));
        let expected = "=fil-profile= in a\\nb\\u{1b}]0;x\\u{7}\\u{202e}größe.\n";
        assert_eq!(core::str::from_utf8(text.bytes()), Ok(expected));
    }
}
