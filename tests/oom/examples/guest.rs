//! Runs a shell script in the virtual machine of the tests: `guest FOLDER SECONDS MEBIBYTES` runs `FOLDER/storm.sh` there, and what the
//! script has left in `/mnt/out` is copied to the folder. For `scripts/kill-storm --machine`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use oom::Boot;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [folder, seconds, mebibytes] = &arguments[..] else {
        panic!("usage: guest FOLDER SECONDS MEBIBYTES");
    };
    let folder = PathBuf::from(folder);
    let script = std::fs::read_to_string(folder.join("storm.sh")).expect("the script is there");
    let number = |text: &str| text.parse().expect("it is a number");
    let time = Duration::from_secs(number(seconds));
    let Some(boot) = Boot::run_for(&script, time, number(mebibytes)) else {
        std::process::exit(1);
    };
    let copied = Command::new("cp").arg("-rT").arg(boot.file(".")).arg(&folder).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "the files cannot be copied"
    );
}
