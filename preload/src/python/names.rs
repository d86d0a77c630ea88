//! Python's `str` as UTF-8, read from the object. Pure over [`Memory`].

use cpython::Layout;

use super::walk::Memory;
use crate::text::Text;

/// Longest name kept, in bytes; the recording shortens at the same length.
pub type Name = Text<{ recording::MAX_STRING_BYTES + 4 }>;

const KIND: u32 = 0x1C;
const COMPACT: u32 = 0x20;
const ASCII: u32 = 0x40;

/// Appends the text of the `str` at this address. Bytes that Python could not decode (`surrogateescape`) come out as they were;
/// other lone surrogates as U+FFFD.
pub fn append(memory: &impl Memory, layout: &Layout, object: u64, name: &mut Name) {
    let state = memory.half(object + layout.objects.str_state()) >> layout.objects.str_state_shift;
    if state & COMPACT == 0 {
        name.push(b"?");
        return;
    }
    let header = if state & ASCII != 0 {
        layout.objects.ascii_header
    } else {
        layout.objects.unicode_header
    };
    let text = object + header as u64;
    let width = (state & KIND) >> 2;
    for index in 0..memory.word(object + layout.objects.object_size()) {
        let character = match width {
            1 => memory.byte(text + index) as u32,
            2 => memory.byte(text + 2 * index) as u32 | (memory.byte(text + 2 * index + 1) as u32) << 8,
            4 => memory.half(text + 4 * index),
            _ => return,
        };
        match character {
            0xDC80..=0xDCFF => name.push(&[(character - 0xDC00) as u8]),
            _ => {
                let character = char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER);
                name.push(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if name.is_cut() {
            return;
        }
    }
}
