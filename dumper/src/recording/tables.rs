//! Where the records of each table lie in the file.

use std::mem::offset_of;

use recording::{BLOCK_BYTES_2, CHUNK_BYTES, HEADER_BYTES, Header, MAX_CHUNKS, SITE_BYTES_1, Table};

use super::bytes::{Bytes, u32_at};
use crate::damage::{Damage, Findings};

/// The chunks of each table, and how many records its header publishes.
pub(super) struct Tables<'a, B: Bytes + ?Sized> {
    file: &'a B,
    chunks: [Vec<Chunk>; Table::ALL.len()],
    published: [usize; Table::ALL.len()],
    version: u32,
}

/// A chunk, as far as it is in the file.
#[derive(Clone, Copy)]
struct Chunk {
    offset: u64,
    length: usize,
}

impl<'a, B: Bytes + ?Sized> Tables<'a, B> {
    pub(super) fn find(file: &'a B, header: &[u8], found: &mut Findings) -> Tables<'a, B> {
        let sizes = [
            u32_at(header, offset_of!(Header, header_bytes)),
            u32_at(header, offset_of!(Header, chunk_bytes)),
        ];
        if sizes != [HEADER_BYTES as u32, CHUNK_BYTES as u32] {
            found.damage.push(Damage::Sizes);
        }
        let stated = u32_at(header, offset_of!(Header, chunk_count));
        if stated as usize > MAX_CHUNKS {
            found.damage.push(Damage::TooManyChunks(stated));
        }
        let count = MAX_CHUNKS.min(stated as usize);
        let expected = (HEADER_BYTES + count * CHUNK_BYTES) as u64;
        if file.length() < expected {
            found.damage.push(Damage::Truncated {
                expected,
                actual: file.length(),
            });
        }

        let kinds = &header[offset_of!(Header, chunk_kinds)..][..count];
        let mut chunks: [Vec<Chunk>; Table::ALL.len()] = Default::default();
        let mut unknown = 0;
        for (index, kind) in kinds.iter().enumerate() {
            let table = usize::from(*kind).checked_sub(1);
            let Some(of_table) = table.and_then(|table| chunks.get_mut(table)) else {
                unknown += 1;
                continue;
            };
            let offset = (HEADER_BYTES + index * CHUNK_BYTES) as u64;
            let length = file.length().saturating_sub(offset).min(CHUNK_BYTES as u64) as usize;
            of_table.push(Chunk { offset, length });
        }
        if unknown > 0 {
            found.damage.push(Damage::UnknownChunks(unknown));
        }

        let counts = offset_of!(Header, counts);
        let tables = Tables {
            file,
            chunks,
            published: Table::ALL.map(|table| u32_at(header, counts + 4 * slot(table)) as usize),
            version: u32_at(header, offset_of!(Header, version)),
        };
        for table in Table::ALL {
            let (published, present) = (tables.published[slot(table)], tables.present(table));
            if present < published {
                found.damage.push(Damage::MissingRecords {
                    table,
                    published: published as u32,
                    present: present as u32,
                });
            }
        }
        tables
    }

    /// Hands over the published records of a table that are wholly in the file, in the order of their ids.
    pub(super) fn each(&self, table: Table, mut take: impl FnMut(usize, &[u8])) {
        let mut id = 0;
        for chunk in &self.chunks[slot(table)] {
            let size = self.record_bytes(table);
            let records = (chunk.length / size).min(self.present(table) - id);
            if records == 0 {
                break;
            }
            // What is not there any more counts as zeros, so that ids stay what they are.
            let mut bytes = self.file.read(chunk.offset, records * size);
            bytes.resize(records * size, 0);
            for record in bytes.chunks_exact(size) {
                take(id, record);
                id += 1;
            }
        }
    }

    /// How many records [`Self::each`] hands over.
    pub(super) fn present(&self, table: Table) -> usize {
        let chunks = &self.chunks[slot(table)];
        let in_file: usize = chunks.iter().map(|chunk| chunk.length / self.record_bytes(table)).sum();
        in_file.min(self.published[slot(table)])
    }

    fn record_bytes(&self, table: Table) -> usize {
        match (table, self.version) {
            (Table::Sites, 1) => SITE_BYTES_1,
            (Table::Blocks, 1 | 2) => BLOCK_BYTES_2,
            _ => table.record_bytes(),
        }
    }

    /// The string with this id, straight from the file; `None` if it is not wholly among the published ones.
    pub(super) fn string(&self, id: u32) -> Option<Vec<u8>> {
        let chunk = self.chunks[slot(Table::Strings)].get(id as usize / CHUNK_BYTES)?;
        let offset = chunk.offset + u64::from(id) % CHUNK_BYTES as u64;
        let length = u32_at(&self.file.read(offset, 4), 0) as usize;
        let is_published = is_string(id, length, self.present(Table::Strings));
        let text = self.file.read(offset + 4, if is_published { length } else { 0 });
        (is_published && text.len() == length).then_some(text)
    }

    /// The published strings, as far as they are in the file.
    pub(super) fn strings(&self) -> StringTable {
        let mut bytes = Vec::with_capacity(self.present(Table::Strings));
        for chunk in &self.chunks[slot(Table::Strings)] {
            let left = self.present(Table::Strings) - bytes.len();
            let wanted = chunk.length.min(left);
            bytes.extend(self.file.read(chunk.offset, wanted));
            if wanted < CHUNK_BYTES || bytes.len() % CHUNK_BYTES != 0 {
                break;
            }
        }
        StringTable { bytes }
    }
}

fn slot(table: Table) -> usize {
    table as usize - 1
}

/// Whether a string with this id and length can be among so many bytes of strings.
fn is_string(id: u32, length: usize, published: usize) -> bool {
    let begin = id as usize;
    let end = begin.saturating_add(4).saturating_add(length);
    begin.is_multiple_of(4) && end <= published && begin / CHUNK_BYTES == (end - 1) / CHUNK_BYTES
}

/// The string table.
pub(super) struct StringTable {
    bytes: Vec<u8>,
}

impl StringTable {
    /// The bytes of the string with this id, or `None` if it is not wholly among the published ones.
    pub(super) fn get(&self, id: u32) -> Option<&[u8]> {
        let begin = id as usize;
        let length = u32_at(self.bytes.get(begin..)?, 0) as usize;
        is_string(id, length, self.bytes.len()).then(|| &self.bytes[begin + 4..begin + 4 + length])
    }

    /// Bytes of all strings together.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}
