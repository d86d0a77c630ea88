//! The callstack of a thread, innermost frame first, read from the interpreter's own structures. Pure: memory comes in as an
//! argument, so the test's interpreter is a map.

use cpython::{Instruction, Layout, owner};

/// How to read the memory of the process.
pub trait Memory {
    /// Eight bytes.
    fn word(&self, address: u64) -> u64;
    /// Four bytes.
    fn half(&self, address: u64) -> u32;
    /// One byte.
    fn byte(&self, address: u64) -> u8;
}

/// A frame: its code object and where in the bytecode it is, in bytes from the beginning; negative before the first instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Address of the code object.
    pub code: u64,
    /// Byte offset of the instruction.
    pub at: i32,
}

/// A link of the chain of frames as it lies in memory: equal links at equal places are the same frame in the same state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    frame: u64,
    code: u64,
    instruction: u64,
}

impl Link {
    /// No link of any chain.
    pub const fn none() -> Self {
        Self {
            frame: 0,
            code: 0,
            instruction: 0,
        }
    }

    /// One that differs from others at other places.
    #[cfg(test)]
    pub fn at(frame: u64) -> Self {
        Self { frame, ..Self::none() }
    }

    /// Whether it stands for the same line as another. The frames of a recursion are at different addresses but alike.
    #[inline(always)]
    pub fn is_alike(self, other: Self) -> bool {
        self.code == other.code && self.instruction == other.instruction
    }

    #[inline(always)]
    fn read(memory: &impl Memory, layout: &Layout, frame: u64) -> Self {
        let instruction = frame.wrapping_add(layout.frames.instruction as u64);
        Self {
            frame,
            code: memory.word(frame.wrapping_add(layout.frames.code as u64)) & !layout.frames.tag,
            instruction: match layout.frames.instruction_kind {
                Instruction::Bytes | Instruction::Units => memory.half(instruction) as u64,
                Instruction::Pointer => memory.word(instruction),
            },
        }
    }
}

/// The innermost frame of the thread with this state; 0 if there is none.
#[inline(always)]
fn innermost(memory: &impl Memory, layout: &Layout, thread_state: u64) -> u64 {
    let frame = memory.word(thread_state + layout.runtime.frame as u64);
    match layout.runtime.through_cframe {
        Some(offset) if frame != 0 => memory.word(frame + offset as u64),
        _ => frame,
    }
}

/// What has changed in the frames of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Only the instruction of the innermost frame.
    Innermost(Link),
    /// Other frames.
    Frames,
}

/// What has changed since the thread with this state had the `known` frames, innermost first. Programs allocate again and again
/// at one line, or at a few of one function.
#[inline(always)]
pub fn change(
    memory: &impl Memory,
    layout: &Layout,
    thread_state: u64,
    mut known: impl Iterator<Item = Link>,
) -> Change {
    let mut frame = innermost(memory, layout, thread_state);
    let Some(first) = known.next() else {
        return Change::Frames;
    };
    if frame != first.frame {
        return Change::Frames;
    }
    let now = Link::read(memory, layout, frame);
    if now.code != first.code {
        return Change::Frames;
    }
    frame = memory.word(frame.wrapping_add(layout.frames.back as u64));
    for link in known {
        if frame != link.frame || Link::read(memory, layout, frame) != link {
            return Change::Frames;
        }
        frame = memory.word(frame.wrapping_add(layout.frames.back as u64));
    }
    match frame {
        0 if now == first => Change::None,
        0 => Change::Innermost(now),
        _ => Change::Frames,
    }
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The thread has no frame at all.
    Empty,
    /// At the outermost frame, or where the visitor returned `false`.
    Done,
    /// Nowhere: it is not a callstack after so many steps.
    Lost,
}

/// Shows `visit` each link of the thread with this state until it says `false`; follows no more than `steps` links.
#[inline(always)]
pub fn links(
    memory: &impl Memory,
    layout: &Layout,
    thread_state: u64,
    steps: u32,
    mut visit: impl FnMut(Link) -> bool,
) -> End {
    let mut frame = innermost(memory, layout, thread_state);
    if frame == 0 {
        return End::Empty;
    }
    for _ in 0..steps {
        if !visit(Link::read(memory, layout, frame)) {
            return End::Done;
        }
        frame = memory.word(frame.wrapping_add(layout.frames.back as u64));
        if frame == 0 {
            return End::Done;
        }
    }
    End::Lost
}

/// The frame that a link stands for; `None` if it stands for none.
#[inline(always)]
pub fn read(memory: &impl Memory, layout: &Layout, code_type: u64, link: Link) -> Option<Frame> {
    let Link {
        frame,
        code,
        instruction,
    } = link;
    let owner = layout.frames.owner.map(|offset| memory.byte(frame + offset as u64));
    // Before 3.12 nothing owns a frame under these numbers.
    if owner.is_some_and(|owner| owner >= owner::NO_FUNCTION) {
        return None;
    }
    if code == 0 || memory.word(code + layout.objects.object_type()) != code_type {
        return None;
    }
    let at = match layout.frames.instruction_kind {
        Instruction::Bytes => instruction as u32 as i32,
        Instruction::Units => (instruction as u32 as i32).saturating_mul(2),
        Instruction::Pointer => {
            let at = instruction.wrapping_sub(bytecode(memory, layout, link)) as i64 as i32;
            // A frame being built, or a shim: CPython's own `_PyFrame_IsIncomplete`.
            let first_traceable = memory.half(code + layout.frames.first_traceable as u64) as i32;
            if owner != Some(owner::GENERATOR) && at < first_traceable.saturating_mul(2) {
                return None;
            }
            at
        }
    };
    Some(Frame { code, at })
}

/// Where the bytecode begins that a frame runs: in its code object, or a copy of that for its thread. Without a table of copies, or a
/// number in it, there is only the first.
#[inline(always)]
fn bytecode(memory: &impl Memory, layout: &Layout, link: Link) -> u64 {
    let first = link.code + layout.frames.bytecode as u64;
    let Some(copies) = layout.frames.copies else {
        return first;
    };
    let number = memory.half(link.frame + copies.number as u64);
    let table = memory.word(link.code + copies.table as u64);
    if number == 0 || table == 0 || number as u64 >= memory.word(table) {
        return first;
    }
    memory.word(table + copies.first as u64 + 8 * number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Words(BTreeMap<u64, u8>);

    impl Words {
        fn set(&mut self, address: u64, value: u64, bytes: usize) {
            value.to_le_bytes()[..bytes].iter().enumerate().for_each(|(i, byte)| {
                self.0.insert(address + i as u64, *byte);
            });
        }
        fn get<const N: usize>(&self, address: u64) -> [u8; N] {
            core::array::from_fn(|i| *self.0.get(&(address + i as u64)).expect("read outside the interpreter"))
        }
    }

    impl Memory for Words {
        fn word(&self, address: u64) -> u64 {
            u64::from_le_bytes(self.get(address))
        }
        fn half(&self, address: u64) -> u32 {
            u32::from_le_bytes(self.get(address))
        }
        fn byte(&self, address: u64) -> u8 {
            self.get::<1>(address)[0]
        }
    }

    const CODE_TYPE: u64 = 0xC0DE;

    fn code(words: &mut Words, layout: &Layout, address: u64) {
        words.set(address + layout.objects.object_type(), CODE_TYPE, 8);
        words.set(address + layout.frames.first_traceable as u64, 2, 4);
    }

    #[test]
    fn frames_come_innermost_first_in_every_version() {
        let minors = 6..=cpython::NEWEST.version.1;
        let with_gil = minors
            .clone()
            .map(|minor| cpython::of(3, minor).expect("a known version"));
        for layout in with_gil.chain(minors.filter_map(|minor| cpython::of_free_threaded(3, minor))) {
            let (minor, has_gil) = (layout.version.1, layout.has_gil);
            let mut words = Words::default();
            let (thread, cframe, frames_at, codes_at) =
                (0x1000, 0x2000, [0x3000, 0x4000, 0x5000], [0x6000, 0x7000, 0x8000]);
            words.set(
                thread + layout.runtime.frame as u64,
                layout.runtime.through_cframe.map_or(frames_at[0], |_| cframe),
                8,
            );
            if let Some(offset) = layout.runtime.through_cframe {
                words.set(cframe + offset as u64, frames_at[0], 8);
            }
            for (number, (frame, code_at)) in frames_at.into_iter().zip(codes_at).enumerate() {
                code(&mut words, layout, code_at);
                words.set(
                    frame + layout.frames.back as u64,
                    frames_at.get(number + 1).copied().unwrap_or(0),
                    8,
                );
                // A reference that is not counted, where there are such.
                words.set(frame + layout.frames.code as u64, code_at | layout.frames.tag & 1, 8);
                let at = 10 + 2 * number as u64;
                match layout.frames.instruction_kind {
                    Instruction::Bytes => words.set(frame + layout.frames.instruction as u64, at, 4),
                    Instruction::Units => words.set(frame + layout.frames.instruction as u64, at / 2, 4),
                    Instruction::Pointer => {
                        let first = code_at + layout.frames.bytecode as u64;
                        let copy = layout.frames.copies.map(|copies| {
                            // The first frame runs what is in its code object, the others have copies of their own.
                            let table = code_at + 0x800;
                            words.set(frame + copies.number as u64, number as u64, 4);
                            words.set(code_at + copies.table as u64, table, 8);
                            words.set(table, 3, 8);
                            let bytecodes = [first, 0x1_0000, 0x2_0000];
                            for (at, bytecode) in (0..).zip(bytecodes) {
                                words.set(table + copies.first as u64 + 8 * at, bytecode, 8);
                            }
                            bytecodes[number]
                        });
                        let instruction = copy.unwrap_or(first) + at;
                        words.set(frame + layout.frames.instruction as u64, instruction, 8);
                    }
                }
                if let Some(at) = layout.frames.owner {
                    // The middle one is an entry from C where there are such.
                    words.set(
                        frame + at as u64,
                        if number == 1 { owner::NO_FUNCTION as u64 } else { 0 },
                        1,
                    );
                }
            }
            let mut seen = Vec::new();
            let mut known = Vec::new();
            let end = links(&words, layout, thread, 10, |link| {
                known.push(link);
                seen.extend(read(&words, layout, CODE_TYPE, link).map(|frame| (frame.code, frame.at)));
                true
            });
            assert_eq!(end, End::Done);
            let expected: &[_] = if layout.frames.owner.is_some() {
                &[(0x6000, 10), (0x8000, 14)]
            } else {
                &[(0x6000, 10), (0x7000, 12), (0x8000, 14)]
            };
            assert_eq!(seen, expected, "3.{minor}, GIL: {has_gil}");
            let change = |words: &Words, known: &[Link]| change(words, layout, thread, known.iter().copied());
            assert_eq!(change(&words, &known), Change::None, "3.{minor}");
            assert_eq!(change(&words, &known[..2]), Change::Frames);
            assert_eq!(change(&words, &[]), Change::Frames);
            let go_on = |words: &mut Words, frame: u64| {
                let instruction = frame + layout.frames.instruction as u64;
                words.set(instruction, words.half(instruction) as u64 + 2, 4);
            };
            go_on(&mut words, frames_at[0]);
            let Change::Innermost(link) = change(&words, &known) else {
                panic!("3.{minor}: {:?}", change(&words, &known));
            };
            let at = if layout.frames.instruction_kind == Instruction::Units {
                14
            } else {
                12
            };
            let frame = read(&words, layout, CODE_TYPE, link);
            assert_eq!(
                frame.map(|frame| (frame.code, frame.at)),
                Some((0x6000, at)),
                "3.{minor}"
            );
            go_on(&mut words, frames_at[1]);
            assert_eq!(change(&words, &known), Change::Frames, "3.{minor}");
        }
    }

    #[test]
    fn a_thread_without_frames_has_none() {
        let layout = cpython::of(3, 13).expect("a known version");
        let mut words = Words::default();
        words.set(0x1000 + layout.runtime.frame as u64, 0, 8);
        assert_eq!(
            links(&words, layout, 0x1000, 10, |_| panic!("a frame from nowhere")),
            End::Empty
        );
    }

    #[test]
    fn the_bottom_of_a_chain_is_no_frame() {
        let layout = cpython::of(3, 15).expect("a known version");
        let mut words = Words::default();
        words.set(0x1000 + layout.runtime.frame as u64, 0x2000, 8);
        for at in [layout.frames.back, layout.frames.code, layout.frames.instruction] {
            words.set(0x2000 + at as u64, 0, 8);
        }
        words.set(0x2000 + layout.frames.owner.unwrap_or(0) as u64, 3, 1);
        let mut seen = Vec::new();
        let end = links(&words, layout, 0x1000, 10, |link| {
            seen.push(read(&words, layout, CODE_TYPE, link));
            true
        });
        assert_eq!((end, seen), (End::Done, vec![None]));
    }

    #[test]
    fn a_circle_is_left() {
        let layout = cpython::of(3, 8).expect("a known version");
        let mut words = Words::default();
        words.set(0x1000 + layout.runtime.frame as u64, 0x2000, 8);
        words.set(0x2000 + layout.frames.back as u64, 0x2000, 8);
        words.set(0x2000 + layout.frames.code as u64, 0, 8);
        words.set(0x2000 + layout.frames.instruction as u64, 0, 4);
        assert_eq!(links(&words, layout, 0x1000, 1000, |_| true), End::Lost);
    }
}
