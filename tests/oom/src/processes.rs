//! Who is whose child, read from /proc.

use nix::unistd::Pid;

/// The children of a process, of all its threads.
pub fn children(pid: Pid) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let mut pids = Vec::new();
    for list in lists {
        pids.extend(
            list.split_whitespace()
                .filter_map(|word| word.parse().ok())
                .map(Pid::from_raw),
        );
    }
    pids
}

/// Children, their children, and so on.
pub fn descendants(pid: Pid) -> Vec<Pid> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid));
        next += 1;
    }
    found
}
