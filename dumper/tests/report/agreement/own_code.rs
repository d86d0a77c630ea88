//! Of runs of which the question is whose code holds what: imports, libraries, functions that were sent to another process.

use super::*;

/// Adds what three lines import, 220 MiB in all.
fn imports(job: &mut Builder) {
    let import = |line, name| (IMPORT, line, name);
    for (line, mib) in [(1027, 30), (688, 40)] {
        let node = job.stack(&[
            (SCRIPT, 1, "<module>"),
            import(1007, "_find_and_load"),
            import(line, "_load"),
        ]);
        job.holds(node, mib * MIB);
    }
    let node = job.stack(&[
        (SCRIPT, 2, "<module>"),
        import(1007, "_find_and_load"),
        ("/venv/lib/python3.11/site-packages/pandas/__init__.py", 4, "<module>"),
        import(1007, "_find_and_load"),
        import(241, "_call"),
    ]);
    job.holds(node, 150 * MIB);
}

const IMPORTS: Site = Site {
    place: "[importing modules]",
    bytes: 220 * MIB,
    callers: &[("job.py:2 (<module>)", 150), ("job.py:1 (<module>)", 70)],
};

#[test]
fn of_a_run_of_which_most_is_imports() {
    let mut job = plain(1);
    imports(&mut job);
    // A module of the user's own is imported, too, and what it makes is a line of its own.
    let module = job.stack(&[
        (SCRIPT, 3, "<module>"),
        (IMPORT, 1007, "_find_and_load"),
        ("tables.py", 8, "<module>"),
        (LIBRARY, 5, "ones"),
    ]);
    job.holds(module, 80 * MIB);
    let truth = Truth {
        place: "tables.py:8 (<module>)",
        bytes: 80 * MIB,
        total: 400 * MIB,
        site: IMPORTS,
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}

#[test]
fn of_a_run_of_which_nearly_all_is_imports() {
    let mut job = Builder::new(1, &["python3", SCRIPT]);
    imports(&mut job);
    let node = job.stack(&[(SCRIPT, 12, "index")]);
    job.holds(node, 30 * MIB);
    let truth = Truth {
        place: IMPORTS.place,
        inside: Some("from job.py:2 (<module>) and 1 more"),
        bytes: IMPORTS.bytes,
        total: 250 * MIB,
        site: IMPORTS,
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}

#[test]
fn of_a_run_without_a_line_of_the_users_own() {
    let mut job = Builder::new(1, &["python3", "-m", "numpy.bench"]);
    let runpy = ("<frozen runpy>", 198, "_run_module_as_main");
    let import = job.stack(&[runpy, (IMPORT, 1007, "_find_and_load"), (LIBRARY, 1, "<module>")]);
    job.holds(import, 20 * MIB);
    let node = job.stack(&[runpy, (LIBRARY, 9, "bench")]);
    job.holds(node, 80 * MIB);
    Case::simple(job).check(&alone("numpy/core.py:9 (bench)", 80 * MIB, 100 * MIB));
}

#[test]
fn of_a_function_that_was_sent_to_another_process() {
    let mut job = Builder::new(
        1,
        &[
            "python3",
            "-c",
            "from multiprocessing.spawn import spawn_main; spawn_main()",
        ],
    );
    let spawn = [
        ("<string>", 1, "<module>"),
        ("/usr/lib/python3.11/multiprocessing/spawn.py", 122, "spawn_main"),
    ];
    let sent = [("/home/ada/send.py", 8, "heavy"), (LIBRARY, 5, "ones")];
    let node = job.stack(&[&spawn[..], &sent].concat());
    job.holds(node, 70 * MIB);
    let unpickled = job.stack(&[&spawn[..], &[("/usr/lib/python3.11/pickle.py", 1, "load")]].concat());
    job.holds(unpickled, 30 * MIB);
    let truth = Truth {
        place: "/home/ada/send.py:8 (heavy)",
        bytes: 70 * MIB,
        site: Site {
            bytes: 70 * MIB,
            callers: &[("/home/ada/send.py:8 (heavy)", 70)],
            ..PLAIN.site
        },
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}

/// What has lost its file's name, and names with the characters that tables and folded stacks are made of.
#[test]
fn of_a_function_without_a_files_name_and_one_with_odd_names() {
    let mut job = Builder::new(1, &["python3", "-c", "import worker"]);
    let stack = [("<string>", 1, "<module>"), ("", 8, "heavy"), (LIBRARY, 5, "ones")];
    let node = job.stack(&stack);
    job.holds(node, 60 * MIB);
    let node = job.stack(&[
        ("<string>", 1, "<module>"),
        ("a;b, \"c\".py", 3, "f;g"),
        (LIBRARY, 5, "ones"),
    ]);
    job.holds(node, 40 * MIB);
    let truth = Truth {
        place: "[no file]:8 (heavy)",
        bytes: 60 * MIB,
        site: Site {
            bytes: 100 * MIB,
            callers: &[("[no file]:8 (heavy)", 60), ("a;b, \"c\".py:3 (f;g)", 40)],
            ..PLAIN.site
        },
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}

/// Of what imports have asked for, little is in memory.
#[test]
fn of_a_killed_run_that_imports_what_it_never_touches() {
    let (mut job, _) = reserved(1);
    imports(&mut job);
    let pages = |bytes, resident| Pages {
        bytes: bytes * MIB,
        resident: resident * MIB,
        ..Pages::default()
    };
    // The sites of what was reserved, of what was filled, and of three imports.
    let sites = [(1, 1000, 50), (3, 30, 5), (4, 40, 5), (5, 150, 10)];
    let sites = sites.map(|(site, bytes, resident)| SitePages {
        site,
        pages: pages(bytes, resident),
        ..SitePages::default()
    });
    let measured = Measured {
        live_bytes: 1320 * MIB,
        blocks: [(recording::Kind::Mapping as u32, pages(1220, 70))].into(),
        sites: sites.to_vec(),
        ..Measured::default()
    };
    let mut measurements = Measurements::default();
    measurements.add(measured, false);
    let case = Case::new(Kind::OomKilledByCgroup, Some(limit(180)), vec![(job, measurements)]);
    let run = Run {
        rank: Some(Rank::Resident),
        ..case.run.clone()
    };
    let truth = Truth {
        is_by_resident: true,
        ..alone("job.py:2 (fill)", 100 * MIB, 170 * MIB)
    };
    check(&run, &case.processes(), &truth);
    // By what was asked for, they are still less than what a line has reserved.
    let run = Run {
        rank: Some(Rank::Requested),
        ..case.run.clone()
    };
    check(
        &run,
        &case.processes(),
        &alone("job.py:1 (reserve)", 1000 * MIB, 1320 * MIB),
    );
}

#[test]
fn of_a_run_in_which_no_line_stands_out() {
    let mut job = Builder::new(1, &["python3", SCRIPT]);
    for line in 1..=20u32 {
        let node = job.stack(&[(SCRIPT, line, "load"), (LIBRARY, 5, "ones")]);
        job.holds(node, (if line == 7 { 9 } else { 7 }) * MIB);
    }
    let callers: Vec<(String, u64)> = [7]
        .into_iter()
        .chain((1..=20).filter(|line| *line != 7))
        .map(|line| (format!("job.py:{line} (load)"), if line == 7 { 9 } else { 7 }))
        .collect();
    let callers: Vec<(&'static str, u64)> = callers.into_iter().map(|(place, mib)| (&*place.leak(), mib)).collect();
    let truth = Truth {
        bytes: 9 * MIB,
        total: 142 * MIB,
        site: Site {
            bytes: 142 * MIB,
            callers: callers.leak(),
            ..PLAIN.site
        },
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}

/// Functions that have no file of their own are not one line if their numbers are the same.
#[test]
fn of_two_functions_that_were_sent_with_the_same_line() {
    let mut job = Builder::new(1, &["python3", "-c", "import worker"]);
    for (function, mib) in [("heavy", 60), ("light", 40)] {
        let node = job.stack(&[("<dynamic-code>", 8, function), (LIBRARY, 5, "ones")]);
        job.holds(node, mib * MIB);
    }
    let truth = Truth {
        place: "<dynamic-code>:8 (heavy)",
        bytes: 60 * MIB,
        site: Site {
            bytes: 100 * MIB,
            callers: &[("<dynamic-code>:8 (heavy)", 60), ("<dynamic-code>:8 (light)", 40)],
            ..PLAIN.site
        },
        ..PLAIN
    };
    Case::simple(job).check(&truth);
}
