//! What the environment asks of the preload, read once, before the program's own code runs.
#![expect(unsafe_code, reason = "reads the C environment")]

use core::ffi::{CStr, c_char};

use recording::protocol::variables::{self, OFF, ON, RANKS, Variable};
use recording::protocol::{OnOom, RunInode};

use crate::text::Text;

/// A path, ended by a zero byte.
pub type Path = Text<4096>;

/// The settings of this process.
pub struct Settings {
    /// The run folder, not ended by a zero byte; empty: do nothing.
    pub run: Path,
    /// Which folder that is; `None` if the variable is not set.
    pub run_inode: Option<RunInode>,
    /// What to do when an allocation fails.
    pub on_oom: OnOom,
    /// Bytes of the stash that was asked for.
    pub stash_bytes: usize,
    /// Bytes of the stash that there is room for.
    pub stash_at_most: usize,
    /// The limits on addresses and data that leave room for it.
    pub limits: [u64; 2],
    /// Blocks of at least this many bytes are told to the supervisor as they are allocated.
    pub large_request: u64,
    /// The pid of the job's parent.
    pub supervisor: Option<u32>,
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

/// The strings of an array, such as the environment.
///
/// # Safety
/// The array must end in null, its strings in a zero byte, and nobody may change it meanwhile.
pub unsafe fn strings(array: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    (0..).map_while(move |at| {
        // SAFETY: a read wants a readable pointer: the array ends in null by the caller's promise, and this ends there too.
        let text = unsafe { array.wrapping_add(at).read() };
        // SAFETY: from_ptr wants a string that ends in a zero byte: the caller's promise.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
    })
}

fn bytes_of(variable: Variable) -> Option<&'static [u8]> {
    value_of(variable.c_name())
}

/// Whether Python is told to use mimalloc in place of pymalloc.
pub fn asks_for_mimalloc() -> bool {
    value_of(c"PYTHONMALLOC").is_some_and(|value| value.starts_with(b"mimalloc"))
}

fn value_of(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: getenv wants a string that ends in a zero byte, as a `CStr` does. Nobody changes the environment meanwhile: the
    // program's own code has not run yet, or is about to start a Python, which reads it too.
    let value = unsafe { getenv(name.as_ptr()) };
    // SAFETY: a non-null answer points to a string in the environment, which ends in a zero byte.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes())
}

fn text_of(variable: Variable) -> Option<&'static str> {
    core::str::from_utf8(bytes_of(variable)?).ok()
}

fn number_of(variable: Variable) -> Option<u64> {
    text_of(variable)?.parse().ok()
}

/// Bytes of the stash if the variable is not set.
const STASH_BYTES: usize = 16 << 20;

impl Settings {
    /// Settings that switch everything off.
    pub const fn off() -> Self {
        Self {
            run: Path::new(),
            run_inode: None,
            on_oom: OnOom::Report,
            stash_bytes: 0,
            stash_at_most: 0,
            limits: [0; 2],
            large_request: u64::MAX,
            supervisor: None,
            is_first: false,
            first_only: false,
            rank: 0,
            exact: false,
            interval_log2: None,
        }
    }

    /// Takes over what the environment says; `recording::protocol` has the variables. In place, since the path is as large as a small
    /// thread's stack.
    pub fn read_environment(&mut self, parent_pid: u32) {
        let is = |variable, value| text_of(variable) == Some(value);
        self.supervisor = number_of(variables::SUPERVISOR).and_then(|pid| pid.try_into().ok());
        self.is_first = self.supervisor == Some(parent_pid);
        self.first_only = is(variables::CHILDREN, OFF);
        let off = is(variables::RECORDING, OFF) || self.first_only && !self.is_first;
        // Room for "/", two numbers and ".recording".
        let run = bytes_of(variables::RUN).filter(|path| !off && path.first() == Some(&b'/') && path.len() < 4000);
        self.run.push(run.unwrap_or_default());
        self.run_inode = text_of(variables::RUN_INODE).and_then(RunInode::parse);
        self.on_oom = text_of(variables::ON_OOM)
            .and_then(OnOom::from_name)
            .unwrap_or_default();
        self.stash_bytes = number_of(variables::STASH).map_or(STASH_BYTES, |bytes| bytes as usize);
        self.stash_at_most = number_of(variables::STASH_AT_MOST).map_or(usize::MAX, |bytes| bytes as usize);
        self.limits = [variables::LIMIT_AS, variables::LIMIT_DATA].map(|limit| number_of(limit).unwrap_or(0));
        self.large_request = number_of(variables::LARGE_REQUEST).unwrap_or(u64::MAX);
        let rank = RANKS.into_iter().find_map(number_of);
        self.rank = rank.map_or(0, |rank| rank.saturating_add(1).min(u32::MAX as u64) as u32);
        self.exact = is(variables::EXACT, ON);
        self.interval_log2 = number_of(variables::SAMPLE_INTERVAL)
            .filter(|_| !self.exact)
            .map(|bytes| bytes.max(1).ilog2().min(40));
    }

    /// The run folder, if anything is to be recorded.
    pub fn run(&self) -> Option<&[u8]> {
        Some(self.run.bytes()).filter(|run| !run.is_empty())
    }
}
