//! "Every byte is attributed to the right line, whatever kind of code allocates it, without tracing."

use oom::{Job, MIB, Place, Python, assert_close, c_library, place};

/// Marker, the name that its function has, and the marker of a line that must be above it.
const LINES: &[(&str, &str, Option<&str>)] = &[
    ("GENERATOR", "generator", Some("CONSUMER")),
    ("COROUTINE", "inner", Some("AWAITS")),
    ("ASYNC_GENERATOR", "asynchronous_generator", None),
    ("DECORATED", "decorated_function", Some("WRAPPER")),
    ("CLASS_BODY", "Holder", None),
    ("INIT", "__init__", None),
    ("PROPERTY", "attribute", None),
    ("GETATTR", "__getattr__", None),
    ("ENTER", "__enter__", None),
    ("EXIT", "__exit__", None),
    ("LESS", "__lt__", None),
    ("DEL", "__del__", None),
    ("META", "__call__", None),
    ("KEY", "key", Some("SORTS")),
    ("MAP", "mapped", None),
    ("REDUCE", "reduced", None),
    ("CACHED", "cached", None),
    ("EXCEPT", "raises", None),
    ("FINALLY", "raises", None),
    ("CLOSURE", "inside", None),
    ("THREAD", "in_thread", None),
    ("RECURSION", "recursion", None),
    ("NON_ASCII", "größe", None),
    ("LATER", "many_lines_later", None),
    ("YIELD_FROM", "generator_below", None),
    ("THROW", "thrown_into", None),
    ("LAMBDA", "<lambda>", None),
    ("COMPREHENSION", "", None),
    ("DICT_COMPREHENSION", "", None),
    ("GENERATOR_EXPRESSION", "<genexpr>", None),
];

fn every_line_holds_what_it_allocated(blocks: &str) {
    Python::each(|python| {
        let outcome = Job::python(python, "attribution.py").arg(blocks).exact().run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let peak = outcome.peak();
        for (marker, function, above) in LINES {
            let place = place("attribution.py", marker);
            println!("{marker} at {place}");
            assert_close(peak.at(&place), outcome.truth(), 2.0, &peak);
            let stack = peak.largest_through(&place);
            let last = stack.frames.last().expect("no stack is empty");
            assert!(last.function.ends_with(function), "{last:?} instead of {function}");
            if let Some(above) = above {
                let above = oom::place("attribution.py", above);
                assert!(stack.frames.iter().any(|frame| frame.is_at(&above)), "{stack:?}");
            }
        }
        let made = |file: &str, line| Place {
            file: file.to_owned(),
            line,
        };
        assert_close(peak.at(&made("<made up>", 3)), outcome.truth(), 2.0, &peak);
        assert_close(peak.at(&made("<string>", 2)), outcome.truth(), 2.0, &peak);
        assert_close(peak.at(&made("<string>", 1)), outcome.truth(), 2.0, &peak);
    });
}

#[test]
fn of_large_blocks() {
    every_line_holds_what_it_allocated("large");
}

#[test]
fn of_small_objects() {
    every_line_holds_what_it_allocated("small");
}

/// With Python's debugging allocators a code object is freed by another address than its own.
#[test]
fn of_code_that_is_thrown_away_and_its_memory_used_again() {
    Python::each(|python| {
        let allocators = ["pymalloc", "malloc_debug", "malloc", "pymalloc_debug"];
        // All where the version may make a difference.
        for allocator in &allocators[..if python.is_kind() { 4 } else { 2 }] {
            let job = Job::python(python, "recycled.py").env("PYTHONMALLOC", python.allocator(allocator));
            let outcome = job.exact().run();
            let peak = outcome.peak();
            for number in 0..300 {
                let place = Place {
                    file: format!("<code {number}>"),
                    line: number + 1,
                };
                assert_close(
                    peak.at(&place),
                    100_000,
                    6.0,
                    &format!("{allocator} at {place}: {outcome}"),
                );
            }
        }
    });
}

#[test]
fn of_a_callback_from_c() {
    let library = c_library("native.c");
    Python::each(|python| {
        let outcome = Job::python(python, "callback.py").arg(&library).run();
        let peak = outcome.peak();
        let callback = place("callback.py", "CALLBACK");
        assert_close(peak.at(&callback), 40 * MIB, 2.0, &outcome);
        let above = place("callback.py", "CALLS");
        assert_close(peak.through(&above), 40 * MIB, 2.0, &outcome);
    });
}
