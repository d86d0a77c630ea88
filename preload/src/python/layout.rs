//! Where CPython keeps what a callstack is made of: byte offsets by version, x86-64. Data only.
//!
//! Measured with a C program compiled against each version's own headers (`Py_BUILD_CORE`): 3.6.15, 3.7.16, 3.8.18, 3.9.18,
//! 3.10.13, 3.11.7, 3.12.1, 3.13.0. The structures do not change within a minor version once it is released. A version that is
//! not here is refused: a wrong offset would be worse than no callstack.

/// How a frame says which instruction it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// An `int`: byte offset into the bytecode.
    Bytes,
    /// An `int`: number of the two-byte code unit.
    Units,
    /// A pointer into the bytecode, which lies in the code object.
    Pointer,
}

/// How a code object encodes its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineTable {
    /// `co_lnotab`, pairs of increments (CPython's Objects/lnotab_notes.txt, up to 3.9).
    Increments,
    /// `co_linetable` of PEP 626 (3.10).
    Ranges,
    /// `co_linetable` with columns (3.11 on, Objects/locations.md).
    Locations,
}

/// Offsets of one minor version, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Thread state to the innermost frame, or to what holds the frame.
    pub thread_frame: u16,
    /// Where that is a `_PyCFrame`: from it to the frame.
    pub through_cframe: Option<u16>,
    /// Frame to its caller.
    pub frame_back: u16,
    /// Frame to its code object.
    pub frame_code: u16,
    /// Frame to its instruction.
    pub frame_instruction: u16,
    /// What the instruction is.
    pub instruction: Instruction,
    /// Frame to its owner, where frames are not objects (3.11 on).
    pub frame_owner: Option<u16>,
    /// Code to `co_filename`.
    pub code_filename: u16,
    /// Code to `co_name`.
    pub code_name: u16,
    /// Code to `co_firstlineno`.
    pub code_first_line: u16,
    /// Code to its line table, a `bytes`.
    pub code_line_table: u16,
    /// How to read it.
    pub line_table: LineTable,
    /// Code to `co_code_adaptive` (3.11 on).
    pub code_bytecode: u16,
    /// Code to `_co_firsttraceable` (3.11 on).
    pub code_first_traceable: u16,
    /// Size of a `PyASCIIObject`, after which ASCII text begins.
    pub ascii_text: u16,
    /// Size of a `PyCompactUnicodeObject`, after which other text begins.
    pub compact_text: u16,
}

/// Object to its type.
pub const OBJECT_TYPE: u64 = 8;
/// `str` to its length in characters.
pub const STR_LENGTH: u64 = 16;
/// `str` to its state word.
pub const STR_STATE: u64 = 32;
/// `bytes` to its length.
pub const BYTES_LENGTH: u64 = 16;
/// `bytes` to its contents.
pub const BYTES_TEXT: u64 = 32;
/// Frame owner: a generator, whose frame may not have run yet without being incomplete.
pub const OWNED_BY_GENERATOR: u8 = 1;
/// Frame owner from 3.12 on: an entry from C, not a Python function.
pub const OWNED_BY_C_STACK: u8 = 3;

const V3_6: Layout = Layout {
    thread_frame: 24,
    through_cframe: None,
    frame_back: 24,
    frame_code: 32,
    frame_instruction: 120,
    instruction: Instruction::Bytes,
    frame_owner: None,
    code_filename: 96,
    code_name: 104,
    code_first_line: 36,
    code_line_table: 112,
    line_table: LineTable::Increments,
    code_bytecode: 0,
    code_first_traceable: 0,
    ascii_text: 48,
    compact_text: 72,
};
const V3_7: Layout = Layout {
    frame_instruction: 104,
    ..V3_6
};
const V3_8: Layout = Layout {
    code_filename: 104,
    code_name: 112,
    code_first_line: 40,
    code_line_table: 120,
    ..V3_7
};
const V3_10: Layout = Layout {
    frame_instruction: 96,
    instruction: Instruction::Units,
    line_table: LineTable::Ranges,
    ..V3_8
};
const V3_11: Layout = Layout {
    thread_frame: 56,
    through_cframe: Some(8),
    frame_back: 48,
    frame_code: 32,
    frame_instruction: 56,
    instruction: Instruction::Pointer,
    frame_owner: Some(69),
    code_filename: 112,
    code_name: 120,
    code_first_line: 72,
    code_line_table: 136,
    line_table: LineTable::Locations,
    code_bytecode: 184,
    code_first_traceable: 168,
    ascii_text: 48,
    compact_text: 72,
};
const V3_12: Layout = Layout {
    through_cframe: Some(0),
    frame_back: 8,
    frame_code: 0,
    frame_owner: Some(70),
    code_first_line: 68,
    code_bytecode: 192,
    code_first_traceable: 176,
    ascii_text: 40,
    compact_text: 56,
    ..V3_11
};
const V3_13: Layout = Layout {
    thread_frame: 72,
    through_cframe: None,
    code_bytecode: 200,
    code_first_traceable: 184,
    ..V3_12
};

/// The layout of a CPython, if it is known.
pub fn for_version(major: u8, minor: u8) -> Option<&'static Layout> {
    Some(match (major, minor) {
        (3, 6) => &V3_6,
        (3, 7) => &V3_7,
        (3, 8 | 9) => &V3_8,
        (3, 10) => &V3_10,
        (3, 11) => &V3_11,
        (3, 12) => &V3_12,
        (3, 13) => &V3_13,
        _ => return None,
    })
}
