//! A real browser that uses report pages, driven by `browser/page.mjs`; its packages are kept below cargo's target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{announce, built, workspace};

/// What the script is made of.
const FILES: &[&str] = &["package.json", "page.mjs", "act.mjs", "speed.mjs"];

/// Uses each of these pages as a reader would, and panics with what was wrong. False, and a word on it, where there is no browser.
#[track_caller]
pub fn use_pages(pages: &[PathBuf]) -> bool {
    let Some(said) = run(&[], pages) else { return false };
    // One line for each page that has been gone through.
    assert_eq!(said.lines().count(), pages.len(), "{said}");
    true
}

/// How fast a page is, in a line; none, and a word on it, where there is no browser.
#[track_caller]
pub fn speed_of(page: &Path) -> Option<String> {
    run(&["--speed"], &[page.to_owned()])
}

#[track_caller]
fn run(options: &[&str], pages: &[PathBuf]) -> Option<String> {
    let folder = ready()?;
    let output = Command::new("node")
        .arg("page.mjs")
        .args(options)
        .args(pages)
        .current_dir(folder)
        .output()
        .expect("node can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    Some(said.into_owned())
}

/// The folder of the script, with all that it needs.
fn ready() -> Option<&'static Path> {
    static READY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        for program in ["node", "npm", "chromium"] {
            if !is_there(program) {
                announce(&format!("left out: pages in a real browser, for there is no {program}"));
                return None;
            }
        }
        let folder = built::target().join("browser");
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        for name in FILES {
            let file = workspace().join("tests/oom/browser").join(name);
            std::fs::copy(&file, folder.join(name)).expect("the script can be copied");
        }
        let wanted = std::fs::read_to_string(folder.join("package.json")).expect("just copied");
        // What the last installation was of, written when it was there.
        let installed = folder.join("installed.json");
        if !std::fs::read_to_string(&installed).is_ok_and(|last| last == wanted) {
            let mut install = Command::new("npm");
            install.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]);
            built::run(install.current_dir(&folder));
            std::fs::write(&installed, wanted).expect("the target folder is writable");
        }
        Some(folder)
    });
    ready.as_deref()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
