//! Huge pages that the machine sets aside for a test, and no longer than it lasts.

use std::fs;

/// How many pages of 2 MiB, the usual size, are set aside (Documentation/admin-guide/mm/hugetlbpage.rst).
const SET_ASIDE: &str = "/proc/sys/vm/nr_hugepages";

/// The number is what it was when this value goes.
#[derive(Debug)]
pub struct HugePages {
    before: u64,
}

impl HugePages {
    /// So many more than there are, or why that cannot be.
    pub fn set_aside(pages: u64) -> Result<HugePages, String> {
        let cannot = |error: std::io::Error| format!("{SET_ASIDE}: {error}");
        let text = fs::read_to_string(SET_ASIDE).map_err(cannot)?;
        let before = text.trim().parse().map_err(|error| format!("{SET_ASIDE}: {error}"))?;
        let guard = HugePages { before };
        fs::write(SET_ASIDE, (before + pages).to_string()).map_err(cannot)?;
        // The kernel sets aside what it finds.
        let there = fs::read_to_string(SET_ASIDE).map_err(cannot)?;
        match there.trim() == (before + pages).to_string() {
            true => Ok(guard),
            false => Err(format!("{SET_ASIDE}: {} instead of {}", there.trim(), before + pages)),
        }
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        // Without the right to write it was not changed.
        let _ = fs::write(SET_ASIDE, self.before.to_string());
    }
}
