//! Is our library at work in a process, and if not, why?

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use nix::unistd::Pid;

use crate::kernel::elf::{self, Watch};
use crate::kernel::host::Host;

/// Why a process does not have the library of this file name, as far as can be told: `Some(None)` if it has it, `None` if that
/// cannot be known yet or any more.
pub fn look(host: &Host, pid: Pid, library: &str) -> Option<Option<&'static str>> {
    let folder = host.of_process(pid, "");
    let maps = match File::open(folder.join("maps")) {
        Ok(maps) => BufReader::new(maps),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Some(Some("nobody but root may look at it, as at a setuid program"));
        }
        Err(_) => return None,
    };
    // A large program has megabytes of it.
    let mut lines = maps.split(b'\n').map_while(Result::ok).peekable();
    lines.peek()?;
    let is_loaded = lines.any(|line| contains(&line, library));
    let why = match elf::watch(&folder.join("exe")) {
        Watch::Ignored(_) | Watch::Possible if is_loaded => return Some(None),
        Watch::Ignored(why) | Watch::Harmful(why) => why,
        Watch::Possible if !is_asked_for(&folder, library) => {
            "it was started with an environment of its own, without our LD_PRELOAD"
        }
        Watch::Possible => "the library is not loaded in it",
    };
    Some(Some(why))
}

/// Whether the environment that it was started with names the library.
fn is_asked_for(folder: &Path, library: &str) -> bool {
    let environment = File::open(folder.join("environ")).map(BufReader::new);
    let mut variables = environment
        .into_iter()
        .flat_map(|environment| environment.split(0).map_while(Result::ok));
    variables.any(|variable| variable.starts_with(b"LD_PRELOAD=") && contains(&variable, library))
}

fn contains(line: &[u8], name: &str) -> bool {
    line.windows(name.len().max(1)).any(|part| part == name.as_bytes())
}
