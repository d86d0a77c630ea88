//! Where CPython keeps what we read: byte offsets by version, on 64-bit Linux (the same on x86-64 and on aarch64); and how it encodes
//! lines. The library reads its own process by it, and `holders` reads others. `no_std`, no allocation,
//! no `unsafe`: memory comes in as an argument.
//!
//! Measured with a C program compiled against each version's own headers (3.6.15, 3.7.16, 3.8.18, 3.9.18, 3.10.13, 3.11.7, 3.12.1,
//! 3.13.0, 3.14.10, 3.15.2). Structures without a header are as they stand in CPython's sources: dict keys up to 3.10, deque, array,
//! ordered dicts. The structures do not change within a minor version once it is released. A version that is newer than these says
//! itself where some of it is: [`newer`]. Of free-threaded builds (without the GIL), [`of_free_threaded`] has what the library reads: frames,
//! code objects and strings, as the headers of 3.13.0, 3.14.10 and 3.15.2 have them with `-DPy_GIL_DISABLED`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod lines;
pub mod newer;
mod tables;

pub use tables::{NEWEST, of, of_free_threaded};

/// How a code object encodes its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineTable {
    /// `co_lnotab`, pairs of increments (up to 3.9).
    Increments,
    /// `co_linetable` of PEP 626 (3.10).
    Ranges,
    /// `co_linetable` with columns (3.11 on).
    Locations,
}

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

/// How an instance of a Python class has its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// In a dict at the type's `tp_dictoffset`, in every version for types that have one; up to 3.10 there is nothing else.
    Dict,
    /// Values 32 bytes before the object, a dict 24 bytes before it (3.11).
    Before,
    /// One word 24 bytes before the object: a dict, or with bit 0 set, values one byte after (3.12).
    Tagged,
    /// A dict 24 bytes before the object, values behind it (3.13 on).
    Inline,
}

/// How a frame says how many temporary values it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// A pointer behind the last one; null while the frame runs (up to 3.9).
    Pointer,
    /// An `int` from the beginning of the stack; -1 while the frame runs (3.10).
    Depth,
    /// An `int` from the first local variable; not valid in the frame that runs (3.11 to 3.13).
    Top,
    /// A pointer behind the last one, in a frame without a stack of its own; null while the frame runs (3.14 on).
    TopPointer,
}

/// How to tell whether a thread runs Python, which is to say that it has the lock of its interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// One state of the process is the current one; this is where that has `pthread_self()` of its thread (up to 3.11).
    Ident(u16),
    /// Each state has a word of bits about itself, of which [`ACTIVE`] says so (3.12 on).
    Status(u16),
}

/// See [`Running::Status`].
pub const ACTIVE: u32 = 1 << 4;

/// Interpreters and threads.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// `_PyRuntime` to the first interpreter.
    pub interpreters: u16,
    /// Interpreter to the next.
    pub next_interpreter: u16,
    /// Interpreter to its newest thread.
    pub threads: u16,
    /// Interpreter to `sys.modules`.
    pub modules: u16,
    /// Thread to the one that was made before it.
    pub next_thread: u16,
    /// Thread to its interpreter.
    pub thread_interpreter: u16,
    /// How to tell whether a thread runs Python.
    pub running: Running,
    /// Thread to the kernel's number of it (3.11 on).
    pub native_thread: Option<u16>,
    /// Thread to its `threading.local` data.
    pub thread_dict: u16,
    /// Thread to the exceptions that are being handled.
    pub handled: u16,
    /// From there to the exception.
    pub handled_value: u16,
    /// From there to the next.
    pub handled_next: u16,
    /// Thread to the exception that is on its way.
    pub raised: u16,
    /// Thread to its innermost frame, or to what holds that.
    pub frame: u16,
    /// From what holds the frame to the frame.
    pub through_cframe: Option<u16>,
}

/// Where a code object has copies of its bytecode: each thread of a free-threaded build changes its own (3.14 on).
#[derive(Clone, Copy, Debug)]
pub struct Copies {
    /// Frame to the number of the copy that it runs, four bytes.
    pub number: u16,
    /// Code to its table of copies, which begins with their number.
    pub table: u16,
    /// Table to the address of its first copy.
    pub first: u16,
}

/// Which allocator serves the domains of `PyMem_SetAllocator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// pymalloc, up to 512 bytes of "mem" and "obj"; the rest is malloc's.
    Pymalloc,
    /// mimalloc, all of "mem" and "obj" (free-threaded builds).
    Mimalloc,
    /// mimalloc, all of "raw" too (free-threaded builds from 3.15 on).
    MimallocForAll,
}

/// Frames and code objects.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Frame to its caller.
    pub back: u16,
    /// Frame to its code object.
    pub code: u16,
    /// Bits of a frame's references which are no address. A value with one of them set is not counted among an object's references:
    /// the frame of a caller has it, or it lives for ever, or it is no object (3.14 on).
    pub tag: u64,
    /// Frame to its instruction.
    pub instruction: u16,
    /// What the instruction is.
    pub instruction_kind: Instruction,
    /// Frame to its owner (3.11 on).
    pub owner: Option<u16>,
    /// Frame to its globals.
    pub globals: u16,
    /// Frame to the dict of its local variables, of a module or a class body.
    pub locals: u16,
    /// Frame to its first local variable.
    pub first_local: u16,
    /// Frame to where its stack ends.
    pub stack: u16,
    /// What that is.
    pub stack_kind: Stack,
    /// Frame object to its frame (3.11 on); before, they are one.
    pub frame_object: Option<u16>,
    /// Generator to its frame: a pointer up to 3.10, the frame itself later.
    pub generator: u16,
    /// Generator to the state of its frame, a signed byte (3.11 on).
    pub generator_state: Option<u16>,
    /// The least state of a frame that has ended.
    pub generator_ended: i8,
    /// Code to `co_filename`, `co_name`, `co_firstlineno`.
    pub filename: u16,
    /// Code to its name.
    pub name: u16,
    /// Code to its first line.
    pub first_line: u16,
    /// Code to its line table.
    pub line_table: u16,
    /// How to read that.
    pub line_table_kind: LineTable,
    /// Code to its bytecode: the first byte of it from 3.11 on, before that a pointer to a `bytes`.
    pub bytecode: u16,
    /// Where its copies are, if there are any.
    pub copies: Option<Copies>,
    /// Code to the number of its first instruction that counts as begun, `_co_firsttraceable` (3.11 on).
    pub first_traceable: u16,
    /// Code to the names of its local variables, with those of cells from 3.11 on.
    pub local_names: u16,
    /// Code to the names of cells and of free variables (up to 3.10).
    pub cell_names: Option<[u16; 2]>,
    /// Code to the most temporary values that it has.
    pub stack_size: u16,
}

/// Objects of every kind.
#[derive(Clone, Copy, Debug)]
pub struct Objects {
    /// Bytes that the header of each object has more than with the GIL.
    pub longer_header: u16,
    /// Bits before the kind in the state word of a `str` that are more than with the GIL.
    pub str_state_shift: u8,
    /// How instances have attributes.
    pub attributes: Attributes,
    /// Heap type to the keys that its instances share.
    pub shared_keys: u16,
    /// Size of the header of `dict` keys.
    pub keys_header: u16,
    /// Whether keys have their sizes as logarithms (3.11 on).
    pub keys_are_compact: bool,
    /// Values to the first of them: what stands before is their own (3.13 on).
    pub values_header: u16,
    /// Bytes before an object that the garbage collector knows.
    pub collector_header: u16,
    /// Whether reference counts are 32 bits, and negative where an object lives for ever (3.12 on).
    pub has_immortals: bool,
    /// Whether an `int` has the number of its digits in a tag (3.12 on).
    pub has_tagged_ints: bool,
    /// Size of the header of an ASCII `str`, and of another.
    pub ascii_header: u16,
    /// The same of another.
    pub unicode_header: u16,
    /// Tuple to its first item.
    pub tuple_items: u16,
    /// Function to its defaults; keyword defaults follow.
    pub function_defaults: u16,
    /// Function to its closure.
    pub function_closure: u16,
    /// Function to its attributes.
    pub function_dict: u16,
    /// Bytes of a pool of pymalloc.
    pub pool_bytes: u64,
}

/// Offsets of one minor version, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Major and minor version.
    pub version: (u8, u8),
    /// Whether one thread at a time runs Python.
    pub has_gil: bool,
    /// Which allocator it has.
    pub allocator: Allocator,
    /// Interpreters and threads.
    pub runtime: Runtime,
    /// Frames and code objects.
    pub frames: Frames,
    /// Objects of every kind.
    pub objects: Objects,
}

impl Objects {
    /// Object to its type.
    pub const fn object_type(&self) -> u64 {
        OBJECT_TYPE + self.longer_header as u64
    }
    /// As [`OBJECT_SIZE`].
    pub const fn object_size(&self) -> u64 {
        OBJECT_SIZE + self.longer_header as u64
    }
    /// As [`STR_STATE`].
    pub const fn str_state(&self) -> u64 {
        STR_STATE + self.longer_header as u64
    }
    /// As [`BYTES_TEXT`].
    pub const fn bytes_text(&self) -> u64 {
        BYTES_TEXT + self.longer_header as u64
    }
}

/// Object to its type; the same in all versions with the GIL, as is all below.
pub const OBJECT_TYPE: u64 = 8;
/// Objects of variable size: to their number of items. Of a `str`, the number of characters; of `bytes`, that of bytes.
pub const OBJECT_SIZE: u64 = 16;
/// `str` to its state word.
pub const STR_STATE: u64 = 32;
/// `bytes` to its contents.
pub const BYTES_TEXT: u64 = 32;
/// Type to its name, a C string.
pub const TYPE_NAME: u64 = 24;
/// Type to the size of an instance, and of an item.
pub const TYPE_BASIC_SIZE: u64 = 32;
/// Type to its flags.
pub const TYPE_FLAGS: u64 = 168;
/// Type to its base.
pub const TYPE_BASE: u64 = 256;
/// Type to the dict of its attributes.
pub const TYPE_DICT: u64 = 264;
/// Type to where its instances have their dict.
pub const TYPE_DICT_OFFSET: u64 = 288;
/// Bytes of a type that are read at once.
pub const TYPE_BYTES: usize = 296;

/// What a frame's owner can be.
pub mod owner {
    /// A generator, whose frame may not have run yet without being incomplete.
    pub const GENERATOR: u8 = 1;
    /// A frame object; the function has ended.
    pub const FRAME_OBJECT: u8 = 2;
    /// From here on no Python function, but an entry from C (3.12 on), or the bottom of a thread's chain of frames (3.15 on).
    pub const NO_FUNCTION: u8 = 3;
}

/// Flags of a type.
pub mod flag {
    /// Values stand behind the object (3.13 on).
    pub const INLINE_VALUES: u64 = 1 << 2;
    /// A word for weak references stands before the object (3.12 on).
    pub const MANAGED_WEAKREF: u64 = 1 << 3;
    /// A word or two for attributes stand before the object (3.11 on).
    pub const MANAGED_DICT: u64 = 1 << 4;
    /// Made by a program, not by the compiler.
    pub const HEAP: u64 = 1 << 9;
    /// Ready to be used.
    pub const READY: u64 = 1 << 12;
    /// Known to the garbage collector.
    pub const COLLECTED: u64 = 1 << 14;
    /// Subclasses of `int`.
    pub const INT: u64 = 1 << 24;
    /// Subclasses of `list`.
    pub const LIST: u64 = 1 << 25;
    /// Subclasses of `tuple`.
    pub const TUPLE: u64 = 1 << 26;
    /// Subclasses of `bytes`.
    pub const BYTES: u64 = 1 << 27;
    /// Subclasses of `str`.
    pub const STR: u64 = 1 << 28;
    /// Subclasses of `dict`.
    pub const DICT: u64 = 1 << 29;
    /// Subclasses of `type`.
    pub const TYPE: u64 = 1 << 31;
}
