//! From an instruction to its source line: the three encodings that CPython uses. Pure.

use crate::LineTable;

/// The line of the instruction at byte offset `at` of the bytecode; `first_line` where the table has none for it.
pub fn line(kind: LineTable, mut table: impl Iterator<Item = u8>, first_line: u32, at: u64) -> u32 {
    let first = i64::from(first_line);
    let table = &mut table;
    let found = match kind {
        LineTable::Increments => by_increments(table, first, at),
        LineTable::Ranges => by_ranges(table, first, at),
        LineTable::Locations => by_locations(table, first, at),
    };
    found
        .and_then(|line| u32::try_from(line).ok())
        .filter(|line| *line > 0)
        .unwrap_or(first_line)
}

fn by_increments(table: &mut impl Iterator<Item = u8>, first: i64, at: u64) -> Option<i64> {
    let (mut address, mut line) = (0, first);
    while let (Some(bytes), Some(lines)) = (table.next(), table.next()) {
        address += u64::from(bytes);
        if address > at {
            break;
        }
        line += i64::from(lines as i8);
    }
    Some(line)
}

fn by_ranges(table: &mut impl Iterator<Item = u8>, first: i64, at: u64) -> Option<i64> {
    const NO_LINE: i8 = -128;
    let (mut end, mut line) = (0, first);
    while let (Some(bytes), Some(lines)) = (table.next(), table.next()) {
        end += u64::from(bytes);
        let lines = lines as i8;
        if lines != NO_LINE {
            line += i64::from(lines);
        }
        if at < end {
            return (lines != NO_LINE).then_some(line);
        }
    }
    None
}

fn by_locations(table: &mut impl Iterator<Item = u8>, first: i64, at: u64) -> Option<i64> {
    let (mut end, mut line) = (0, first);
    while let Some(entry) = table.next() {
        end += u64::from(entry & 7) * 2 + 2;
        // How much the line changes, and how many bytes about columns follow.
        let (change, columns) = match entry >> 3 & 15 {
            0..=9 => (Some(0), 1),
            code @ 10..=12 => (Some(i64::from(code) - 10), 2),
            13 => (Some(signed(table)?), 0),
            14 => {
                let change = signed(table)?;
                for _end_line_and_columns in 0..3 {
                    unsigned(table)?;
                }
                (Some(change), 0)
            }
            _ => (None, 0),
        };
        for _column in 0..columns {
            table.next()?;
        }
        line += change.unwrap_or(0);
        if at < end {
            return change.map(|_| line);
        }
    }
    None
}

/// Six bits a byte, the lowest first, bit 6 for "more".
fn unsigned(table: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = table.next()?;
        value |= u32::from(byte & 63).checked_shl(shift)?;
        if byte & 64 == 0 {
            return Some(value);
        }
        shift += 6;
    }
}

fn signed(table: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let value = unsigned(table)?;
    let magnitude = i64::from(value >> 1);
    Some(if value & 1 == 0 { magnitude } else { -magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(kind: LineTable, table: &[u8], at: &[u64]) -> Vec<u32> {
        at.iter().map(|at| line(kind, table.iter().copied(), 10, *at)).collect()
    }

    #[test]
    fn each_encoding_is_read() {
        // Line 10 at 0, 11 at 6, 15 at 8, 13 at 20.
        let increments = lines(
            LineTable::Increments,
            &[6, 1, 2, 4, 12, 254],
            &[0, 5, 6, 7, 8, 19, 20, 400],
        );
        assert_eq!(increments, [10, 10, 11, 11, 15, 15, 13, 13]);
        let ranges = lines(LineTable::Ranges, &[4, 1, 2, 128, 6, 2], &[0, 3, 4, 6, 11, 12]);
        assert_eq!(ranges, [11, 11, 10, 13, 13, 10]);
        // Same line; two lines on, two units; a line back; 70 lines on, in the long form; none.
        let table = [128, 0, 225, 0, 0, 232, 3, 240, 76, 2, 0, 0, 0, 248];
        let locations = lines(LineTable::Locations, &table, &[0, 2, 4, 6, 8, 10, 12]);
        assert_eq!(locations, [10, 12, 12, 11, 81, 10, 10]);
    }

    proptest! {
        #[test]
        fn no_table_is_too_strange(table: Vec<u8>, first: u32, at: u64) {
            for kind in [LineTable::Increments, LineTable::Ranges, LineTable::Locations] {
                line(kind, table.iter().copied(), first, at);
            }
        }
    }
}
