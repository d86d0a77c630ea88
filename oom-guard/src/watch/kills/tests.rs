//! Of which counters the kills of a job are made.

use crate::kernel::cgroup::{Level, Version};
use crate::verdict::evidence::{Change, Moved};

use super::*;

fn counted(version: Version, kills: Option<u64>, below: Option<u64>, machine: u64) -> Counted {
    let level = Level {
        version,
        folder: "/".into(),
        name: "/job".to_owned(),
    };
    let counters = |kills, kills_below| Counters {
        kills,
        kills_below,
        ..Counters::default()
    };
    Counted {
        levels: vec![Moved {
            level,
            limit: None,
            swap_limit: None,
            before: counters(kills.and(Some(0)), below.and(Some(0))),
            after: Some(counters(kills, below)),
        }],
        is_whole: true,
        machine_kills: Change {
            before: Some(0),
            after: Some(machine),
        },
    }
}

#[test]
fn kills_of_the_job_are_those_of_its_cgroups() {
    let inner = counted(Version::V1, Some(2), None, 9);
    let v1 = counted(Version::V1, Some(1), None, 9);
    assert_eq!(count(&v1, std::slice::from_ref(&inner), true), 3);
    // Version 2 has counted those below already, also in a cgroup that is gone.
    let v2 = counted(Version::V2, Some(1), Some(4), 9);
    assert_eq!(count(&v2, &[counted(Version::V2, Some(2), Some(2), 9)], true), 4);
    assert_eq!(count(&counted(Version::V2, Some(0), Some(0), 9), &[], true), 0);
}

#[test]
fn the_machines_counter_counts_where_there_is_no_other_and_memory_was_short() {
    let unseen = counted(Version::V1, None, None, 9);
    assert_eq!(count(&unseen, &[], true), 9);
    assert_eq!(count(&unseen, &[], false), 0);
}
