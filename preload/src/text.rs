//! Text in a buffer of fixed size: paths, messages and names without a heap.

use core::ffi::CStr;
use core::fmt;

/// At most `N` bytes; what does not fit is cut off, and [`Text::is_cut`] says so.
#[derive(Clone)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
            cut: false,
        }
    }

    /// Appends bytes, as far as they fit.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.bytes.get_mut(self.length) {
                Some(place) => (*place, self.length) = (*byte, self.length + 1),
                None => self.cut = true,
            }
        }
    }

    /// Has another text put in its place by `fill`, which says how many bytes it has.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) {
        self.clear();
        self.length = fill(&mut self.bytes).min(N);
    }

    /// Empties it.
    pub fn clear(&mut self) {
        (self.length, self.cut) = (0, false);
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The text for the system; it must have been ended by a zero byte.
    pub fn as_c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.bytes()).ok()
    }

    /// Was there more than fits?
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
