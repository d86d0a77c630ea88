//! Which line of code of one run is which of the other: by file and function, and by what the line says. Its number may have
//! changed, since somebody has worked on the file in between.

use std::collections::HashMap;

/// A line of a function of one run.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// How its tree numbers the function, and the number of the line.
    pub(super) id: (u32, u32),
    /// As far as it is the same on every machine.
    pub(super) file: String,
    pub(super) function: String,
    /// What a reader sees of it.
    pub(super) label: String,
    /// None where the source is not to be had.
    pub(super) code: Option<String>,
}

/// A line of one run and its like of the other, or one that has none.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) old: Option<Line>,
    pub(super) new: Option<Line>,
}

/// All lines of both runs.
#[derive(Debug)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    old: HashMap<(u32, u32), u32>,
    new: HashMap<(u32, u32), u32>,
}

impl Pair {
    /// The newer one, if there is one.
    pub(super) fn shown(&self) -> &Line {
        let line = self.new.as_ref().or(self.old.as_ref());
        line.expect("a pair has at least one line")
    }

    /// The number of the old line, if the new one has another.
    pub(super) fn was(&self) -> Option<u32> {
        let (old, new) = (self.old.as_ref()?, self.new.as_ref()?);
        (old.id.1 != new.id.1).then_some(old.id.1)
    }
}

impl Pairs {
    pub(super) fn of(old: Vec<Line>, new: Vec<Line>) -> Pairs {
        let mut functions: HashMap<(String, String), (Vec<Line>, Vec<Line>)> = HashMap::new();
        let place = |line: &Line| (line.file.clone(), line.function.clone());
        for line in old {
            functions.entry(place(&line)).or_default().0.push(line);
        }
        for line in new {
            functions.entry(place(&line)).or_default().1.push(line);
        }
        let mut pairs = Vec::new();
        for (old, new) in functions.into_values() {
            match_within(old, new, &mut pairs);
        }
        // For the same report from the same files: a map has no order.
        pairs.sort_by(|a, b| {
            let order = |pair: &Pair| (pair.shown().label.clone(), pair.new.is_none(), pair.shown().id.1);
            order(a).cmp(&order(b))
        });
        let keys = |side: fn(&Pair) -> Option<&Line>| {
            let lines = pairs
                .iter()
                .zip(0..)
                .filter_map(|(pair, key)| Some((side(pair)?.id, key)));
            lines.collect()
        };
        Pairs {
            old: keys(|pair| pair.old.as_ref()),
            new: keys(|pair| pair.new.as_ref()),
            pairs,
        }
    }

    pub(super) fn pair(&self, key: u32) -> &Pair {
        &self.pairs[key as usize]
    }

    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The key of a line of the old run.
    pub(super) fn of_old(&self, id: (u32, u32)) -> u32 {
        self.old[&id]
    }

    /// The key of a line of the new run.
    pub(super) fn of_new(&self, id: (u32, u32)) -> u32 {
        self.new[&id]
    }
}

/// Whether a line of the old run may be one of the new run.
type Rule<'a> = &'a dyn Fn(&Line, &Line) -> bool;

/// Matches the lines of one function: first those that say the same at the same place, then those that say the same in the
/// order in which they stand, then by number where one of them does not say what it says. What is left has no like.
fn match_within(mut old: Vec<Line>, mut new: Vec<Line>, pairs: &mut Vec<Pair>) {
    let number = |line: &Line| line.id.1;
    old.sort_by_key(number);
    new.sort_by_key(number);
    let says_same = |a: &Line, b: &Line| a.code.is_some() && a.code == b.code;
    let is_unknown = |a: &Line, b: &Line| a.code.is_none() || b.code.is_none();
    let rules: [Rule; 3] = [
        &|a, b| says_same(a, b) && number(a) == number(b),
        &says_same,
        &|a, b| is_unknown(a, b) && number(a) == number(b),
    ];
    for is_like in rules {
        let mut left = Vec::new();
        for line in old {
            match new.iter().position(|candidate| is_like(&line, candidate)) {
                Some(index) => pairs.push(Pair {
                    new: Some(new.remove(index)),
                    old: Some(line),
                }),
                None => left.push(line),
            }
        }
        old = left;
    }
    let (old, new) = (old.into_iter(), new.into_iter());
    pairs.extend(old.map(|line| Pair {
        old: Some(line),
        new: None,
    }));
    pairs.extend(new.map(|line| Pair {
        old: None,
        new: Some(line),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32, code: &str) -> Line {
        Line {
            id: (1, number),
            file: "a.py".into(),
            function: "f".into(),
            label: format!("a.py:{number} (f)"),
            code: (!code.is_empty()).then(|| code.to_owned()),
        }
    }

    fn matched(old: &[(u32, &str)], new: &[(u32, &str)]) -> Vec<(Option<u32>, Option<u32>)> {
        let lines = |lines: &[(u32, &str)]| lines.iter().map(|(number, code)| line(*number, code)).collect();
        let pairs = Pairs::of(lines(old), lines(new));
        let number = |line: &Option<Line>| line.as_ref().map(|line| line.id.1);
        let numbers = pairs.pairs.iter().map(|pair| (number(&pair.old), number(&pair.new)));
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_line_that_has_moved_is_found_by_what_it_says() {
        assert_eq!(
            matched(
                &[(3, "x = load()"), (4, "y = x * 2")],
                &[(5, "x = load()"), (7, "y = x * 2")]
            ),
            [(Some(3), Some(5)), (Some(4), Some(7))]
        );
        // The one in the same place first, then in their order.
        assert_eq!(
            matched(&[(3, "a()"), (5, "a()")], &[(4, "a()"), (5, "a()")]),
            [(Some(3), Some(4)), (Some(5), Some(5))]
        );
    }

    #[test]
    fn another_line_in_the_same_place_is_another_line() {
        assert_eq!(
            matched(&[(3, "a()")], &[(3, "b()")]),
            [(None, Some(3)), (Some(3), None)]
        );
    }

    #[test]
    fn without_its_source_a_line_is_known_by_its_number() {
        assert_eq!(
            matched(&[(3, ""), (4, "")], &[(3, "a()"), (5, "")]),
            [(None, Some(5)), (Some(3), Some(3)), (Some(4), None)]
        );
    }
}
