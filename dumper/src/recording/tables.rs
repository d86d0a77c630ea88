//! Where the records of each table lie in the file.

use std::mem::offset_of;

use recording::{CHUNK_BYTES, HEADER_BYTES, Header, MAX_CHUNKS, Table};

use super::bytes::u32_at;
use crate::damage::{Damage, Findings};

/// The chunks of each table that are at least partly in the file, and how many records its header publishes.
pub(super) struct Tables<'a> {
    chunks: [Vec<&'a [u8]>; Table::ALL.len()],
    published: [usize; Table::ALL.len()],
}

impl<'a> Tables<'a> {
    pub(super) fn find(file: &'a [u8], found: &mut Findings) -> Tables<'a> {
        let sizes = [
            u32_at(file, offset_of!(Header, header_bytes)),
            u32_at(file, offset_of!(Header, chunk_bytes)),
        ];
        if sizes != [HEADER_BYTES as u32, CHUNK_BYTES as u32] {
            found.damage.push(Damage::Sizes);
        }
        let stated = u32_at(file, offset_of!(Header, chunk_count));
        if stated as usize > MAX_CHUNKS {
            found.damage.push(Damage::TooManyChunks(stated));
        }
        let count = MAX_CHUNKS.min(stated as usize);
        let expected = HEADER_BYTES + count * CHUNK_BYTES;
        if file.len() < expected {
            found.damage.push(Damage::Truncated {
                expected: expected as u64,
                actual: file.len() as u64,
            });
        }

        let kinds = &file[offset_of!(Header, chunk_kinds)..][..count];
        let data = file.get(HEADER_BYTES..).unwrap_or_default();
        let mut chunks: [Vec<&[u8]>; Table::ALL.len()] = Default::default();
        let mut unknown = 0;
        for (index, kind) in kinds.iter().enumerate() {
            let Some(of_table) = usize::from(*kind)
                .checked_sub(1)
                .and_then(|table| chunks.get_mut(table))
            else {
                unknown += 1;
                continue;
            };
            let begin = data.len().min(index * CHUNK_BYTES);
            let end = data.len().min(begin + CHUNK_BYTES);
            of_table.push(&data[begin..end]);
        }
        if unknown > 0 {
            found.damage.push(Damage::UnknownChunks(unknown));
        }

        let counts = offset_of!(Header, counts);
        let tables = Tables {
            chunks,
            published: Table::ALL.map(|table| u32_at(file, counts + 4 * slot(table)) as usize),
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

    /// The published records of a table that are wholly in the file, in the order of their ids.
    pub(super) fn records(&self, table: Table) -> impl Iterator<Item = &'a [u8]> {
        let whole = self.chunks[slot(table)]
            .iter()
            .flat_map(move |chunk| chunk.chunks_exact(table.record_bytes()));
        whole.take(self.published[slot(table)])
    }

    /// How many records [`Self::records`] yields.
    pub(super) fn present(&self, table: Table) -> usize {
        let in_file: usize = self.chunks[slot(table)]
            .iter()
            .map(|chunk| chunk.len() / table.record_bytes())
            .sum();
        in_file.min(self.published[slot(table)])
    }

    /// The published strings, as far as they are in the file.
    pub(super) fn strings(&self) -> Strings<'a> {
        Strings {
            chunks: self.chunks[slot(Table::Strings)].clone(),
            published: self.present(Table::Strings),
        }
    }
}

fn slot(table: Table) -> usize {
    table as usize - 1
}

/// The string table.
pub(super) struct Strings<'a> {
    chunks: Vec<&'a [u8]>,
    published: usize,
}

impl<'a> Strings<'a> {
    /// The bytes of the string with this id, or `None` if it is not wholly among the published ones.
    pub(super) fn get(&self, id: u32) -> Option<&'a [u8]> {
        let id = id as usize;
        let chunk = self.chunks.get(id / CHUNK_BYTES)?;
        let text = id % CHUNK_BYTES + 4;
        let length = u32_at(chunk.get(text - 4..text)?, 0) as usize;
        let text = chunk.get(text..text.checked_add(length)?)?;
        (id.is_multiple_of(4) && id + 4 + length <= self.published).then_some(text)
    }

    /// Bytes of all strings together.
    pub(super) fn len(&self) -> usize {
        self.published
    }
}
