//! One file for each command other than `run`, and what they share: which run is meant, and where a report of it may go.

pub mod diff;
pub mod elsewhere;
pub mod export;
pub mod inspect;
pub mod licence;
pub mod ls;
pub mod manual;
pub mod merge;
pub mod report;
pub mod snapshot;
pub mod subject;
