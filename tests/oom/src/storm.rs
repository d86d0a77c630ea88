//! `scripts/kill-storm`: many jobs that the kernel kills, each checked for its report.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use crate::{announce, fil_profile, workspace};

/// What became of a storm of version 1 with these options; none, and a word on it, where no cgroup can be made.
pub fn storm(options: &[&str]) -> Option<String> {
    let hierarchy = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    if !geteuid().is_root() || !hierarchy.exists() {
        announce("left out: a storm of kills, for no memory cgroup of version 1 can be made here");
        return None;
    }
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(workspace().join("scripts/kill-storm"))
        .args(options);
    let output = command.arg("--fil-profile").arg(fil_profile()).output();
    let output = output.expect("python3 can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    Some(text)
}
