//! The one model: what one process held, or several together, by callstack and moment, and what is computed from that alone.
//!
//! ```text
//! recording::read, bundle::read, Join::finish ─▶ Profile ─▶ profile.at(moment).by(rank) ─▶ CallTree ─▶ charged lines, culprit, sites, pictures
//! ```

mod charge;
mod codes;
mod condense;
mod event;
mod facts;
mod growth;
mod holding;
mod join;
mod kinds;
pub mod measured;
mod model;
mod moment;
pub(crate) mod prune;
mod rank;
mod shown;
mod sites;
mod stored;
mod strings;
mod tally;
mod tree;

pub(crate) use charge::Charge;
pub(crate) use codes::table as table_code;
pub use event::Event;
pub use facts::{Facts, FailedAllocation, State};
pub use growth::Grown;
pub(crate) use holding::{Earlier, Holding};
pub(crate) use join::Join;
pub use kinds::{ByKind, KindBytes, Kinds};
pub use model::Profile;
pub(crate) use model::{ABOUT_THE_SAME, DAMAGED, Function, Node};
pub use moment::Moment;
pub use rank::Rank;
pub use sites::{CallSite, ChargedLine};
pub(crate) use stored::Tables;
pub(crate) use strings::{Interner, Strings};
pub use tally::{Growth, Tally, Weight};
pub use tree::{At, CallTree};
