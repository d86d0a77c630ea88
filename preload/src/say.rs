//! One line to stderr, from a buffer on the stack, by one `write`.

use core::fmt::{Arguments, Write};

use crate::sys;
use crate::text::Text;

/// Writes `=fil-profile= ` and the message; a stderr that is closed or full is nobody's trouble.
pub fn line(message: Arguments<'_>) {
    let mut text = Text::<512>::new();
    let _ = writeln!(text, "=fil-profile= {message}");
    let _ = sys::write(libc::STDERR_FILENO, text.bytes());
}
