//! What the environment asks of the preload, read once, before the program's own code runs.
#![expect(unsafe_code, reason = "reads the C environment")]

use core::ffi::{CStr, c_char};

use crate::run_folder;
use crate::text::Text;

/// A path, ended by a zero byte.
pub type Path = Text<4096>;

/// What to do when an allocation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOom {
    /// Note it and let the program have its NULL.
    Report,
    /// Note it and end the process with status 53.
    Exit,
}

/// The settings of this process.
pub struct Settings {
    /// The run folder, not ended by a zero byte; `None`: do nothing.
    pub run: Option<Path>,
    /// Its device and inode; `None` if nobody says.
    pub run_inode: Option<(u64, u64)>,
    /// See [`OnOom`].
    pub on_oom: OnOom,
    /// Bytes of the stash that was asked for.
    pub stash_bytes: usize,
    /// Bytes of the stash that there is room for.
    pub stash_at_most: usize,
    /// The limits on addresses and data that leave room for it.
    pub limits: [u64; 2],
    /// Blocks of at least this many bytes are told to the supervisor as they are allocated.
    pub large_request: u64,
    /// This process is the supervisor's direct child.
    pub is_first: bool,
    /// The first process alone is to be recorded.
    pub first_only: bool,
    /// This process's rank among those of a parallel program, plus one; 0 for none.
    pub rank: u32,
    /// Record every allocation.
    pub exact: bool,
    /// A fixed sampling interval, log2 of bytes.
    pub interval_log2: Option<u32>,
}

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
}

fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: `name` ends in a zero byte; called before the program's own code, which alone could change the environment.
    let value = unsafe { getenv(name.as_ptr()) };
    // SAFETY: a non-null answer points to a string that ends in a zero byte.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes())
}

fn number(name: &CStr) -> Option<u64> {
    core::str::from_utf8(variable(name)?).ok()?.parse().ok()
}

/// Bytes of the stash where nobody says otherwise.
const STASH_BYTES: usize = 16 << 20;

/// Who starts the ranks of a parallel program tells each its own; within a job of Slurm, the nearest first.
const RANKS: [&CStr; 4] = [c"RANK", c"OMPI_COMM_WORLD_RANK", c"PMI_RANK", c"SLURM_PROCID"];

impl Settings {
    /// Settings that switch everything off.
    pub const fn off() -> Self {
        Self {
            run: None,
            run_inode: None,
            on_oom: OnOom::Report,
            stash_bytes: 0,
            stash_at_most: 0,
            limits: [0; 2],
            large_request: u64::MAX,
            is_first: false,
            first_only: false,
            rank: 0,
            exact: false,
            interval_log2: None,
        }
    }

    /// What the environment says; see ARCHITECTURE.md for the variables.
    pub fn from_environment(parent_pid: u32) -> Self {
        let is_first = number(c"FIL_PROFILE_SUPERVISOR") == Some(parent_pid as u64);
        let first_only = variable(c"FIL_PROFILE_CHILDREN") == Some(b"off");
        let off = variable(c"FIL_PROFILE_RECORDING") == Some(b"off") || first_only && !is_first;
        let run = variable(c"FIL_PROFILE_RUN")
            .filter(|path| !off && path.first() == Some(&b'/'))
            .map(|path| {
                let mut text = Path::new();
                text.push(path);
                text
            });
        let exact = variable(c"FIL_PROFILE_EXACT") == Some(b"1");
        Self {
            // Room for "/", two numbers and ".recording".
            run: run.filter(|path| path.bytes().len() < 4000),
            run_inode: variable(c"FIL_PROFILE_RUN_INODE")
                .and_then(|value| core::str::from_utf8(value).ok())
                .and_then(run_folder::parse),
            on_oom: if variable(c"FIL_PROFILE_ON_OOM") == Some(b"exit") {
                OnOom::Exit
            } else {
                OnOom::Report
            },
            stash_bytes: number(c"FIL_PROFILE_STASH").map_or(STASH_BYTES, |bytes| bytes as usize),
            is_first,
            first_only,
            rank: RANKS
                .into_iter()
                .find_map(number)
                .map_or(0, |rank| rank.saturating_add(1).min(u32::MAX as u64) as u32),
            stash_at_most: number(c"FIL_PROFILE_STASH_AT_MOST").map_or(usize::MAX, |bytes| bytes as usize),
            limits: [c"FIL_PROFILE_LIMIT_AS", c"FIL_PROFILE_LIMIT_DATA"].map(|name| number(name).unwrap_or(0)),
            large_request: number(c"FIL_PROFILE_LARGE_REQUEST").unwrap_or(u64::MAX),
            exact,
            interval_log2: number(c"FIL_PROFILE_SAMPLE_INTERVAL")
                .filter(|_| !exact)
                .map(|bytes| bytes.max(1).ilog2().min(40)),
        }
    }
}
