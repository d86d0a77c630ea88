//! What the tests run: the release program with its library, and the C victims, each built once per test binary.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, OnceLock};

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the workspace is two folders up")
}

/// The program `fil-profile`, release build.
pub fn fil_profile() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| release().join("fil-profile"));
    &PROGRAM
}

/// `libpreload.so`, release build, beside the program.
pub fn preload() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| release().join("libpreload.so"));
    &LIBRARY
}

/// A C victim as a program.
pub fn c_program(source: &str) -> PathBuf {
    compile("cc", source, &source.replace(".c", ""), &[])
}

/// A C victim as a shared object, for `ctypes`.
pub fn c_library(source: &str) -> PathBuf {
    compile("cc", source, &source.replace(".c", ".so"), &["-shared", "-fPIC"])
}

/// A C victim as a program by another compiler or with other flags; its file gets a name of its own.
pub fn c_program_by(source: &str, compiler: &str, name: &str, flags: &[&str]) -> PathBuf {
    compile(compiler, source, &source.replace(".c", &format!("-{name}")), flags)
}

/// A victim as a shared object, by a compiler that may not be there.
pub fn built_by(compiler: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    if !is_on_path(compiler) {
        return None;
    }
    let folder = target().join("victims");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let path = folder.join(format!("{source}.so"));
    let fresh = folder.join(format!("{source}.{}.so", std::process::id()));
    let mut command = Command::new(compiler);
    // A Fortran module leaves a file where it is compiled.
    command
        .args(["-O1", "-g", "-shared", "-fPIC", "-pthread"])
        .current_dir(&folder);
    run(command.args(flags).arg("-o").arg(&fresh).arg(crate::victim(source)));
    std::fs::rename(&fresh, &path).expect("the victim can be renamed");
    Some(path)
}

/// A folder of our own below cargo's target folder: a build by hand in the meantime does not change what is tested.
pub(crate) fn target() -> &'static Path {
    static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().expect("the test binary has a path");
        // Cargo marks the folder only if it makes it itself; else it is the one of target/debug/deps/TEST.
        let root = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
        let root = root.or_else(|| test.ancestors().nth(3));
        root.expect("the test binary lies below cargo's target folder")
            .join("oom")
    });
    &TARGET
}

/// As the wheel has them and where `python/wheel/backend.py` puts them, so that one build serves both.
fn release() -> &'static Path {
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let folder = target().join("wheel");
        let mut build = Command::new(cargo);
        build.args(["build", "--release", "-p", "preload", "-p", "oom-guard", "--target-dir"]);
        build.arg(&folder).env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
        run(build.current_dir(workspace()));
        folder.join("release")
    })
}

/// Compiles into a name of this process first: another test binary may be running the finished file.
fn compile(compiler: &str, source: &str, name: &str, flags: &[&str]) -> PathBuf {
    static DONE: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut done = DONE.lock().expect("no compile panicked");
    if let Some(path) = done.get(name) {
        return path.clone();
    }
    let folder = target().join("victims");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let fresh = folder.join(format!("{name}.{}", std::process::id()));
    let mut cc = Command::new(compiler);
    // -fno-builtin: an unused malloc must not be optimized away.
    cc.args([
        "-std=gnu11",
        "-Wall",
        "-Werror",
        "-O1",
        "-g",
        "-fno-builtin",
        "-pthread",
    ]);
    run(cc.args(flags).arg("-o").arg(&fresh).arg(crate::victim(source)));
    let path = folder.join(name);
    std::fs::rename(&fresh, &path).expect("the victim can be renamed");
    done.insert(name.to_owned(), path.clone());
    path
}

/// Runs a tool that must succeed, and returns its stdout.
pub(crate) fn run(command: &mut Command) -> String {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", Path::new(OsStr::new(&program)).display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether there is such a program.
pub fn is_on_path(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}
