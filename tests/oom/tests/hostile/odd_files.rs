//! Files of a run folder that are pipes, devices, folders, links or far too large.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;

use crate::place::{COMMANDS, Place, all};

/// What somebody can put into a run folder in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instead {
    Pipe,
    Device,
    Sparse,
    Folder,
    LinkToVictim,
}

fn put(what: Instead, path: &Path, place: &Place) {
    let _ = fs::remove_file(path);
    match what {
        Instead::Pipe => nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("it is ours"),
        Instead::Device => symlink("/dev/zero", path).expect("it is ours"),
        Instead::Sparse => File::create(path)
            .and_then(|file| file.set_len(3 << 30))
            .expect("sparse files can be made"),
        Instead::Folder => fs::create_dir(path).expect("it is ours"),
        Instead::LinkToVictim => symlink(place.victim().join("thesis.tex"), path).expect("it is ours"),
    }
}

#[test]
fn what_is_no_file_of_sensible_size_is_refused_at_once_and_the_job_starts() {
    let names = [
        "run.json",
        "lock",
        "timeline.csv",
        "unrecorded.json",
        "view.json",
        "1-0.recording",
        "1-0.measured",
        "profile.fil",
        "message-pipe",
        ".run.json.1.unfinished",
    ];
    use Instead::{Device, Folder, LinkToVictim, Pipe, Sparse};
    for what in [Pipe, Device, Sparse, Folder, LinkToVictim] {
        for is_own in [false, true] {
            let place = Place::new();
            if is_own {
                place.adopt(&[]);
            }
            for name in names
                .iter()
                .filter(|name| **name != "run.json" && !(is_own && **name == "lock"))
            {
                put(what, &place.run().join(name), &place);
            }
            let before = all(&place.victim());
            for command in COMMANDS {
                let ended = place.fil_profile(command);
                assert_eq!(all(&place.victim()), before, "{what:?}, {command:?}: {ended:?}");
                assert!(
                    command[2..].last() != Some(&"true") || ended.status == Some(0),
                    "{ended:?}"
                );
            }
        }
        let place = Place::new();
        put(what, &place.run().join("run.json"), &place);
        let before = all(&place.victim());
        for command in COMMANDS {
            let ended = place.fil_profile(command);
            assert_eq!(all(&place.victim()), before, "{what:?}, {command:?}: {ended:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_in_a_line() {
    for (what, why) in [
        (Instead::Pipe, "timeline.csv: not a regular file"),
        (Instead::Device, "timeline.csv: a link, which is not followed"),
        (Instead::Sparse, "timeline.csv: larger than"),
    ] {
        let place = Place::new();
        put(what, &place.run().join("timeline.csv"), &place);
        let ended = place.fil_profile(&["report", "shared"]);
        let lines = ended.said.lines().filter(|line| line.contains(why));
        assert_eq!(lines.count(), 1, "{what:?}: {ended:?}");
    }
}
