//! Which line of code of one run is which of the other: by file and function, and by what the line says. Its number may have
//! changed, because the file was edited between the runs.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::label::Call;
use crate::profile::{Interner, Strings};

/// A line of a function of one run.
#[derive(Clone, Debug)]
pub(super) struct CodeLine {
    /// How its tree numbers the function, and the number of the line.
    pub(super) id: (u32, u32),
    /// The [number](Interner::number) of the file's path, as far as that is the same on every machine.
    pub(super) file: u32,
    /// The number of the function's name.
    pub(super) function: u32,
    /// None where the source is not to be had.
    pub(super) code: Option<String>,
}

/// A line of one run and its like of the other, or one that has none.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) old: Option<CodeLine>,
    pub(super) new: Option<CodeLine>,
}

/// All lines of both runs.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The names of files and functions of both runs.
    texts: Strings,
    pairs: Vec<Pair>,
    old: HashMap<(u32, u32), u32>,
    new: HashMap<(u32, u32), u32>,
}

impl Pair {
    /// The newer one, if there is one.
    pub(super) fn shown(&self) -> &CodeLine {
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
    pub(super) fn match_lines(old: Vec<CodeLine>, new: Vec<CodeLine>, texts: Interner) -> Pairs {
        let mut functions: HashMap<(u32, u32), (Vec<CodeLine>, Vec<CodeLine>)> = HashMap::new();
        let place = |line: &CodeLine| (line.file, line.function);
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
        let places = texts.strings().places();
        pairs.sort_by_key(|pair| {
            let CodeLine { id, file, function, .. } = pair.shown();
            let [file, function] = [file, function].map(|text| places[*text as usize]);
            (file, id.1, function, pair.new.is_none())
        });
        let keys = |side: fn(&Pair) -> Option<&CodeLine>| {
            let lines = pairs
                .iter()
                .zip(0..)
                .filter_map(|(pair, key)| Some((side(pair)?.id, key)));
            lines.collect()
        };
        Pairs {
            old: keys(|pair| pair.old.as_ref()),
            new: keys(|pair| pair.new.as_ref()),
            texts: texts.finish(),
            pairs,
        }
    }

    pub(super) fn texts(&self) -> &Strings {
        &self.texts
    }

    /// What a reader sees of a line.
    pub(super) fn label(&self, key: u32) -> String {
        let line = self.pair(key).shown();
        let text = |number: u32| self.texts.get(number);
        let call = Call {
            file: text(line.file),
            function: text(line.function),
            line: line.id.1,
        };
        call.exact()
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

/// Matches the lines of one function: first those that say the same at the same place, then those that say the same in the
/// order in which they stand, then by number where one of them does not say what it says. What is left has no like.
fn match_within(mut old: Vec<CodeLine>, mut new: Vec<CodeLine>, pairs: &mut Vec<Pair>) {
    let number = |line: &CodeLine| line.id.1;
    old.sort_by_key(number);
    new.sort_by_key(number);
    let mut unmatched = Unmatched { old, new };
    let says = |line: &CodeLine| line.code.clone();
    let says_there = |line: &CodeLine| Some((says(line)?, number(line)));
    unmatched.pair(says_there, says_there, pairs);
    unmatched.pair(says, says, pairs);
    let unknown = |line: &CodeLine| line.code.is_none().then_some(number(line));
    let any = |line: &CodeLine| Some(number(line));
    unmatched.pair(unknown, any, pairs);
    unmatched.pair(any, unknown, pairs);
    pairs.extend(unmatched.old.into_iter().map(|line| Pair {
        old: Some(line),
        new: None,
    }));
    pairs.extend(unmatched.new.into_iter().map(|line| Pair {
        old: None,
        new: Some(line),
    }));
}

/// Lines that have no like yet.
struct Unmatched {
    old: Vec<CodeLine>,
    new: Vec<CodeLine>,
}

impl Unmatched {
    /// Pairs lines of equal keys, the first with the first. Those without a key are left.
    fn pair<K: Hash + Eq>(
        &mut self,
        key_of_old: impl Fn(&CodeLine) -> Option<K>,
        key_of_new: impl Fn(&CodeLine) -> Option<K>,
        pairs: &mut Vec<Pair>,
    ) {
        if self.old.is_empty() || self.new.is_empty() {
            return;
        }
        // A map and no search for each line: there may be many.
        let mut by_key: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (index, line) in self.new.iter().enumerate() {
            if let Some(key) = key_of_new(line) {
                by_key.entry(key).or_default().push_back(index);
            }
        }
        let mut new: Vec<Option<CodeLine>> = self.new.drain(..).map(Some).collect();
        self.old.retain(|line| {
            let like = key_of_old(line).and_then(|key| by_key.get_mut(&key)?.pop_front());
            let like = like.and_then(|index| new[index].take());
            let is_left = like.is_none();
            if !is_left {
                pairs.push(Pair {
                    old: Some(line.clone()),
                    new: like,
                });
            }
            is_left
        });
        self.new = new.into_iter().flatten().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u32, code: &str) -> CodeLine {
        CodeLine {
            id: (1, number),
            file: 0,
            function: 0,
            code: (!code.is_empty()).then(|| code.to_owned()),
        }
    }

    fn matched(old: &[(u32, &str)], new: &[(u32, &str)]) -> Vec<(Option<u32>, Option<u32>)> {
        let lines = |lines: &[(u32, &str)]| lines.iter().map(|(number, code)| line(*number, code)).collect();
        let mut texts = Interner::default();
        texts.number("a.py");
        let pairs = Pairs::match_lines(lines(old), lines(new), texts);
        let number = |line: &Option<CodeLine>| line.as_ref().map(|line| line.id.1);
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

    #[test]
    fn a_hundred_thousand_lines_of_a_function_are_matched_each_once() {
        let lines = |first: u32| (first..first + 100_000).map(|number| line(number, "")).collect();
        let mut texts = Interner::default();
        texts.number("a.py");
        let pairs = Pairs::match_lines(lines(1), lines(50_001), texts);
        let both = pairs
            .pairs
            .iter()
            .filter(|pair| pair.old.is_some() && pair.new.is_some());
        assert_eq!((pairs.pairs.len(), both.count()), (150_000, 50_000));
    }
}
