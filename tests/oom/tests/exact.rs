//! "`--exact` records everything", to the byte, whichever function it came from.

use oom::{Job, MIB, Python, Report, place};

/// Everything that allocates and is interposed.
const FUNCTIONS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "mmap",
    "mremap",
];

/// From Python 3.10 on, pymalloc has a map of its arenas, which grows by this where they cross a multiple of 16 GiB: one run in
/// thousands, and on whichever line that happens.
const PIECE_OF_THE_ARENA_MAP: u64 = 128 << 10;

/// The program does not touch all that it asks for. Where that is limited, the peak is the moment at which the most was asked for.
const LIMIT: u64 = (64 << 10) * MIB;

/// The peak in the report, and what the program knows.
fn peak_of(function: &str, rounds: u32) -> (u64, u64) {
    let job = Job::c("exact_calls.c").arg(function).arg(rounds.to_string());
    let outcome = job.exact().limit_address_space(LIMIT).run();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    let report = Report::of(&outcome);
    assert_eq!(report.at("/damage"), &serde_json::json!([]), "{report}");
    let peak = report.number("/processes/0/peak_bytes");
    (peak.expect("a peak"), outcome.truth())
}

#[test]
fn every_function_of_the_c_library_is_counted_to_the_byte() {
    let (peak, truth) = peak_of("malloc", 0);
    // What the C library allocates for itself.
    let beside = peak - truth;
    for function in FUNCTIONS {
        let (peak, truth) = peak_of(function, 20_000);
        assert_eq!(peak - beside, truth, "{function}");
    }
}

#[test]
fn python_objects_of_every_kind_and_size_are_counted_to_the_byte() {
    Python::each(|python| {
        let job = Job::python(python, "exact_objects.py").exact();
        let outcome = job.limit_address_space(LIMIT).run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let lines = Report::of(&outcome).largest_of_lines("exact_objects.py");
        let truths = outcome.truths();
        assert_eq!(truths.len(), 21, "{truths:?}");
        let mut more = 0;
        for (kind, truth) in truths {
            let line = place("exact_objects.py", &kind).line;
            let held = lines
                .get(&line)
                .unwrap_or_else(|| panic!("nothing of {kind}: {outcome}"));
            let is_right = [truth, truth + PIECE_OF_THE_ARENA_MAP].contains(&held.bytes);
            assert!(
                is_right && held.variance == 0.0,
                "{kind} at line {line}: {held:?}, {truth} true"
            );
            more += u64::from(held.bytes != truth);
        }
        assert!(more <= 1, "{more} lines with a piece of the map: {outcome}");
    });
}
