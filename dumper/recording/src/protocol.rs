//! The contract between the processes of a run: `fil-profile`, which starts the job, and the library in each process of the job.
//! There is nothing between them but the environment ([`variables`]), the files of the run folder ([`files`]), the messages on the
//! message pipe ([`Message`]), one field of the recording ([`measured`]), one exit status and the value of one signal.

pub mod files;
pub mod message;
pub mod variables;

use core::mem::offset_of;

pub use files::RecordingName;
pub use message::Message;
pub use variables::{OnOom, RunInode, Variable};

use crate::Header;

/// The exit status of a process that the library ends at a failed allocation ([`OnOom::Exit`]), as Fil's users know it.
pub const OOM_STATUS: i32 = 53;

/// The value of a SIGUSR2 that `fil-profile` passes on to a job: the report that it asks for is being written already.
pub const PASSED_ON: usize = 0x6669_6C70;

/// What the supervisor writes into a recording when it has measured which pages of the process are resident: these bytes at this
/// offset of the file. They set [`Header::measured_epoch`] to `oom_epoch`, the number of the failed allocation for which the process
/// waits. All other fields are the library's.
pub const fn measured(oom_epoch: u32) -> (u64, [u8; 4]) {
    (offset_of!(Header, measured_epoch) as u64, oom_epoch.to_le_bytes())
}
