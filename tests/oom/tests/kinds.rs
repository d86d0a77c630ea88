//! "Every kind of memory is counted as the kernel sees it: what was asked for, and what of it is there."

use oom::{HugePages, Job, MIB, announce, c_program_by};

/// Each with what it holds beside the victim's own numbers, in MiB by area of the ledger.
const CASES: &[(&str, &[(&str, u64)])] = &[
    ("malloc", &[]),
    ("untouched", &[]),
    ("calloc", &[]),
    ("reserved", &[]),
    ("committed", &[]),
    ("grown", &[]),
    ("moved", &[]),
    ("holes", &[]),
    ("mapped_over", &[]),
    ("given_back", &[]),
    ("removed", &[]),
    ("lazily_freed", &[]),
    ("dev_zero", &[]),
    ("memfd", &[("shared", 64)]),
    ("shm_open", &[("shared", 48)]),
    ("sysv", &[("shared", 56)]),
    ("sysv_detached", &[("shared", 0)]),
    ("huge", &[("anonymous", 18)]),
    ("huge_shared", &[("shared", 10)]),
    ("huge_file", &[("shared", 6)]),
    ("thp", &[]),
    ("file_shared", &[("files", 40)]),
    ("file_private", &[("files", 20)]),
    ("file_read", &[("files", 40)]),
    ("sbrk", &[("heap", 32)]),
    ("stacks", &[("stacks", 32)]),
];

/// At least so much of what is resident has a name.
const EXPLAINED: f64 = 0.95;

/// What a program has beside: its output's buffer, the loader's.
const BESIDE: u64 = MIB / 2;

#[test]
fn what_is_asked_for_and_what_is_there_are_both_known_of_every_kind_of_memory() {
    announce("| kind | asked | ours | off | touched | ours | off | explained |\n|---|---|---|---|---|---|---|---|");
    let huge_pages = HugePages::set_aside(8);
    for (case, areas) in CASES {
        if let (true, Err(why)) = (case.starts_with("huge"), &huge_pages) {
            announce(&format!("| {case} | not tried here: {why} | | | | | | |"));
            continue;
        }
        let mut running = Job::c("kinds_of_memory.c").arg(case).start();
        running.wait_for_stdout("}");
        // Such a short program may be there before the link is.
        running.wait_for_file("fil-result/latest");
        let seen = running.snapshot();
        std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
        let outcome = running.finish();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let truth = outcome.truths();
        let (asked, touched) = (truth["asked"], truth["touched"]);
        let off = |ours: u64, truth: u64| (ours as f64 - truth as f64) / MIB as f64;
        announce(&format!(
            "| {case} | {} MiB | {:.2} | {:+.2} | {} MiB | {:.2} | {:+.2} | {:.1} % |",
            asked / MIB,
            off(seen.held(), 0),
            off(seen.held(), asked),
            touched / MIB,
            off(seen.resident(), 0),
            off(seen.resident(), touched),
            seen.explained() * 100.0,
        ));
        assert!(
            seen.held().abs_diff(asked) <= BESIDE + asked / 100,
            "{case}: {seen:#?} {outcome}"
        );
        assert!(
            seen.resident().abs_diff(touched) <= BESIDE + touched / 50,
            "{case}: {seen:#?} {outcome}"
        );
        assert!(seen.explained() >= EXPLAINED, "{case}: {}", seen.report.ledger_table());
        for (area, mib) in *areas {
            let there = seen.area(area, "resident");
            assert!(
                there.abs_diff(mib * MIB) <= MIB + mib * MIB / 20,
                "{case}, {area}: {seen:#?} {outcome}"
            );
        }
        if *case == "lazily_freed" {
            assert!(seen.area("anonymous", "lazy") >= 39 * MIB, "{seen:#?}");
            assert!(seen.report.apart("lazily_freed") >= 39 * MIB, "{seen:#?}");
        }
        if *case == "thp"
            && std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
                .is_ok_and(|text| !text.contains("[never]"))
        {
            assert!(seen.huge() >= 60 * MIB, "{seen:#?}");
            assert!(seen.report.apart("transparent_huge") >= 60 * MIB, "{seen:#?}");
        }
    }
}

#[test]
fn a_program_that_takes_the_address_of_malloc_has_no_allocator_of_its_own() {
    let program = c_program_by("address_of_malloc.c", "cc", "fixed", &["-no-pie", "-fno-pie"]);
    let mut running = Job::words([program]).start();
    running.wait_for_stdout("}");
    running.wait_for_file("fil-result/latest");
    let seen = running.snapshot();
    std::fs::write(running.folder().join("go-on"), "").expect("the folder is writable");
    let outcome = running.finish();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(seen.held().abs_diff(32 * MIB) <= BESIDE + MIB, "{seen:#?} {outcome}");
    let ledger = seen.report.at("/ledger").to_string();
    assert!(!ledger.contains("that replaces malloc"), "{ledger}");
}
