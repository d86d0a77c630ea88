//! The phases that the job has named, and the most that it held in each.

use std::cmp::Reverse;

use super::chart;
use crate::report::account::Account;
use crate::units::{Bytes, Seconds, Share};
use recording::EventKind;

/// Phases that are listed.
const LISTED: usize = 100;

pub(super) struct PhaseRow {
    /// Since the job's start.
    pub(super) began: String,
    pub(super) pid: u32,
    pub(super) peak: String,
    /// Width of its bar, of 100.
    pub(super) percent: u64,
    pub(super) times: String,
    pub(super) name: String,
}

/// Of the processes that are listed, in the order of their beginning; of too many, those that held the most.
pub(super) fn phases(account: &Account) -> Vec<PhaseRow> {
    let began = chart::began(account).unwrap_or(0);
    let marks = account.listed.iter().flat_map(|listed| {
        let events = listed.facts.events.iter();
        let marks = events.filter(|event| event.kind == Some(EventKind::Mark));
        marks.map(|event| (listed.facts.pid, event))
    });
    let mut marks: Vec<_> = marks.collect();
    marks.sort_by_key(|(_, event)| Reverse(event.bytes));
    marks.truncate(LISTED);
    let highest = marks.first().map_or(0, |(_, event)| event.bytes);
    marks.sort_by_key(|(_, event)| event.time_ns);
    let rows = marks.into_iter().map(|(pid, event)| PhaseRow {
        began: Seconds(event.time_ns.saturating_sub(began) as f64 / 1e9).to_string(),
        pid,
        peak: Bytes(event.bytes).to_string(),
        percent: (Share::of(event.bytes, highest).fraction() * 100.0).round() as u64,
        times: match event.repeats {
            0 | 1 => String::new(),
            repeats => format!("{repeats} times"),
        },
        name: event.name.clone(),
    });
    rows.collect()
}
