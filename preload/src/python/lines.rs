//! From an instruction to its source line: the three encodings that CPython 3.6 to 3.13 use. Pure.

use super::layout::LineTable;

/// The line of the instruction at byte offset `at` of the bytecode; `first_line` where the table has none for it.
pub fn line(format: LineTable, table: impl Iterator<Item = u8>, first_line: u32, at: i32) -> u32 {
    let found = match format {
        LineTable::Increments => by_increments(table, first_line as i32, at),
        LineTable::Ranges => by_ranges(table, first_line as i32, at),
        LineTable::Locations => by_locations(table, first_line as i32, at),
    };
    found.filter(|line| *line > 0).map_or(first_line, |line| line as u32)
}

fn by_increments(mut table: impl Iterator<Item = u8>, first_line: i32, at: i32) -> Option<i32> {
    let (mut address, mut line) = (0i32, first_line);
    while let (Some(bytes), Some(lines)) = (table.next(), table.next()) {
        address = address.saturating_add(bytes as i32);
        if address > at {
            break;
        }
        line = line.saturating_add(lines as i8 as i32);
    }
    Some(line)
}

fn by_ranges(mut table: impl Iterator<Item = u8>, first_line: i32, at: i32) -> Option<i32> {
    const NO_LINE: i8 = -128;
    let (mut end, mut line) = (0i32, first_line);
    while let (Some(bytes), Some(lines)) = (table.next(), table.next()) {
        end = end.saturating_add(bytes as i32);
        let lines = lines as i8;
        if lines != NO_LINE {
            line = line.saturating_add(lines as i32);
        }
        if at < end {
            return (lines != NO_LINE).then_some(line);
        }
    }
    None
}

fn by_locations(mut table: impl Iterator<Item = u8>, first_line: i32, at: i32) -> Option<i32> {
    let (mut end, mut line) = (0i32, first_line);
    while let Some(first) = table.next() {
        let code = first >> 3 & 15;
        end = end.saturating_add((first as i32 & 7) * 2 + 2);
        let mut has_line = true;
        let (delta, columns) = match code {
            // Short forms: columns in one byte, same line.
            0..=9 => (0, 1),
            // One-line forms: the code carries the line delta.
            10..=12 => (code as i32 - 10, 2),
            13 => (signed(&mut table)?, 0),
            14 => {
                let delta = signed(&mut table)?;
                for _end_line_and_columns in 0..3 {
                    unsigned(&mut table)?;
                }
                (delta, 0)
            }
            _ => {
                has_line = false;
                (0, 0)
            }
        };
        for _column in 0..columns {
            table.next()?;
        }
        line = line.saturating_add(delta);
        if at < end {
            return has_line.then_some(line);
        }
    }
    None
}

/// Six bits a byte, the lowest first, bit 6 for "more".
fn unsigned(table: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let (mut value, mut shift) = (0u32, 0);
    loop {
        let byte = table.next()?;
        value |= (byte as u32 & 63).checked_shl(shift)?;
        if byte & 64 == 0 {
            return Some(value);
        }
        shift += 6;
    }
}

fn signed(table: &mut impl Iterator<Item = u8>) -> Option<i32> {
    let value = unsigned(table)?;
    let magnitude = (value >> 1) as i32;
    Some(if value & 1 == 0 { magnitude } else { -magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(format: LineTable, table: &[u8], first_line: u32, at: i32) -> u32 {
        line(format, table.iter().copied(), first_line, at)
    }

    #[test]
    fn increments_count_up_to_the_instruction() {
        // Line 10 at 0, 11 at 6, 15 at 8, 13 at 20.
        let table = [6, 1, 2, 4, 12, 254u8];
        let lines: Vec<_> = [0, 5, 6, 7, 8, 19, 20, 400]
            .iter()
            .map(|i| at(LineTable::Increments, &table, 10, *i))
            .collect();
        assert_eq!(lines, [10, 10, 11, 11, 15, 15, 13, 13]);
    }

    #[test]
    fn ranges_may_have_no_line() {
        let table = [4, 1, 2, 128, 6, 2];
        let lines: Vec<_> = [0, 3, 4, 6, 11, 12]
            .iter()
            .map(|i| at(LineTable::Ranges, &table, 10, *i))
            .collect();
        assert_eq!(lines, [11, 11, 10, 13, 13, 10]);
    }

    #[test]
    fn locations_are_read_in_every_form() {
        // short form, 1 unit, same line; one-line form +2, 2 units; no columns, −1, 1 unit; long, +70, 1 unit; none, 1 unit.
        let table = [
            0x80,
            0,
            0x80 | 12 << 3 | 1,
            0,
            0,
            0x80 | 13 << 3,
            3,
            0x80 | 14 << 3,
            0x40 | 12,
            2,
            0,
            0,
            0,
            0x80 | 15 << 3,
        ];
        let lines: Vec<_> = [0, 2, 4, 6, 8, 10, 12]
            .iter()
            .map(|i| at(LineTable::Locations, &table, 10, *i))
            .collect();
        assert_eq!(lines, [10, 12, 12, 11, 81, 10, 10]);
    }

    proptest! {
        #[test]
        fn no_table_is_too_strange(table: Vec<u8>, first: u32, at_byte: i32) {
            for format in [LineTable::Increments, LineTable::Ranges, LineTable::Locations] {
                at(format, &table, first, at_byte);
            }
        }
    }
}
