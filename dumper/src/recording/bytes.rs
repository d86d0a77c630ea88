//! Little-endian numbers at offsets that the layout names.

/// The number at `offset`; zero where the bytes end before it.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let end = offset.saturating_add(4);
    let field = bytes.get(offset..end).and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

/// The number at `offset`; zero where the bytes end before it.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let end = offset.saturating_add(8);
    let field = bytes.get(offset..end).and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes)
}
