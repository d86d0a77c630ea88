//! Everything that is built into the program or the library is named by `--license`.

use std::process::Command;

use crate::place::Place;

const OURS: [&str; 6] = ["oom-guard", "preload", "dumper", "cpython", "holders", "recording"];

#[test]
fn every_crate_is_named_with_its_licence() {
    let text = Place::without_library().run(&["--license"]).stdout;
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "-p",
        "oom-guard",
        "-p",
        "preload",
        "--edges=normal",
        "--target=x86_64-unknown-linux-gnu",
    ]);
    tree.args([
        "--prefix=none",
        "--format={p}|{l}",
        "--no-dedupe",
        "--locked",
        "--offline",
    ]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<_> = lines.lines().filter_map(|line| line.split_once('|')).collect();
    assert!(crates.len() > 50, "{lines}");
    for (package, licence) in crates {
        let name = package.split(' ').next().unwrap();
        let entry = format!("* {name} ({})", licence.replace('/', " OR "));
        assert!(
            OURS.contains(&name) || text.contains(&entry),
            "run scripts/licences: {entry} is missing"
        );
    }
}

#[test]
fn our_own_licences_are_printed() {
    let text = Place::without_library().run(&["--license"]).stdout;
    for licence in [
        include_str!("../../../LICENSE-MIT"),
        include_str!("../../../LICENSE-APACHE"),
    ] {
        assert!(text.contains(licence));
    }
}
