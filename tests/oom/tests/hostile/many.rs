//! Very many entries and very long files: nobody has to wait for them.

use std::fs;
use std::time::{Duration, Instant};

use crate::place::{COMMANDS, Place};

#[test]
fn a_folder_with_very_many_entries_holds_nobody_up() {
    let place = Place::new();
    for number in 0..3000 {
        fs::create_dir(place.path("shared").join(format!("2025-01-01T{number:06}.000"))).expect("it is ours");
    }
    for number in 0..20_000 {
        let name = format!("{number}-0.recording");
        fs::hard_link(place.victim().join("thesis.tex"), place.run().join(name)).expect("it is ours");
    }
    for command in COMMANDS {
        let ended = place.fil_profile(command);
        assert!(
            ended.said.lines().count() < 100,
            "{command:?}: {} lines",
            ended.said.lines().count()
        );
    }
}

#[test]
fn folders_that_take_long_to_read_delay_no_job() {
    let place = Place::new();
    let words = vec!["\"\""; 2_700_000].join(",");
    let file = place.path("run.json");
    fs::write(&file, format!("{{\"is_copy\":true,\"command\":[{words}]}}")).expect("it is ours");
    for number in 0..100 {
        let run = place.path("shared").join(format!("2026-01-02T{number:06}.000"));
        fs::create_dir(&run).expect("it is ours");
        fs::hard_link(&file, run.join("run.json")).expect("it is ours");
        fs::write(run.join("lock"), "vm\nboot\n1\n1\nlocked\n").expect("it is ours");
    }
    let begin = Instant::now();
    let ended = place.fil_profile(COMMANDS[0]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}
