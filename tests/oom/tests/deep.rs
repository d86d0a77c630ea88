//! "A program that allocates below thousands of frames is slowed down little, and its lines are told apart as everywhere."

use oom::{Job, Python, assert_close, place};

#[test]
fn lines_far_above_the_same_recursion_are_told_apart() {
    Python::each(|python| {
        let outcome = Job::python(python, "deep_builders.py").arg("120").exact().run();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let peak = outcome.peak();
        for (marker, truth) in outcome.truths() {
            let here = place("deep_builders.py", &marker);
            assert_close(peak.through(&here), truth, 5.0, &outcome);
        }
    });
}
