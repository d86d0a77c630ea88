//! Blocks that objects of unknown types point to. Such a pointer may be of the owner of the block, of one that borrows it, or a remain of
//! earlier times in memory that was never filled. So it is a claim, and stands back behind what is known: a block of a list, an array or
//! another object of a known type is not claimed by anybody else, and several who claim the same block have a part of it each.

use super::{Expansion, Objects};
use crate::blocks;
use crate::fast::{Map, Set};
use crate::reader::Object;

/// Blocks whose owners are remembered. There are few large ones.
const MOST_OWNED: usize = 1 << 14;
const MOST_CLAIMED: usize = 1 << 12;
/// Those who claim the same block, as far as they are told apart.
const MOST_CLAIMANTS: usize = 16;
/// A smaller block is never claimed.
pub const SMALLEST: u64 = 1 << 10;

/// A block that an object of an unknown type points to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Where it begins.
    pub address: u64,
    /// How large it is.
    pub bytes: u64,
    /// Who allocated it.
    pub site: Option<u32>,
}

/// Who has which large block, as far as it was seen.
#[derive(Default)]
pub struct Owners {
    owned: Set<u64>,
    claimed: Map<u64, Vec<u64>>,
}

impl Owners {
    /// An object of a known type has this block for itself.
    pub fn own(&mut self, address: u64, bytes: u64) {
        if bytes >= SMALLEST && self.owned.len() < MOST_OWNED {
            self.owned.insert(address);
        }
    }

    /// Notes that an object claims a block; false if there are too many claims already.
    fn claim(&mut self, address: u64, object: u64) -> bool {
        if self.claimed.len() >= MOST_CLAIMED && !self.claimed.contains_key(&address) {
            return false;
        }
        let claimants = self.claimed.entry(address).or_default();
        if !claimants.contains(&object) && claimants.len() < MOST_CLAIMANTS {
            claimants.push(object);
        }
        true
    }

    /// The part of a block that each who claims it has.
    pub fn part(&self, address: u64) -> f64 {
        if self.owned.contains(&address) {
            return 0.0;
        }
        let claimants = self.claimed.get(&address).map_or(1, Vec::len);
        1.0 / claimants.max(1) as f64
    }
}

impl Objects<'_> {
    /// Claims the block of at least so many bytes that begins at an address; false if there is none.
    pub(super) fn claim(&mut self, object: Object, address: u64, smallest: u64, into: &mut Expansion) -> bool {
        let recorded = self.blocks.and_then(|blocks| blocks.size(address));
        let bytes = recorded.or_else(|| {
            // What has been freed may look like a block. If it is not among those that are recorded, it is none.
            let least = self.blocks.map_or(u64::MAX, |blocks| blocks.least());
            blocks::large(&mut self.reader, address).filter(|bytes| *bytes < least)
        });
        match bytes.filter(|bytes| (smallest..=self.reader.pages.writable_bytes()).contains(bytes)) {
            Some(bytes) => {
                self.claim_block(object, address, bytes, into);
                true
            }
            None => false,
        }
    }

    /// Claims this very block.
    pub(super) fn claim_block(&mut self, object: Object, address: u64, bytes: u64, into: &mut Expansion) {
        let is_known = into.claims.iter().any(|claim| claim.address == address);
        if !is_known && self.owners.claim(address, object.address) {
            into.claims.push(Claim {
                address,
                bytes,
                site: self.blocks.and_then(|blocks| blocks.site(address)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_a_known_type_is_claimed_by_nobody_and_several_have_a_part_each() {
        let mut owners = Owners::default();
        owners.own(4096, 1 << 20);
        owners.own(8192, 100);
        for (block, object) in [(4096, 1), (8192, 1), (8192, 2), (8192, 2), (64, 3)] {
            assert!(owners.claim(block, object));
        }
        assert_eq!(
            [4096, 8192, 64, 32].map(|block| owners.part(block)),
            [0.0, 0.5, 1.0, 1.0]
        );
        for block in 0..10_000 {
            owners.own(block * 4096, 4096);
            owners.claim(block * 4096 + 16, 7);
        }
        assert!(owners.claimed.len() <= MOST_CLAIMED);
    }
}
