//! What the hooks look at before they take the lock.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::sampler;

/// Is anything recorded at all? Set once the environment has been read.
pub static RECORDING: AtomicBool = AtomicBool::new(false);
/// Was this process started with recording off, so that it records only while a window is open?
pub static ONLY_IN_WINDOWS: AtomicBool = AtomicBool::new(false);
/// Is every allocation recorded?
pub static EXACT: AtomicBool = AtomicBool::new(false);
/// log2 of the sampling interval in force.
pub static INTERVAL_LOG2: AtomicU32 = AtomicU32::new(sampler::FINEST_LOG2);
/// Blocks of at least this many bytes are recorded for certain.
pub static LARGE_BYTES: AtomicU64 = AtomicU64::new(1 << 16);
/// Has the program mapped any memory that is counted?
pub static ANY_MAPPING: AtomicBool = AtomicBool::new(false);
