//! What a victim knows that it holds, and what a report says of the same lines.

use std::collections::BTreeMap;

use crate::{Outcome, Report};

impl Outcome {
    /// What the victim says it holds: bytes by name, one JSON object on a line of its stdout.
    #[track_caller]
    pub fn truths(&self) -> BTreeMap<String, u64> {
        let text = self.text();
        let last = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        last.unwrap_or_else(|| panic!("no JSON object on stdout: {self}"))
    }
}

/// What a report says that a line held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Bytes.
    pub bytes: u64,
    /// The square of the error that is printed beside them, one standard deviation.
    pub variance: f64,
}

impl Report {
    /// What the lines of a file held themselves, by the line's number; of the 200 largest call sites.
    pub fn lines_of(&self, file: &str) -> BTreeMap<u32, Held> {
        self.by_line(file, Held::plus)
    }

    /// The same of the function that held the most on each line: before 3.11, the frame of a comprehension is its caller's.
    pub fn largest_of_lines(&self, file: &str) -> BTreeMap<u32, Held> {
        self.by_line(file, |a, b| if a.bytes < b.bytes { b } else { a })
    }

    fn by_line(&self, file: &str, put_together: impl Fn(Held, Held) -> Held) -> BTreeMap<u32, Held> {
        let mut lines: BTreeMap<u32, Held> = BTreeMap::new();
        for site in self.at("/call_sites").as_array().into_iter().flatten() {
            let path = site["file"].as_str().unwrap_or_default();
            let number = |name: &str| site[name].as_u64().unwrap_or_else(|| panic!("no {name} in {site}"));
            if path.rsplit('/').next() == Some(file) {
                let here = Held {
                    bytes: number("bytes"),
                    variance: (number("error_bytes") as f64).powi(2),
                };
                let line = u32::try_from(number("line")).expect("a line's number");
                let before = lines.entry(line).or_default();
                *before = put_together(*before, here);
            }
        }
        lines
    }
}

impl Held {
    /// Of both together; their errors are independent.
    pub fn plus(self, other: Held) -> Held {
        Held {
            bytes: self.bytes + other.bytes,
            variance: self.variance + other.variance,
        }
    }

    /// One standard deviation, in bytes.
    pub fn error(self) -> f64 {
        self.variance.sqrt()
    }

    /// How many printed errors the truth is away.
    pub fn errors_off(self, truth: u64) -> f64 {
        (self.bytes as f64 - truth as f64) / self.error()
    }

    /// The same on a scale on which it is close to normally distributed also where there are few samples: the printed error is an
    /// estimate from the same samples, and too small where they are too few. Twice the square root of a Poisson variable has
    /// a variance of 1 whatever its mean (Anscombe 1948).
    pub fn normal_score(self, truth: u64) -> f64 {
        let each = self.variance / self.bytes.max(1) as f64;
        let root = |bytes: u64, add: f64| (bytes as f64 / each + add).sqrt();
        2.0 * (root(self.bytes, 0.375) - root(truth, 0.125))
    }
}
