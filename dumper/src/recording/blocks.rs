//! The large blocks and mappings that are live: read by themselves, while the process runs.

use std::mem::{offset_of, size_of};

use recording::{Header, Kind, NOT_LOOKED_AT, Table};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use super::{bytes, facts, read_header};
use crate::damage::Findings;
use crate::error::{Error, ReadError};
use crate::folder::Place;
use crate::profile::Facts;
use crate::profile::measured::Large;

/// Memory of known place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte.
    pub address: u64,
    /// How many were asked for.
    pub bytes: u64,
    /// The site that it counts for, by its place in the recording.
    pub site: u32,
    /// What kind of memory it is.
    pub kind: Kind,
    /// How many of its bytes were not in memory when its process looked at it last; none if it has not.
    pub absent: Option<u64>,
}

/// What a recording says at this moment of its process and of the blocks that it keeps one by one.
///
/// # Errors
///
/// It cannot be read, or is none.
pub fn read(recording: &Place) -> Result<(Facts, Vec<Block>), Error> {
    bytes::read_file(recording, read_from)
}

fn read_from<B: Bytes + ?Sized>(file: &B) -> Result<(Facts, Vec<Block>), ReadError> {
    let header = read_header(file)?;
    let mut found = Findings::default();
    let tables = Tables::find(file, &header, &mut found);
    let facts = facts::read(&header, &tables, &mut found);
    Ok((facts, all(&tables)))
}

/// Those that are live.
fn all<B: Bytes + ?Sized>(tables: &Tables<B>) -> Vec<Block> {
    let blocks = numbered(tables).into_iter();
    blocks.map(|(_, block)| block).collect()
}

/// Those that are live, each with its number.
fn numbered<B: Bytes + ?Sized>(tables: &Tables<B>) -> Vec<(usize, Block)> {
    let mut blocks = Vec::new();
    tables.each(Table::Blocks, |number, record| {
        let address = u64_at(record, offset_of!(recording::Block, address));
        if address != 0 {
            let block = Block {
                address,
                bytes: u64_at(record, offset_of!(recording::Block, bytes)),
                site: u32_at(record, offset_of!(recording::Block, site)),
                kind: Kind::from_code(u32_at(record, offset_of!(recording::Block, flags))),
                absent: absent(record),
            };
            blocks.push((number, block));
        }
    });
    blocks
}

fn absent(record: &[u8]) -> Option<u64> {
    let at = offset_of!(recording::Block, absent);
    let is_there = record.len() >= at + size_of::<u64>();
    Some(u64_at(record, at)).filter(|absent| is_there && *absent != NOT_LOOKED_AT)
}

/// What the profile needs to know of them.
pub(super) fn large<B: Bytes + ?Sized>(header: &[u8], tables: &Tables<B>) -> Vec<Large> {
    let newest = match u32_at(header, offset_of!(Header, version)) {
        ..3 => 0,
        _ => u32_at(header, offset_of!(Header, newest_block)),
    };
    let blocks = numbered(tables).into_iter();
    let large = blocks.map(|(number, block)| Large {
        site: block.site,
        kind: block.kind,
        bytes: block.bytes,
        absent: block.absent.map(|absent| absent.min(block.bytes)),
        is_newest: number + 1 == newest as usize,
    });
    large.collect()
}
