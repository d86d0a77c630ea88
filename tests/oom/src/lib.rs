//! Harness for jobs that really run out of memory: `Job::python(&python, "victim.py").limit_address_space(300 * MIB).run()`.
//!
//! A victim is a tiny program in `victims/`, named for its way to run out. The line that a report has to name carries a
//! marker at its end (`# HERE`), and the victim itself says on stdout how much it holds: that is the truth that the
//! report is compared with.

mod browser;
mod built;
mod callgrind;
mod cgroup;
mod chance;
mod consumers;
mod container;
mod disk;
mod document;
mod folded;
mod footprint;
mod huge_pages;
mod job;
mod machine;
mod measured;
mod outcome;
mod processes;
mod python;
mod report;
mod running;
mod slurm;
mod spread;
mod storm;
mod svg;
mod truth;
mod venv;
mod victim;

pub use browser::{speed_of, use_pages};
pub use built::{built_by, c_library, c_program, c_program_by, fil_profile, is_on_path, preload, workspace};
pub use cgroup::Cgroup;
pub use chance::Chance;
pub use consumers::{go_pprof, read_by, read_by_schema};
pub use container::{Contained, Container};
pub use disk::Disk;
pub use document::example;
pub use folded::{Folded, Frame, Stack};
pub use footprint::Footprint;
pub use huge_pages::HugePages;
pub use job::{Job, OnOom};
pub use machine::Boot;
pub use measured::Snapshot;
pub use outcome::Outcome;
pub use processes::children;
pub use python::{NOBODY_WAITS, Python};
pub use report::Report;
pub use running::Running;
pub use slurm::{Slurm, with_path};
pub use spread::Spread;
pub use storm::storm;
pub use svg::Svg;
pub use truth::Held;
pub use venv::{
    allocators_python, dask_python, gunicorn_python, joblib_python, memray_python, nuitka_python, numpy_python,
    package_python, pandas_python, torch_python, wheel,
};
pub use victim::{Place, place, victim};

/// Bytes of a mebibyte.
pub const MIB: u64 = 1 << 20;
/// Bytes of a gibibyte.
pub const GIB: u64 = 1 << 30;

/// Asserts that `measured` is within `percent` of `truth`.
#[track_caller]
pub fn assert_close(measured: u64, truth: u64, percent: f64, what: &dyn std::fmt::Display) {
    let off = (measured as f64 - truth as f64).abs() / truth.max(1) as f64 * 100.0;
    assert!(
        off <= percent,
        "{measured} bytes reported, {truth} true: {off:.2} % off, {percent} % allowed\n{what}"
    );
}

/// Says on the terminal, past libtest's capture, what a test found or why it does less than it could.
pub fn announce(line: &str) {
    use std::io::Write;
    // A closed terminal is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "{line}");
}
