//! Memory over time: what the chart draws, and what it says in words.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use crate::outcome::LimitKind;
use crate::process::Process;
use crate::report::account::Account;
use crate::report::words;
use crate::run::nanoseconds;
use crate::timeline::{MOST_PROCESSES, Sample};
use crate::units::{Bytes, Seconds};
use recording::EventKind;

/// The most marks that are shown: more could not be told apart.
const MARKS: usize = 100;
/// What the lines of the largest processes look like.
const PROCESSES: [&str; MOST_PROCESSES] = ["process-1", "process-2", "process-3", "process-4", "process-5"];

/// The lines of the chart, all with one value for each time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Chart {
    /// Since the job's start.
    pub(super) seconds: Vec<f64>,
    pub(super) series: Vec<Series>,
    pub(super) marks: Vec<Mark>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    /// What it looks like.
    pub(super) class: &'static str,
    pub(super) bytes: Vec<Option<u64>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Mark {
    pub(super) seconds: f64,
    pub(super) what: String,
}

/// When the job began, in nanoseconds since the Unix epoch; where that is not known, when its first recording did.
pub(super) fn began(account: &Account) -> Option<u64> {
    let started = nanoseconds(&account.run.started);
    started.or_else(|| account.processes.iter().map(|process| process.facts.started_ns).min())
}

impl Chart {
    /// None where there are not two samples to draw a line between.
    pub(super) fn of(account: &Account) -> Option<Chart> {
        let timeline = account.timeline;
        let alive = timeline.iter().rposition(|sample| sample.resident_bytes > 0)?;
        // When the last sample was taken, the job may have been gone.
        let timeline = &timeline[..=alive];
        if timeline.len() < 2 {
            return None;
        }
        let line = |name: &str, class, bytes: fn(&Sample) -> Option<u64>| Series {
            name: name.to_owned(),
            class,
            bytes: timeline.iter().map(bytes).collect(),
        };
        let series = [
            limit(account, timeline),
            line("in use in the cgroup", "cgroup", |sample| sample.cgroup_bytes),
            line("resident", "resident", |sample| Some(sample.resident_bytes)),
            line("tracked by fil-profile", "tracked", |sample| Some(sample.tracked_bytes)),
        ];
        Some(Chart {
            seconds: timeline.iter().map(|sample| sample.seconds).collect(),
            series: series
                .into_iter()
                .chain(processes(account, timeline))
                .filter(|series| series.bytes.iter().any(Option::is_some))
                .collect(),
            marks: marks(account, timeline),
        })
    }

    /// Whether more is resident than the cgroup has in use.
    fn shares_pages(&self) -> bool {
        let of = |class| self.series.iter().find(|series| series.class == class);
        let (Some(resident), Some(cgroup)) = (of("resident"), of("cgroup")) else {
            return false;
        };
        let mut pairs = resident.bytes.iter().zip(&cgroup.bytes);
        pairs.any(|(resident, cgroup)| cgroup.is_some() && resident > cgroup)
    }

    /// The same for those who cannot see it.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        for series in self.series.iter().filter(|series| series.class != "limit") {
            let values = series.bytes.iter().zip(&self.seconds);
            let known = values.filter_map(|(bytes, seconds)| Some(((*bytes)?, *seconds)));
            if let Some((bytes, seconds)) = known.max_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))) {
                words.push(format!(
                    "{}: at most {} after {}",
                    series.name,
                    Bytes(bytes),
                    Seconds(seconds)
                ));
            }
        }
        let limit = self.series.iter().find(|series| series.class == "limit");
        if let Some(bytes) = limit.and_then(|limit| limit.bytes.iter().flatten().last()) {
            words.push(format!("limit: {}", Bytes(*bytes)));
        }
        let words = words.join("; ") + ".";
        match self.shares_pages() {
            true => words + " Pages that processes share are counted as resident in each of them.",
            false => words,
        }
    }
}

/// What was resident in the processes that ever had the most, the largest first.
fn processes(account: &Account, timeline: &[Sample]) -> Vec<Series> {
    let mut highest: HashMap<u32, u64> = HashMap::new();
    for share in timeline.iter().flat_map(|sample| &sample.processes) {
        let known = highest.entry(share.pid).or_default();
        *known = share.resident_bytes.max(*known);
    }
    let mut largest: Vec<(u32, u64)> = highest.into_iter().collect();
    largest.sort_unstable_by_key(|(pid, bytes)| (Reverse(*bytes), *pid));
    let name = |pid| {
        let known = account.processes.iter().rfind(|process| process.facts.pid == pid);
        known.map_or_else(|| format!("process {pid}"), Process::who)
    };
    let lines = largest.into_iter().zip(PROCESSES).map(|((pid, _), class)| Series {
        name: name(pid),
        class,
        bytes: timeline
            .iter()
            .map(|sample| {
                let share = sample.processes.iter().find(|share| share.pid == pid)?;
                Some(share.resident_bytes)
            })
            .collect(),
    });
    lines.collect()
}

/// The limit that was hit, if it is the process's own; else the one that was the nearest, as it was sampled.
fn limit(account: &Account, timeline: &[Sample]) -> Series {
    let hit = account.judged().and_then(|outcome| outcome.limit.as_ref());
    let own = hit.filter(|limit| limit.kind.counts_addresses());
    Series {
        name: match own.map(|limit| limit.kind) {
            Some(LimitKind::AddressSpace) => "limit (ulimit -v)",
            Some(_) => "limit (ulimit -d)",
            None => "limit",
        }
        .to_owned(),
        class: "limit",
        bytes: timeline
            .iter()
            .map(|sample| own.map(|limit| limit.bytes).or(sample.limit_bytes))
            .collect(),
    }
}

/// What the supervisor marked, failed allocations, the peak, and the end.
fn marks(account: &Account, timeline: &[Sample]) -> Vec<Mark> {
    let marked = timeline.iter().filter_map(|sample| {
        Some(Mark {
            seconds: sample.seconds,
            what: sample.mark.clone()?,
        })
    });
    let mut marks: Vec<Mark> = marked.take(MARKS / 2).collect();
    let is_failure_marked = marks.iter().any(|mark| mark.what.contains("allocation failed"));
    if let Some(begin) = began(account) {
        let since = |time_ns: u64| time_ns.saturating_sub(begin) as f64 / 1e9;
        if let Some(peak) = &account.peak {
            marks.push(Mark {
                seconds: since(peak.facts().peak_time_ns),
                what: format!("peak of process {}: {}", peak.facts().pid, peak.held()),
            });
        }
        let events = account
            .listed
            .iter()
            .flat_map(|listed| listed.facts.events.iter().zip(&listed.events));
        let failures =
            events.filter(|(event, _)| event.kind == Some(EventKind::AllocationFailed) && !is_failure_marked);
        marks.extend(failures.take(MARKS / 4).map(|(event, what)| Mark {
            seconds: since(event.time_ns),
            what: what.clone(),
        }));
    }
    if let Some(ending) = &account.run.ending {
        marks.push(Mark {
            seconds: ending.seconds,
            what: words::ending(account.run),
        });
    }
    marks.retain(|mark| mark.seconds.is_finite());
    marks.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    marks
}
