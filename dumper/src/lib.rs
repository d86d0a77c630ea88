//! Reads recordings and writes reports: bytes in, files out.
//!
//! ```text
//! process::load   headers of all recordings ─▶ which process and moment is worth showing
//! Process::read   one Profile at a time ─▶ profile.at(moment).by(rank) ─▶ CallTree ─▶ folded stacks   (exact)
//!                                                └─ condensed ─▶ Drawing ─▶ SVG    (what is too small or too deep, folded)
//! report::write   pictures, index.html, report.json, lines for the log; report::FORMATS one of them, or another tool's format
//! bundle::write   all of a run in one file, which bundle::read makes processes of again
//! ```
//!
//! Damage in a recording is data, shown in every report; an error is only what leaves nothing to report.

#![forbid(unsafe_code)]

pub mod allocator;
mod bounded;
pub mod bundle;
pub mod damage;
pub mod error;
pub mod folder;
pub mod holders;
pub mod label;
pub mod ledger;
pub mod merge;
mod origin;
pub mod outcome;
pub(crate) mod outlet;
mod presentation;
pub mod process;
pub mod profile;
pub mod rank;
pub mod recording;
pub mod report;
pub mod run;
mod save;
mod source;
pub mod timeline;
pub mod trial;
pub mod units;
pub mod unrecorded;

pub use damage::Damage;
pub use error::{Error, ReadError};
pub use folder::Folder;
pub use outcome::Outcome;
pub use outlet::to_json_pretty;
pub use process::Process;
pub use profile::measured;
pub use profile::{CallTree, Facts, Moment, Profile, Rank};
pub use run::{Ending, Run};
pub use save::{keep, remove_unfinished, replace, save_as};
pub use source::{LocalSource, Sources};
pub use unrecorded::Unrecorded;
