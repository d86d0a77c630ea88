//! What might help, in plain words: said only where the evidence allows it.
//!
//! Each hint is a pure function from what was observed to a hint or nothing. A hint states what it is made from.

mod requests;
mod sites;
mod surroundings;

use crate::outcome::Outcome;
use crate::profile::{FailedAllocation, Moment};
use crate::timeline::Sample;

use super::page::view::{ListedSite, View};

/// What was observed, and what one could do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    /// What was seen, with its numbers.
    pub(super) seen: String,
    /// What may be done about it, or what it is not worth looking for.
    pub(super) advice: String,
}

/// What hints are made from.
#[derive(Clone, Copy, Default)]
pub(super) struct Clues<'a> {
    /// The verdict, once there is one.
    pub(super) outcome: Option<&'a Outcome>,
    /// The allocation that failed at the moment shown.
    pub(super) failure: Option<&'a FailedAllocation>,
    /// The call sites at that moment, and what they hold together with what was inherited.
    pub(super) sites: &'a [ListedSite],
    pub(super) total: u64,
    /// How long the process had run when they were compared with, in seconds; of several the least and the most.
    pub(super) since: Option<(f64, f64)>,
    pub(super) timeline: &'a [Sample],
    /// What each process that still ran at that moment held.
    pub(super) running: &'a [u64],
}

impl<'a> Clues<'a> {
    /// The clues of one view.
    pub(super) fn of(view: &'a View, outcome: Option<&'a Outcome>, timeline: &'a [Sample], running: &'a [u64]) -> Self {
        let is_about_failure = view.moment == Moment::OutOfMemory;
        Clues {
            outcome,
            failure: view.facts.failure.as_ref().filter(|_| is_about_failure),
            sites: &view.sites,
            total: view.weight.requested.bytes.saturating_add(view.facts.inherited_bytes),
            since: view.growth_since,
            timeline,
            running,
        }
    }
}

/// All that can be said, what is the most to the point first.
pub(super) fn hints(clues: &Clues) -> Vec<Hint> {
    let hints = [
        requests::is_larger_than_the_limit(clues),
        requests::is_a_copy(clues),
        requests::is_for_a_thread(clues),
        surroundings::limit_is_on_addresses(clues),
        sites::grows(clues),
        surroundings::a_child_died(clues),
        surroundings::many_alike(clues),
        surroundings::others_hold_more(clues),
        surroundings::page_cache_is_not_it(clues),
        sites::many_small(clues),
        sites::hardly_touched(clues),
        surroundings::freed_but_kept(clues),
    ];
    hints.into_iter().flatten().collect()
}
