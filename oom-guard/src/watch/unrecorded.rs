//! Finds out why a process of the job is not recorded.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use nix::unistd::Pid;

use crate::kernel::host::Host;
use crate::start::preloadable::{self, Watch};

/// The C library, by a part of its path. It is mapped after every library of LD_PRELOAD.
const C_LIBRARIES: [&str; 2] = ["/libc.so.", "/libc-2."];

/// Why the library with this file name is not loaded in a process: `Some(None)` if it is loaded, `None` if that cannot be known yet, or
/// no longer. With `may_be_loading`, the process may have executed its program just now.
pub fn find_reason(host: &Host, pid: Pid, library: &str, may_be_loading: bool) -> Option<Option<&'static str>> {
    let folder = host.of_process(pid, "");
    let maps = match File::open(folder.join("maps")) {
        Ok(maps) => BufReader::new(maps),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Some(Some("nobody but root may look at it, as at a setuid program"));
        }
        Err(_) => return None,
    };
    // The map of a large program has megabytes.
    let mut lines = maps.split(b'\n').map_while(Result::ok).peekable();
    lines.peek()?;
    let mut has_c_library = false;
    let is_loaded = lines.any(|line| {
        has_c_library |= C_LIBRARIES.iter().any(|name| contains(&line, name));
        contains(&line, library)
    });
    if may_be_loading && !is_loaded && !has_c_library {
        return None;
    }
    let why = match preloadable::watch(&folder.join("exe")) {
        Watch::Ignored(_) | Watch::Possible if is_loaded => return Some(None),
        Watch::Ignored(why) | Watch::Harmful(why) => why,
        Watch::Possible if !is_asked_for(&folder, library) => {
            "it was started with an environment of its own, without our LD_PRELOAD"
        }
        Watch::Possible => "the library is not loaded in it",
    };
    Some(Some(why))
}

/// Whether the environment that a process was started with names the library.
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
