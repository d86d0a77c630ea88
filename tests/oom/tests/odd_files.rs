//! "What can be executed, and the status where something cannot, is what a shell has."

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use oom::{Job, Outcome};

/// Files that may be executed, each with an odd way to begin.
const FILES: &[(&str, &[u8])] = &[
    ("plain", b"#!/bin/sh\necho \"$0\" \"$1\"; exit 3\n"),
    ("a space", b"#!/bin/sh\necho \"$0\" \"$1\"; exit 3\n"),
    ("no interpreter", b"echo no interpreter \"$1\"; exit 4\n"),
    ("empty", b""),
    ("nothing named", b"#!\necho nothing named\n"),
    ("an argument", b"#! /bin/sh -e  \necho \"$1\"\nfalse\necho not here\n"),
    ("by env", b"#!/usr/bin/env -S sh -e\necho \"$1\"\n"),
    ("carriage returns", b"#!/bin/sh\r\necho here\r\n"),
    ("missing interpreter", b"#!/nonexistent/interpreter\n"),
    ("a folder as interpreter", b"#!/tmp\n"),
    ("a script as interpreter", b"#!/bin/../bin/sh\necho \"$1\"\n"),
    ("half a program", b"\x7fELF\x02\x01\x01 and no more"),
    ("binary", b"bin\0ary\n"),
    ("binary later", b"exit 5\nbin\0ary\n"),
];

fn seen(outcome: &Outcome) -> (Option<i32>, Option<i32>, String) {
    (outcome.status, outcome.signal, outcome.text())
}

/// Compares with what bash makes of it.
#[track_caller]
fn is_as_in_a_shell(path: &Path) {
    let job = Job::words([path.as_os_str(), "an argument".as_ref()]);
    let in_shell = job
        .clone()
        .unwatched()
        .launched_by(["bash", "-c", "\"$@\"", "bash"])
        .run();
    let watched = job.run();
    assert_eq!(
        seen(&watched),
        seen(&in_shell),
        "{}: {watched}\n{in_shell}",
        path.display()
    );
    if let Some(126 | 127) = watched.status
        && in_shell.text().is_empty()
    {
        // Why it cannot be executed, and in one case why it could not have been watched either.
        assert!((1..=2).contains(&watched.our_lines().len()), "{watched}");
    }
}

#[test]
fn scripts_and_programs_of_every_kind() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, bytes) in FILES {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("the folder is writable");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
        is_as_in_a_shell(&path);
    }
    // A program for another processor.
    let path = folder.path().join("another processor");
    let mut program = fs::read("/bin/true").expect("it is there");
    program[18] = 0xb7;
    fs::write(&path, program).expect("the folder is writable");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    is_as_in_a_shell(&path);
}

#[test]
fn files_that_cannot_be_reached_or_executed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("not executable.sh"), "#!/bin/sh\n").expect("the folder is writable");
    symlink("loop", path("loop")).expect("the folder is writable");
    symlink("/nonexistent", path("dangling")).expect("the folder is writable");
    fs::copy("/bin/true", path("unreadable")).expect("the folder is writable");
    fs::set_permissions(path("unreadable"), Permissions::from_mode(0o111)).expect("it is ours");
    for name in [
        "not executable.sh",
        "loop",
        "dangling",
        "unreadable",
        "missing",
        "dangling/below",
        "loop/below",
        "unreadable/below",
    ] {
        is_as_in_a_shell(&path(name));
    }
}
