//! The tables: each version, and what the next changes of it.

use super::{Allocator, Attributes, Copies, Frames, Instruction, Layout, LineTable, Objects, Running, Runtime, Stack};

const V3_7: Layout = Layout {
    version: (3, 7),
    has_gil: true,
    allocator: Allocator::Pymalloc,
    runtime: Runtime {
        interpreters: 24,
        next_interpreter: 0,
        threads: 8,
        modules: 40,
        next_thread: 8,
        thread_interpreter: 16,
        running: Running::Ident(176),
        native_thread: None,
        thread_dict: 152,
        handled: 144,
        handled_value: 8,
        handled_next: 24,
        raised: 96,
        frame: 24,
        through_cframe: None,
    },
    frames: Frames {
        back: 24,
        code: 32,
        tag: 0,
        instruction: 104,
        instruction_kind: Instruction::Bytes,
        owner: None,
        globals: 48,
        locals: 56,
        first_local: 360,
        stack: 72,
        stack_kind: Stack::Pointer,
        frame_object: None,
        generator: 16,
        generator_state: None,
        generator_ended: 1,
        filename: 96,
        name: 104,
        first_line: 36,
        line_table: 112,
        line_table_kind: LineTable::Increments,
        bytecode: 40,
        copies: None,
        first_traceable: 0,
        local_names: 64,
        cell_names: Some([80, 72]),
        stack_size: 28,
    },
    objects: Objects {
        longer_header: 0,
        str_state_shift: 0,
        attributes: Attributes::Dict,
        shared_keys: 856,
        keys_header: 40,
        keys_are_compact: false,
        values_header: 0,
        collector_header: 32,
        has_immortals: false,
        has_tagged_ints: false,
        ascii_header: 48,
        unicode_header: 72,
        tuple_items: 24,
        function_defaults: 32,
        function_closure: 48,
        function_dict: 72,
        pool_bytes: 4 << 10,
    },
};

/// It has no `_PyRuntime`, so nothing is read here but the frames of the thread that asks.
const V3_6: Layout = Layout {
    version: (3, 6),
    runtime: Runtime {
        running: Running::Ident(152),
        ..V3_7.runtime
    },
    frames: Frames {
        instruction: 120,
        ..V3_7.frames
    },
    ..V3_7
};

const V3_8: Layout = Layout {
    version: (3, 8),
    runtime: Runtime {
        interpreters: 32,
        modules: 56,
        ..V3_7.runtime
    },
    frames: Frames {
        filename: 104,
        name: 112,
        first_line: 40,
        line_table: 120,
        bytecode: 48,
        local_names: 72,
        cell_names: Some([88, 80]),
        stack_size: 32,
        ..V3_7.frames
    },
    objects: Objects {
        shared_keys: 872,
        collector_header: 16,
        ..V3_7.objects
    },
    ..V3_7
};

const V3_9: Layout = Layout {
    version: (3, 9),
    runtime: Runtime {
        modules: 856,
        ..V3_8.runtime
    },
    objects: Objects {
        shared_keys: 864,
        ..V3_8.objects
    },
    ..V3_8
};

const V3_10: Layout = Layout {
    version: (3, 10),
    frames: Frames {
        instruction: 96,
        instruction_kind: Instruction::Units,
        first_local: 352,
        stack: 80,
        stack_kind: Stack::Depth,
        line_table_kind: LineTable::Ranges,
        ..V3_9.frames
    },
    objects: Objects {
        shared_keys: 872,
        function_defaults: 56,
        function_closure: 72,
        function_dict: 88,
        pool_bytes: 16 << 10,
        ..V3_9.objects
    },
    ..V3_9
};

const V3_11: Layout = Layout {
    version: (3, 11),
    runtime: Runtime {
        interpreters: 40,
        threads: 16,
        modules: 888,
        running: Running::Ident(152),
        native_thread: Some(160),
        thread_dict: 128,
        handled: 120,
        handled_value: 0,
        handled_next: 8,
        raised: 104,
        frame: 56,
        through_cframe: Some(8),
        ..V3_10.runtime
    },
    frames: Frames {
        back: 48,
        code: 32,
        tag: 0,
        instruction: 56,
        instruction_kind: Instruction::Pointer,
        owner: Some(69),
        globals: 8,
        locals: 24,
        first_local: 72,
        stack: 64,
        stack_kind: Stack::Top,
        frame_object: Some(24),
        generator: 80,
        generator_state: Some(75),
        generator_ended: 1,
        filename: 112,
        name: 120,
        first_line: 72,
        line_table: 136,
        line_table_kind: LineTable::Locations,
        bytecode: 184,
        copies: None,
        first_traceable: 168,
        local_names: 96,
        cell_names: None,
        stack_size: 68,
    },
    objects: Objects {
        attributes: Attributes::Before,
        keys_header: 32,
        keys_are_compact: true,
        ..V3_10.objects
    },
    ..V3_10
};

const V3_12: Layout = Layout {
    version: (3, 12),
    runtime: Runtime {
        threads: 72,
        modules: 944,
        running: Running::Status(24),
        native_thread: Some(144),
        thread_dict: 112,
        handled: 104,
        raised: 96,
        through_cframe: Some(0),
        ..V3_11.runtime
    },
    frames: Frames {
        back: 8,
        code: 0,
        owner: Some(70),
        globals: 24,
        locals: 40,
        generator: 72,
        generator_state: Some(67),
        first_line: 68,
        bytecode: 192,
        first_traceable: 176,
        stack_size: 64,
        ..V3_11.frames
    },
    objects: Objects {
        attributes: Attributes::Tagged,
        shared_keys: 880,
        has_immortals: true,
        has_tagged_ints: true,
        ascii_header: 40,
        unicode_header: 56,
        ..V3_11.objects
    },
    ..V3_11
};

const V3_13: Layout = Layout {
    version: (3, 13),
    runtime: Runtime {
        interpreters: 632,
        next_interpreter: 7264,
        threads: 7344,
        modules: 7656,
        running: Running::Status(32),
        native_thread: Some(160),
        thread_dict: 128,
        handled: 120,
        raised: 112,
        frame: 72,
        through_cframe: None,
        ..V3_12.runtime
    },
    frames: Frames {
        bytecode: 200,
        first_traceable: 184,
        ..V3_12.frames
    },
    objects: Objects {
        attributes: Attributes::Inline,
        values_header: 8,
        ..V3_12.objects
    },
    ..V3_12
};

const V3_14: Layout = Layout {
    version: (3, 14),
    runtime: Runtime {
        interpreters: 808,
        next_interpreter: 7272,
        modules: 7688,
        ..V3_13.runtime
    },
    frames: Frames {
        tag: 3,
        owner: Some(74),
        first_local: 80,
        stack_kind: Stack::TopPointer,
        bytecode: 208,
        first_traceable: 192,
        ..V3_13.frames
    },
    objects: Objects {
        tuple_items: 32,
        ..V3_13.objects
    },
    ..V3_13
};

const V3_15: Layout = Layout {
    version: (3, 15),
    runtime: Runtime {
        interpreters: 936,
        next_interpreter: 7264,
        threads: 7336,
        modules: 7592,
        native_thread: Some(184),
        thread_dict: 152,
        handled: 144,
        raised: 136,
        ..V3_14.runtime
    },
    frames: Frames {
        generator_ended: 5,
        ..V3_14.frames
    },
    objects: Objects {
        shared_keys: 888,
        ..V3_14.objects
    },
    ..V3_14
};

/// A free-threaded build: each object begins with 16 bytes more, which are the owning thread and a second reference count, and has nothing
/// before it for the garbage collector.
const fn without_gil(with: Layout) -> Layout {
    let Layout { frames, objects, .. } = with;
    const MORE: u16 = 16;
    let generator_state = match frames.generator_state {
        Some(at) => Some(at + MORE),
        None => None,
    };
    let frame_object = match frames.frame_object {
        Some(at) => Some(at + MORE),
        None => None,
    };
    Layout {
        has_gil: false,
        allocator: Allocator::Mimalloc,
        frames: Frames {
            frame_object,
            generator: frames.generator + MORE,
            generator_state,
            filename: frames.filename + MORE,
            name: frames.name + MORE,
            first_line: frames.first_line + MORE,
            line_table: frames.line_table + MORE,
            bytecode: frames.bytecode + MORE,
            first_traceable: frames.first_traceable + MORE,
            local_names: frames.local_names + MORE,
            stack_size: frames.stack_size + MORE,
            ..frames
        },
        objects: Objects {
            longer_header: MORE,
            shared_keys: objects.shared_keys + MORE,
            collector_header: 0,
            ascii_header: objects.ascii_header + MORE,
            unicode_header: objects.unicode_header + MORE,
            tuple_items: objects.tuple_items + MORE,
            function_defaults: objects.function_defaults + MORE,
            function_closure: objects.function_closure + MORE,
            function_dict: objects.function_dict + MORE,
            ..objects
        },
        ..with
    }
}

const V3_13_FREE: Layout = Layout {
    runtime: Runtime {
        modules: 7664,
        ..V3_13.runtime
    },
    ..without_gil(V3_13)
};

/// As 3.14 and 3.15 have it: copies of the bytecode, and more bits in front in the state of a `str`.
const fn with_copies(before: Layout) -> Layout {
    Layout {
        frames: Frames {
            tag: 1,
            owner: Some(78),
            bytecode: 232,
            copies: Some(Copies {
                number: 72,
                table: 224,
                first: 8,
            }),
            ..before.frames
        },
        objects: Objects {
            str_state_shift: 6,
            ..before.objects
        },
        ..before
    }
}

const V3_14_FREE: Layout = Layout {
    runtime: Runtime {
        modules: 7712,
        ..V3_14.runtime
    },
    ..with_copies(without_gil(V3_14))
};

const V3_15_FREE: Layout = Layout {
    allocator: Allocator::MimallocForAll,
    ..with_copies(without_gil(V3_15))
};

/// The layout of a CPython without the GIL, if it is known.
pub fn of_free_threaded(major: u8, minor: u8) -> Option<&'static Layout> {
    Some(match (major, minor) {
        (3, 13) => &V3_13_FREE,
        (3, 14) => &V3_14_FREE,
        (3, 15) => &V3_15_FREE,
        _ => return None,
    })
}

/// The layout of a CPython with the GIL, if it is known.
pub fn of(major: u8, minor: u8) -> Option<&'static Layout> {
    Some(match (major, minor) {
        (3, 6) => &V3_6,
        (3, 7) => &V3_7,
        (3, 8) => &V3_8,
        (3, 9) => &V3_9,
        (3, 10) => &V3_10,
        (3, 11) => &V3_11,
        (3, 12) => &V3_12,
        (3, 13) => &V3_13,
        (3, 14) => &V3_14,
        (3, 15) => &V3_15,
        _ => return None,
    })
}

/// The newest layout that is known.
pub const NEWEST: Layout = V3_15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_threaded_builds_are_as_their_headers_say() {
        for (minor, bytecode, first_traceable, owner) in [(13, 216, 200, 70), (14, 232, 208, 78), (15, 232, 208, 78)] {
            let Layout { frames, objects, .. } = of_free_threaded(3, minor).expect("a known version");
            let code = [
                frames.filename,
                frames.name,
                frames.first_line,
                frames.line_table,
                frames.local_names,
                frames.stack_size,
            ];
            assert_eq!(code, [128, 136, 84, 152, 112, 80], "3.{minor}");
            let others = (frames.bytecode, frames.first_traceable, frames.owner);
            assert_eq!(others, (bytecode, first_traceable, Some(owner)), "3.{minor}");
            let generator = (frames.frame_object, frames.generator, frames.generator_state);
            assert_eq!(generator, (Some(40), 88, Some(83)), "3.{minor}");
            assert_eq!((objects.ascii_header, objects.unicode_header), (56, 72), "3.{minor}");
            let headers = [
                objects.object_type(),
                objects.object_size(),
                objects.str_state(),
                objects.bytes_text(),
            ];
            assert_eq!(headers, [24, 32, 48, 48], "3.{minor}");
        }
    }
}
