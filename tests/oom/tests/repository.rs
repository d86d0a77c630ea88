//! Rules of the repository that a reviewer would otherwise have to remember.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use oom::{fil_profile, preload, workspace};

/// The only files that may hold `unsafe`, each with a reason in its first lines. A new one is a decision.
const UNSAFE: &[&str] = &[
    "oom-guard/src/kernel/pagemap.rs",
    "oom-guard/src/kernel/process.rs",
    "oom-guard/src/kernel/stack.rs",
    "oom-guard/src/run/shared_state.rs",
    "oom-guard/src/run/pinned_pages.rs",
    "oom-guard/src/start/inherited.rs",
    "oom-guard/src/start/launch.rs",
    "oom-guard/src/start/fallback.rs",
    "oom-guard/src/terminal/local_time.rs",
    "preload/src/api.rs",
    "preload/src/arch/aarch64.rs",
    "preload/src/arch/x86_64.rs",
    "preload/src/array.rs",
    "preload/src/bus.rs",
    "preload/src/chunk.rs",
    "preload/src/emergency.rs",
    "preload/src/errno.rs",
    "preload/src/file.rs",
    "preload/src/header.rs",
    "preload/src/index.rs",
    "preload/src/interpose.rs",
    "preload/src/interpose_ends.rs",
    "preload/src/interpose_maps.rs",
    "preload/src/interpose_signals.rs",
    "preload/src/live/table.rs",
    "preload/src/lock.rs",
    "preload/src/mappings.rs",
    "preload/src/memory_file.rs",
    "preload/src/message_pipe.rs",
    "preload/src/objects.rs",
    "preload/src/python.rs",
    "preload/src/python/adopt.rs",
    "preload/src/python/allocator.rs",
    "preload/src/python/hidden.rs",
    "preload/src/python/memory.rs",
    "preload/src/real.rs",
    "preload/src/request.rs",
    "preload/src/sanitizer.rs",
    "preload/src/settings.rs",
    "preload/src/signal_mask.rs",
    "preload/src/shadow.rs",
    "preload/src/start.rs",
    "preload/src/stash.rs",
    "preload/src/sys.rs",
    "preload/src/sys/files.rs",
    "preload/src/sys/resident.rs",
    "preload/src/thread.rs",
    "preload/src/windows.rs",
];

/// What the library offers to the dynamic linker: each name replaces the C library's in every process of a job, but for those that
/// begin with ours, which the Python package calls.
const SYMBOLS: &[&str] = &[
    "_Exit",
    "__sysv_signal",
    "_exit",
    "aligned_alloc",
    "bsd_signal",
    "calloc",
    "dl_iterate_phdr",
    "fil_profile_close",
    "fil_profile_current_bytes",
    "fil_profile_is_recording",
    "fil_profile_mark",
    "fil_profile_open",
    "fil_profile_peak_bytes",
    "fil_profile_reset_peak",
    "fil_profile_version",
    "fil_profile_window_peak",
    "fil_profile_write",
    "fork",
    "free",
    "kill",
    "madvise",
    "malloc",
    "memalign",
    "mlock",
    "mlockall",
    "mmap",
    "mmap64",
    "mprotect",
    "mremap",
    "munmap",
    "posix_fallocate",
    "posix_fallocate64",
    "posix_memalign",
    "prctl",
    "prlimit",
    "prlimit64",
    "pthread_create",
    "pthread_sigmask",
    "pvalloc",
    "realloc",
    "reallocarray",
    "setrlimit",
    "setrlimit64",
    "shmat",
    "shmdt",
    "sigaction",
    "signal",
    "sigprocmask",
    "sigset",
    "ssignal",
    "sysv_signal",
    "valloc",
    "wait",
    "wait4",
    "waitpid",
    "write",
];

/// Every source file that is ours.
fn sources() -> Vec<PathBuf> {
    let output = Command::new("find")
        .args([
            "dumper",
            "cpython",
            "preload",
            "holders",
            "oom-guard",
            "tests",
            "-name",
            "*.rs",
        ])
        .current_dir(workspace())
        .output();
    let output = output.expect("find can be run").stdout;
    let names = String::from_utf8(output).expect("our names are ASCII");
    let files: Vec<_> = names.lines().map(PathBuf::from).collect();
    assert!(files.len() > 20, "that is not all of them: {files:?}");
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(workspace().join(path)).expect("sources are UTF-8")
}

/// The folders of `oom-guard/src`: each uses only those after it.
const ROOMS: [&str; 10] = [
    "commands", "run", "finish", "watch", "start", "options", "verdict", "folder", "kernel", "terminal",
];

#[test]
fn a_folder_of_the_program_uses_only_those_below_it() {
    let rank = |room: &str| ROOMS.iter().position(|known| *known == room);
    for path in sources() {
        let Ok(inside) = path.strip_prefix("oom-guard/src") else {
            continue;
        };
        let room = inside
            .iter()
            .next()
            .and_then(|first| first.to_str())
            .unwrap_or_default();
        let Some(own) = rank(room.trim_end_matches(".rs")).filter(|_| !path.ends_with("tests.rs")) else {
            continue;
        };
        let text = read(&path);
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for used in line.split("crate::").skip(1) {
                let used = used.split("::").next().unwrap_or_default();
                assert_ne!(
                    used.chars().next(),
                    Some('{'),
                    "one folder in each `use`: {}",
                    path.display()
                );
                let is_below = rank(used).is_none_or(|used| used >= own);
                assert!(is_below, "{} uses {used}, which is above it", path.display());
            }
        }
    }
}

/// What code names with `crate::` or `super::`, as paths of a crate in which the code is in the module `module`.
fn named_in(code: &str, module: &str) -> Vec<String> {
    /// `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
    fn expand(prefix: &str, rest: &str, found: &mut Vec<String>) -> usize {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let path = &rest[..end.unwrap_or(rest.len())];
        let path_to_group = [prefix, path].concat();
        if !rest[path.len()..].starts_with('{') {
            found.push(path_to_group);
            return path.len();
        }
        let mut at = path.len() + 1;
        while !rest[at..].starts_with('}') {
            at += match rest[at..].chars().next() {
                Some(c) if c == ',' || c.is_whitespace() => c.len_utf8(),
                Some(_) => expand(&path_to_group, &rest[at..], found).max(1),
                None => return at,
            };
        }
        at + 1
    }
    let mut found = Vec::new();
    let parent = module
        .rsplit_once("::")
        .map_or(String::new(), |(parent, _)| format!("{parent}::"));
    for (word, prefix) in [("crate::", ""), ("super::", parent.as_str())] {
        for (at, _) in code.match_indices(word) {
            expand(prefix, &code[at + word.len()..], &mut found);
        }
    }
    found
}

/// A folder and its root file count as a whole among themselves.
#[test]
fn no_file_of_the_library_needs_one_that_needs_it() {
    let files = sources().into_iter().filter(|path| path.starts_with("preload/src"));
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files.filter(|path| !path.ends_with("lib.rs")) {
        let inside = path
            .strip_prefix("preload/src")
            .expect("it is there")
            .with_extension("");
        let module = inside.to_str().expect("names are ASCII").replace('/', "::");
        let text = read(&path);
        // Tests need more.
        let code = text
            .split("\nmod tests {")
            .next()
            .and_then(|code| code.split("\npub mod tests {").next());
        let code = code.unwrap_or_default();
        let code: Vec<&str> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        needs.insert(module.clone(), BTreeSet::from_iter(named_in(&code.join("\n"), &module)));
    }
    let modules: Vec<String> = needs.keys().cloned().collect();
    for (module, named) in &mut needs {
        let of = |path: &String| {
            let is_of = |known: &&String| path == *known || path.starts_with(&format!("{known}::"));
            modules.iter().filter(is_of).max_by_key(|known| known.len()).cloned()
        };
        let is_within = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}::"));
        *named = named.iter().filter_map(of).collect();
        named.retain(|used| !is_within(used, module) && !is_within(module, used));
    }
    assert!(needs["start"].contains("python::adopt") && needs["state::presence"].contains("tally"));
    while let Some(ground) = needs
        .iter()
        .find(|(_, used)| used.is_empty())
        .map(|(module, _)| module.clone())
    {
        needs.remove(&ground);
        for used in needs.values_mut() {
            used.remove(&ground);
        }
    }
    assert!(needs.is_empty(), "a circle, and what needs one of it: {needs:#?}");
}

#[test]
fn unsafe_code_is_only_where_it_was_decided() {
    // Put together here, so that this file does not match itself.
    let expectation = ["expect(", "unsafe_code"].concat();
    let files = sources();
    // However it is broken into lines.
    let text = |path: &Path| read(path).split_whitespace().collect::<String>();
    let found = files.iter().filter(|path| text(path).contains(&expectation));
    let found: BTreeSet<&str> = found.filter_map(|path| path.to_str()).collect();
    assert_eq!(found, BTreeSet::from_iter(UNSAFE.iter().copied()));
}

#[test]
fn the_library_replaces_these_functions_and_no_others() {
    let output = Command::new("nm")
        .args(["-D", "--defined-only", "--format=posix"])
        .arg(preload())
        .output();
    let output = String::from_utf8(output.expect("nm can be run").stdout).expect("symbols are ASCII");
    let found: BTreeSet<&str> = output
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(found, BTreeSet::from_iter(SYMBOLS.iter().copied()));
}

/// A symbol without a version was in no library that the linker saw. A process that loads ours does not start where no other library has it
/// by chance.
#[test]
fn every_function_that_the_library_calls_is_in_a_library_that_it_names() {
    let output = Command::new("nm")
        .args(["-D", "--undefined-only"])
        .arg(preload())
        .output();
    let output = String::from_utf8(output.expect("nm can be run").stdout).expect("symbols are ASCII");
    let symbols = output.lines().filter_map(|line| line.trim().strip_prefix("U "));
    let (found, missing): (Vec<&str>, Vec<&str>) = symbols.partition(|symbol| symbol.contains('@'));
    assert!(found.iter().any(|symbol| symbol.starts_with("dlsym@")), "{output}");
    assert_eq!(missing, [""; 0], "{output}");
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for path in sources() {
        let lines = read(&path).lines().count();
        assert!(lines <= 500, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in sources() {
        let first = read(&path).lines().next().unwrap_or_default().to_owned();
        assert!(first.starts_with("//! "), "{} begins with {first:?}", path.display());
    }
}

#[test]
fn every_option_and_its_variable_are_in_the_page_of_options() {
    let page = read(Path::new("docs/options.md"));
    let output = Command::new(fil_profile()).arg("--help").output();
    let help = String::from_utf8(output.expect("it can be run").stdout).expect("help is UTF-8");
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
    let named = words.filter(|word| word.starts_with("--") && word.len() > 2 || word.starts_with("FIL_PROFILE_"));
    // The example of a job in the help has an argument of its own.
    let named: BTreeSet<&str> = named.filter(|word| *word != "--rows").collect();
    assert!(named.len() >= 8, "that is not all of them: {named:?}");
    for word in named {
        assert!(page.contains(word), "docs/options.md does not tell of {word}");
    }
    let readme = read(Path::new("README.md"));
    assert!(
        readme.contains("](docs/options.md)"),
        "README.md does not lead to the options"
    );
}

#[test]
fn the_readme_is_short() {
    let words = read(Path::new("README.md")).split_whitespace().count();
    assert!(words <= 1500, "README.md has {words} words: details belong into docs");
}

/// Every document for people, by its path in the repository.
fn documents() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(workspace().join("docs")).expect("docs is there");
    let pages = folder.map(|entry| Path::new("docs").join(entry.expect("docs can be listed").file_name()));
    let top = [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ];
    let found: Vec<_> = pages
        .chain(top.map(PathBuf::from))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(found.len() > 10, "that is not all of them: {found:?}");
    found
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_documents_lead_to_files_and_headings_that_are_there() {
    for document in documents() {
        let text = read(&document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.parent().expect("a file is in a folder");
            let path = match file {
                "" => document.clone(),
                file => folder.join(file),
            };
            assert!(
                workspace().join(&path).exists(),
                "{} leads to {target}",
                document.display()
            );
            let is_there = heading.is_empty() || anchors(&read(&path)).contains(heading);
            assert!(is_there, "{} leads to {target}", document.display());
        }
    }
}
