//! The pages of `docs/`: their examples are what the tests run.

use crate::workspace;

/// The example in a page of `docs/` that begins with this line: a fenced block.
#[track_caller]
pub fn example(page: &str, first_line: &str) -> String {
    let path = workspace().join("docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = text.split("\n```").skip(1).step_by(2);
    // What follows the backquotes on their line is the language.
    let mut blocks = blocks.filter_map(|block| Some(block.split_once('\n')?.1.to_owned() + "\n"));
    let found = blocks.find(|block| block.lines().any(|line| line == first_line));
    found.unwrap_or_else(|| panic!("{page} has no example with the line {first_line:?}"))
}
