//! Frames: functions that run or are suspended, with the values of their variables.

use crate::fast::Map;

use crate::reader::Reader;
use cpython::{Instruction, Stack, lines, owner};

/// Frames of a thread that are followed.
const MOST_FRAMES: usize = 5000;
/// Variables of a frame, and temporary values.
const MOST_LOCALS: usize = 2000;
/// Bytes of a line table.
const LONGEST_LINE_TABLE: u64 = 1 << 16;

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Where it is: a frame object up to 3.10.
    pub address: u64,
    /// Its code.
    pub code: u64,
}

/// What a frame has.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Where the name of each variable is, and its value.
    pub locals: Vec<(u64, u64)>,
    /// Values without a name: what the statement that runs has computed so far, or what a loop goes over.
    pub temporaries: Vec<u64>,
    /// Values that may be temporaries of the frame: it runs, and does not say how many it has.
    pub maybe: Vec<u64>,
}

/// Where a function is in its source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// As the code object names it.
    pub file: String,
    /// Line that runs.
    pub line: u32,
    /// Its name.
    pub function: String,
}

/// The frames of a thread, the innermost first.
pub fn of_thread(reader: &mut Reader, thread: u64) -> Vec<Frame> {
    let offsets = &reader.layout.runtime;
    let mut at = reader.pages.word(thread + u64::from(offsets.frame)).unwrap_or(0);
    if let Some(offset) = offsets.through_cframe {
        at = match at {
            0 => 0,
            at => reader.pages.word(at.wrapping_add(u64::from(offset))).unwrap_or(0),
        };
    }
    let mut frames = Vec::new();
    for _step in 0..MOST_FRAMES {
        if at == 0 {
            break;
        }
        if let Some(frame) = at_address(reader, at).filter(|frame| is_complete(reader, *frame)) {
            frames.push(frame);
        }
        let back = at.wrapping_add(u64::from(reader.layout.frames.back));
        at = reader.pages.word(back).unwrap_or(0);
    }
    frames
}

/// The frame of a generator that is suspended or runs.
pub fn of_generator(reader: &mut Reader, generator: u64) -> Option<Frame> {
    let offsets = &reader.layout.frames;
    let at = generator + u64::from(offsets.generator);
    match offsets.generator_state {
        None => {
            let at = reader.pages.word(at)?;
            at_address(reader, at)
        }
        // A frame that has ended has no variables left.
        Some(state) if reader.pages.byte(generator + u64::from(state))? as i8 >= offsets.generator_ended => None,
        Some(_) => at_address(reader, at),
    }
}

/// The frame of a frame object, unless its function runs: then it is among those of a thread.
pub fn of_frame_object(reader: &mut Reader, object: u64) -> Option<Frame> {
    let offsets = &reader.layout.frames;
    let Some(offset) = offsets.frame_object else {
        return at_address(reader, object);
    };
    let at = reader.pages.word(object + u64::from(offset))?;
    let owner = reader.pages.byte(at.checked_add(u64::from(offsets.owner?))?)?;
    (owner == owner::FRAME_OBJECT).then(|| at_address(reader, at))?
}

fn at_address(reader: &mut Reader, address: u64) -> Option<Frame> {
    let offsets = &reader.layout.frames;
    if let Some(owner) = offsets.owner {
        let owner = reader.pages.byte(address.checked_add(u64::from(owner))?)?;
        if owner >= owner::NO_FUNCTION {
            return None;
        }
    }
    let code = reader.pages.word(address.checked_add(u64::from(offsets.code))?)? & !offsets.tag;
    reader.is_a(code, "code").then_some(Frame { address, code })
}

/// Whether the frame has begun: before its first instruction its variables are not set.
fn is_complete(reader: &mut Reader, frame: Frame) -> bool {
    let offsets = &reader.layout.frames;
    let Some(owner) = offsets.owner else {
        return true;
    };
    let owner = reader.pages.byte(frame.address + u64::from(owner));
    let Some(first) = reader.pages.half(frame.code + u64::from(offsets.first_traceable)) else {
        return false;
    };
    let instruction = reader.pages.word(frame.address + u64::from(offsets.instruction));
    let begin = frame.code + u64::from(offsets.bytecode) + 2 * u64::from(first);
    owner == Some(owner::GENERATOR) || instruction.is_some_and(|instruction| instruction >= begin)
}

/// Where the frame's function is in its source.
pub fn place(reader: &mut Reader, frame: Frame) -> Place {
    let offsets = &reader.layout.frames;
    let text = |reader: &mut Reader, offset: u16| {
        let at = reader.pages.word(frame.code + u64::from(offset));
        at.and_then(|at| reader.text(at)).unwrap_or_else(|| "?".to_owned())
    };
    let file = text(reader, offsets.filename);
    let function = text(reader, offsets.name);
    let line = line(reader, frame).unwrap_or(0);
    Place { file, line, function }
}

fn line(reader: &mut Reader, frame: Frame) -> Option<u32> {
    let offsets = &reader.layout.frames;
    let first = reader.pages.half(frame.code + u64::from(offsets.first_line))?;
    let table = reader.pages.word(frame.code + u64::from(offsets.line_table))?;
    let length = reader.pages.word(table.checked_add(16)?)?.min(LONGEST_LINE_TABLE);
    let mut bytes = vec![0; length as usize];
    reader.pages.read(table + 32, &mut bytes)?;
    let at = instruction_offset(reader, frame)?;
    Some(lines::line(offsets.line_table_kind, bytes.into_iter(), first, at))
}

/// Names of a code object's local variables, in the order of their values. They are the same for each frame of a function.
#[derive(Default)]
pub struct Names {
    by_code: Map<u64, Vec<u64>>,
}

impl Names {
    /// Where the names are.
    pub fn of(&mut self, reader: &mut Reader, code: u64) -> Vec<u64> {
        /// Of a job that makes functions without end, and of a torn image.
        const MOST_CODES: usize = 4000;
        if let Some(names) = self.by_code.get(&code) {
            return names.clone();
        }
        let names = names(reader, code).unwrap_or_default();
        if self.by_code.len() < MOST_CODES {
            self.by_code.insert(code, names.clone());
        }
        names
    }
}

fn names(reader: &mut Reader, code: u64) -> Option<Vec<u64>> {
    let offsets = &reader.layout.frames;
    let tuple = |reader: &mut Reader, offset: u16| {
        let at = reader.pages.word(code + u64::from(offset))?;
        reader.tuple(at, MOST_LOCALS)
    };
    let mut names = tuple(reader, offsets.local_names)?;
    for offset in offsets.cell_names.into_iter().flatten() {
        // A code object without any has an empty tuple.
        names.extend(tuple(reader, offset).unwrap_or_default());
    }
    Some(names)
}

/// The variables of a frame that are set.
pub fn variables(reader: &mut Reader, frame: Frame, names: &mut Names) -> Option<Variables> {
    let offsets = &reader.layout.frames;
    let names = names.of(reader, frame.code);
    let first = frame.address + u64::from(offsets.first_local);
    let values = reader.pages.words(first, names.len())?;
    let tag = offsets.tag;
    let locals = names.iter().copied().zip(values);
    let locals = locals.filter(|(_, value)| *value != 0 && value & tag == 0).collect();
    let size = reader.pages.half(frame.code + u64::from(offsets.stack_size))?;
    let size = (size as usize).min(MOST_LOCALS);
    let begin = first + names.len() as u64 * 8;
    let stack = frame.address + u64::from(offsets.stack);
    let depth = match offsets.stack_kind {
        Stack::Pointer | Stack::TopPointer => {
            let end = reader.pages.word(stack)?;
            end.checked_sub(begin).map(|bytes| bytes / 8)
        }
        Stack::Depth => u64::try_from(reader.pages.half(stack)? as i32).ok(),
        Stack::Top => {
            let top = reader.pages.half(stack)? as i32;
            u64::try_from(top)
                .ok()
                .and_then(|top| top.checked_sub(names.len() as u64))
        }
    };
    let depth = depth
        .and_then(|depth| usize::try_from(depth).ok())
        .filter(|depth| *depth <= size);
    let mut temporaries = reader.pages.words(begin, depth.unwrap_or(size)).unwrap_or_default();
    temporaries.retain(|value| value & tag == 0);
    let (temporaries, maybe) = match depth {
        Some(_) => (temporaries, Vec::new()),
        None => (Vec::new(), temporaries),
    };
    Some(Variables {
        locals,
        temporaries,
        maybe,
    })
}

/// The argument of the instruction that runs: of a call, how many arguments it has.
pub fn instruction_argument(reader: &mut Reader, frame: Frame) -> Option<u8> {
    let offsets = &reader.layout.frames;
    let instruction = frame.address + u64::from(offsets.instruction);
    if offsets.instruction_kind == Instruction::Pointer {
        let at = reader.pages.word(instruction)?;
        return reader.pages.byte(at.checked_add(1)?);
    }
    let at = instruction_offset(reader, frame)?;
    let code = reader.pages.word(frame.code + u64::from(offsets.bytecode))?;
    reader.pages.byte(code.checked_add(32 + 1 + at)?)
}

/// Bytes from the first instruction to the one that runs.
fn instruction_offset(reader: &mut Reader, frame: Frame) -> Option<u64> {
    let offsets = &reader.layout.frames;
    let instruction = frame.address + u64::from(offsets.instruction);
    if offsets.instruction_kind == Instruction::Pointer {
        let begin = frame.code + u64::from(offsets.bytecode);
        return reader.pages.word(instruction)?.checked_sub(begin);
    }
    // Negative before the first instruction.
    let at = u64::try_from(reader.pages.half(instruction)? as i32).unwrap_or(0);
    match offsets.instruction_kind {
        Instruction::Units => Some(at * 2),
        _ => Some(at),
    }
}

/// The dict of a frame's globals, and that of its local variables, if it is another: of a class body, or of code that `exec` runs.
pub fn dicts(reader: &mut Reader, frame: Frame) -> (u64, Option<u64>) {
    let offsets = &reader.layout.frames;
    let word = |reader: &mut Reader, offset: u16| reader.pages.word(frame.address + u64::from(offset)).unwrap_or(0);
    let (globals, locals) = (word(reader, offsets.globals), word(reader, offsets.locals));
    (globals, (locals != 0 && locals != globals).then_some(locals))
}
