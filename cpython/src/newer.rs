//! A CPython that is newer than every layout here. Its `_PyRuntime` begins with `_Py_DebugOffsets`, which says where frames and code
//! objects keep what. That structure changes between versions, too: it is made of groups, which have grown behind what we need. So
//! the beginning of each group is looked for. Whoever uses this checks that it fits before he trusts it.

use crate::{Frames, Layout, NEWEST, OBJECT_SIZE, Objects, Runtime, STR_STATE};

/// What `_PyRuntime` begins with from 3.13 on.
pub const COOKIE: &[u8; 8] = b"xdebugpy";
/// Words of `_PyRuntime` that [`layout`] wants: those of 3.15's `_Py_DebugOffsets`, and as many as it may have grown by.
pub const WORDS: usize = 160;

/// The layout of a newer version, from the first words of its `_PyRuntime`. What is not said there is as in the newest known one.
/// `None` for a build without the GIL.
pub fn layout(version: (u8, u8), words: &[u64]) -> Option<Layout> {
    let [cookie, number, free_threaded, groups @ ..] = words else {
        return None;
    };
    let told = (*number as u32).to_be_bytes();
    if cookie.to_le_bytes() != *COOKIE
        || (told[0], told[1]) != version
        || *free_threaded != 0
        || version < NEWEST.version
    {
        return None;
    }
    let [_, _, _, _, frame] = group(groups, |[size, previous, next, interpreter, frame]| {
        [previous, next, interpreter] == [0, 8, 16] && frame < size
    })?;
    let [_, back, code, instruction, first_local, owner] =
        group(groups, |[size, back, code, instruction, first_local, owner]| {
            let pointers = [back, code, instruction];
            first_local + 8 == size && owner < first_local && pointers.iter().all(|at| *at < owner && at % 8 == 0)
        })?;
    let [
        _,
        filename,
        name,
        _,
        line_table,
        first_line,
        _,
        local_names,
        _,
        bytecode,
    ] = group(
        groups,
        |[size, filename, name, qualified, table, first_line, _, _, _, bytecode]| {
            [name, qualified] == [filename + 8, filename + 16]
                && first_line < filename
                && table < bytecode
                && bytecode < size
        },
    )?;
    let [_, _, _, ascii_header, unicode_header] = group(groups, |[size, state, length, ascii, unicode]| {
        [state, length] == [STR_STATE, OBJECT_SIZE] && ascii < unicode && unicode <= size
    })?;
    let offset = |value: u64| u16::try_from(value).ok();
    Some(Layout {
        version,
        has_gil: true,
        allocator: NEWEST.allocator,
        runtime: Runtime {
            frame: offset(frame)?,
            ..NEWEST.runtime
        },
        frames: Frames {
            back: offset(back)?,
            code: offset(code)?,
            instruction: offset(instruction)?,
            owner: Some(offset(owner)?),
            first_local: offset(first_local)?,
            filename: offset(filename)?,
            name: offset(name)?,
            first_line: offset(first_line)?,
            line_table: offset(line_table)?,
            local_names: offset(local_names)?,
            bytecode: offset(bytecode)?,
            first_traceable: offset(bytecode)?.checked_sub(NEWEST.frames.bytecode - NEWEST.frames.first_traceable)?,
            ..NEWEST.frames
        },
        objects: Objects {
            ascii_header: offset(ascii_header)?,
            unicode_header: offset(unicode_header)?,
            ..NEWEST.objects
        },
    })
}

/// The first words in a row that can be this group. Offsets are small: larger words are none, and do not add up.
fn group<const N: usize>(words: &[u64], fits: impl Fn([u64; N]) -> bool) -> Option<[u64; N]> {
    let mut groups = words.windows(N).filter_map(|group| <[u64; N]>::try_from(group).ok());
    groups.find(|group| group.iter().all(|word| *word < 1 << 20) && fits(*group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The beginning of `_PyRuntime` of 3.15.2, with its version, more words at the end of the groups of threads and of frames, and with
    /// `more` bytes in front of what code objects have.
    fn runtime(version: u64, inserted: usize, more: u64) -> Vec<u64> {
        let mut words = vec![u64::from_le_bytes(*COOKIE), version, 0, 346_568, 912, 936];
        words.extend([
            226_240, 7272, 7264, 7336, 7352, 7400, 7592, 7576, 7584, 16, 7736, 0, 7752, 7744, 7944, 0,
        ]);
        words.extend([888, 0, 8, 16, 72, 80, 88, 96, 176, 184, 256, 32, 36, 40, 136, 288]);
        words.extend(vec![48; inserted]);
        words.extend([0, 88, 8, 0, 56, 80, 74, 64, 0]);
        words.extend(vec![5; inserted]);
        words.push(216 + more);
        words.extend([112, 120, 128, 136, 68, 52, 96, 104, 208].map(|at| at + more));
        words.extend([
            0, 16, 8, 424, 24, 88, 168, 32, 288, 944, 888, 40, 32, 16, 40, 24, 16, 200, 24, 40, 32, 48, 32, 40, 24, 16,
        ]);
        words.extend([
            32, 16, 24, 40, 16, 32, 64, 32, 16, 40, 56, 176, 112, 120, 1120, 104, 160, 24, 72, 67, 0, 8, 24, 344, 8028,
        ]);
        words
    }

    #[test]
    fn what_a_newer_python_says_of_itself_is_found_where_it_has_moved_to() {
        for inserted in 0..4 {
            let found = layout((3, 16), &runtime(0x0310_00f0, inserted, 8)).expect("a layout");
            assert_eq!((found.version, found.runtime.frame), ((3, 16), 72));
            let Frames {
                back,
                code,
                instruction,
                owner,
                filename,
                name,
                first_line,
                line_table,
                bytecode,
                first_traceable,
                ..
            } = found.frames;
            assert_eq!((back, code, instruction, owner), (8, 0, 56, Some(74)), "{inserted}");
            assert_eq!(
                (filename, name, first_line, line_table),
                (120, 128, 76, 144),
                "{inserted}"
            );
            assert_eq!((bytecode, first_traceable), (216, 200), "{inserted}");
            assert_eq!((found.objects.ascii_header, found.objects.unicode_header), (40, 56));
        }
    }

    #[test]
    fn nothing_is_made_of_what_cannot_be_read() {
        let good = runtime(0x0310_00f0, 0, 0);
        assert!(layout((3, 16), &good).is_some());
        assert!(layout((3, 17), &good).is_none(), "another version");
        let mut free_threaded = good.clone();
        free_threaded[2] = 1;
        assert!(layout((3, 16), &free_threaded).is_none());
        let mut cookie = good.clone();
        cookie[0] = 0;
        assert!(layout((3, 16), &cookie).is_none());
        for length in 0..80 {
            assert!(layout((3, 16), &good[..length]).is_none(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_words_are_too_strange(tail: Vec<u64>, small: Vec<u8>) {
            let mut words = runtime(0x0310_00f0, 0, 0);
            words.truncate(3);
            words.extend(tail);
            words.extend(small.into_iter().map(u64::from));
            layout((3, 16), &words);
        }
    }
}
