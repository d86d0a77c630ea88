//! The large blocks and mappings that are live: read by themselves, while the process runs.

use std::mem::offset_of;

use recording::{Kind, Table};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use super::{bytes, facts, read_header};
use crate::damage::Findings;
use crate::error::{Error, ReadError};
use crate::folder::Place;
use crate::profile::Facts;

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
    let mut blocks = Vec::new();
    tables.each(Table::Blocks, |_, record| {
        let address = u64_at(record, offset_of!(recording::Block, address));
        if address != 0 {
            blocks.push(Block {
                address,
                bytes: u64_at(record, offset_of!(recording::Block, bytes)),
                site: u32_at(record, offset_of!(recording::Block, site)),
                kind: Kind::from_code(u32_at(record, offset_of!(recording::Block, flags))),
            });
        }
    });
    Ok((facts, blocks))
}
