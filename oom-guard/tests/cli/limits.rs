//! Limits on memory: the job has the room that its user gave it, and ours on top of it.

use crate::place::{Outcome, Place};

const MIB: u64 = 1024;

/// What the job sees after `ulimit`: its limit in KiB, the stash that is wanted, and what there is room for in bytes.
fn seen(ulimit: &str, args: &[&str]) -> (u64, u64, Option<u64>) {
    let place = Place::with_library();
    let job = [
        "run",
        "sh",
        "-c",
        "ulimit -Sv; echo $FIL_PROFILE_STASH; echo $FIL_PROFILE_STASH_AT_MOST",
    ];
    let mut command = place.command_after(ulimit, &[args, &job].concat());
    let outcome = Outcome::of(command.output().unwrap());
    let mut lines = outcome.stdout.lines();
    let mut next = || lines.next().unwrap_or_else(|| panic!("{outcome:?}")).to_owned();
    (next().parse().unwrap(), next().parse().unwrap(), next().parse().ok())
}

#[test]
fn a_soft_limit_is_raised_by_what_we_use() {
    assert_eq!(seen("ulimit -Sv 300000", &[]), (300_000 + 20 * MIB, 16 << 20, None));
    assert_eq!(seen("ulimit -Sv 300000", &["--stash=0"]), (300_000 + 4 * MIB, 0, None));
}

#[test]
fn under_a_small_hard_limit_the_stash_is_small() {
    assert_eq!(seen("ulimit -v 65536", &[]), (65_536, 16 << 20, Some(4 << 20)));
}

#[test]
fn the_run_remembers_the_users_limit() {
    let place = Place::with_library();
    place
        .command_after("ulimit -Sv 300000", &["run", "true"])
        .output()
        .unwrap();
    let run = std::fs::read_to_string(place.run_folder().join("run.json")).unwrap();
    assert!(run.contains("\"address_space_limit\": 307200000"), "{run}");
}

#[test]
fn the_supervisor_lives_under_a_limit_of_a_hundred_megabytes() {
    let place = Place::with_library();
    let outcome = Outcome::of(
        place
            .command_after("ulimit -v 100000", &["run", "sh", "-c", "exit 7"])
            .output()
            .unwrap(),
    );
    assert_eq!(outcome.status, Some(7), "{outcome:?}");
}
