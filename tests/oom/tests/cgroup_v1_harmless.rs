//! "Not an OOM: page cache, untouched memory, a small container on a large host. Each ends as without us."

use oom::{Cgroup, Job, MIB, OnOom, Python, Report};

/// The job ends as without us in such a cgroup, under both policies, with no word about running out.
#[track_caller]
fn ends_as_without_us(limit: u64, arguments: &[&str]) {
    for policy in [OnOom::Report, OnOom::Exit] {
        let Some(cgroup) = Cgroup::limited(limit) else { return };
        let job = Job::python(Python::any(), "lives_within.py").on_oom(policy);
        let job = arguments.iter().fold(job, |job, argument| job.arg(argument));
        let alone = job.clone().unwatched().within(&cgroup).run();
        assert_eq!(alone.status, Some(6), "the victim itself fails: {alone}");
        let outcome = job.within(&cgroup).run();
        assert_eq!(
            (outcome.status, outcome.signal),
            (alone.status, alone.signal),
            "{policy:?}: {outcome}"
        );
        assert_eq!(outcome.text(), alone.text(), "{outcome}");
        assert!(!outcome.has("out-of-memory.svg"), "{outcome}");
        assert!(!outcome.stderr.contains("killed by"), "{policy:?}: {outcome}");
        assert_eq!(Report::of(&outcome).kind(), "exited_non_zero", "{outcome}");
        assert_eq!(cgroup.kills(), 0, "{outcome}");
    }
}

#[test]
fn reading_a_file_larger_than_the_limit() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.as_file().set_len(300 * MIB).expect("it can be sparse");
    let path = file.path().to_str().expect("temporary folders have plain names");
    ends_as_without_us(100 * MIB, &["cache", path]);
}

#[test]
fn untouched_memory_beyond_the_limit() {
    ends_as_without_us(100 * MIB, &["untouched"]);
}

/// What is touched of it, and how fast, is no reason as long as it stays within the limit.
#[test]
fn untouched_memory_beyond_the_limit_beside_quick_growth_within_it() {
    ends_as_without_us(300 * MIB, &["sparse"]);
}

#[test]
fn a_modest_job_under_a_small_limit() {
    ends_as_without_us(64 * MIB, &["little"]);
}
