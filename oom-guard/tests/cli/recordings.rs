//! Recordings as the preload would leave them, as far as their headers go.

use std::fs;
use std::mem::offset_of;
use std::path::Path;

use recording::{CHUNK_BYTES, HEADER_BYTES, Header, MAGIC, VERSION};

/// What a header says.
pub struct Recorded {
    pub pid: u32,
    pub state: u32,
    pub peak_bytes: u64,
}

impl Recorded {
    pub fn save(&self, path: &Path) {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut put = |offset: usize, number: &[u8]| bytes[offset..offset + number.len()].copy_from_slice(number);
        put(offset_of!(Header, magic), &MAGIC);
        for (offset, number) in [
            (offset_of!(Header, version), VERSION),
            (offset_of!(Header, header_bytes), HEADER_BYTES as u32),
            (offset_of!(Header, chunk_bytes), CHUNK_BYTES as u32),
            (offset_of!(Header, state), self.state),
            (offset_of!(Header, pid), self.pid),
        ] {
            put(offset, &number.to_le_bytes());
        }
        for offset in [offset_of!(Header, live_bytes), offset_of!(Header, peak_bytes)] {
            put(offset, &self.peak_bytes.to_le_bytes());
        }
        fs::write(path, bytes).unwrap();
    }
}

/// A script that leaves the recording `recording`, and then does `rest`.
pub fn leaving(recording: &str, rest: &str) -> String {
    format!("cp {recording} $FIL_PROFILE_RUN/$$-0.recording; {rest}")
}
