//! A `.prof` file: folded stacks, `file:line (function);… BYTES`, root first.

use std::path::Path;

use crate::Place;

/// The stacks of one `.prof` file.
#[derive(Clone, Debug)]
pub struct Folded {
    /// In the order of the file.
    pub stacks: Vec<Stack>,
    text: String,
}

/// One callstack and what it holds.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Root first.
    pub frames: Vec<Frame>,
    /// Bytes allocated by the last frame.
    pub bytes: u64,
}

/// One frame; `[No Python stack]` and its like have a function only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// As Python gave it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// The function's name.
    pub function: String,
}

impl Folded {
    /// Reads a file; panics where it is not folded stacks.
    pub fn load(path: &Path) -> Folded {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stacks = text.lines().map(Stack::parse).collect();
        Folded { stacks, text }
    }

    /// Bytes of all stacks.
    pub fn total(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.bytes).sum()
    }

    /// Bytes of the stacks that lead through `place`.
    pub fn through(&self, place: &Place) -> u64 {
        self.sum(|stack| stack.frames.iter().any(|frame| frame.is_at(place)))
    }

    /// Bytes that `place` itself allocated.
    pub fn at(&self, place: &Place) -> u64 {
        self.sum(|stack| stack.frames.last().is_some_and(|frame| frame.is_at(place)))
    }

    /// Bytes of the stacks that lead through a function of this name, such as `[No Python stack]`.
    pub fn in_function(&self, name: &str) -> u64 {
        self.sum(|stack| stack.frames.iter().any(|frame| frame.function == name))
    }

    /// The largest stack that leads through `place`.
    #[track_caller]
    pub fn largest_through(&self, place: &Place) -> &Stack {
        let through = |stack: &&Stack| stack.frames.iter().any(|frame| frame.is_at(place));
        let stacks = self.stacks.iter().filter(through);
        stacks
            .max_by_key(|stack| stack.bytes)
            .unwrap_or_else(|| panic!("{place} is not in\n{}", self.text))
    }

    fn sum(&self, wanted: impl Fn(&Stack) -> bool) -> u64 {
        self.stacks
            .iter()
            .filter(|stack| wanted(stack))
            .map(|stack| stack.bytes)
            .sum()
    }
}

impl std::fmt::Display for Folded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Stack {
    fn parse(line: &str) -> Stack {
        let (frames, bytes) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no bytes in {line:?}"));
        let bytes = bytes
            .parse()
            .unwrap_or_else(|_| panic!("{bytes:?} is not bytes in {line:?}"));
        let frames = frames.split(';').map(Frame::parse).collect();
        Stack { frames, bytes }
    }
}

impl Frame {
    fn parse(text: &str) -> Frame {
        let parts = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
        let place = parts.and_then(|(place, _)| place.rsplit_once(':'));
        let line = place.and_then(|(_, line)| line.parse().ok());
        match (parts, place, line) {
            (Some((_, function)), Some((file, _)), Some(line)) => Frame {
                file: file.to_owned(),
                line,
                function: function.to_owned(),
            },
            // Made-up functions, and code that was compiled with no file name.
            _ => Frame {
                file: String::new(),
                line: 0,
                function: text.to_owned(),
            },
        }
    }

    /// Whether this frame is at that line of a file of that name.
    pub fn is_at(&self, place: &Place) -> bool {
        let name = self.file.rsplit('/').next().unwrap_or_default();
        name == place.file && self.line == place.line
    }
}
