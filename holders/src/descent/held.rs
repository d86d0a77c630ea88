//! What the descent from one object has found: in all, by type, by line, and as a tree.

use crate::fast::Map;
use crate::objects::Step;
use crate::types::TypeId;

/// Blocks that one root may claim.
const MOST_CLAIMS: usize = 2000;

/// A part of what was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) type_id: TypeId,
    pub(super) node: usize,
    pub(super) bytes: f64,
    pub(super) objects: f64,
    pub(super) is_exclusive: bool,
    /// Who allocated the largest of its recorded blocks, and how much of that this is.
    pub(super) site: Option<(u32, f64)>,
    /// Where the block begins that is only claimed.
    pub(super) claimed: Option<u64>,
}

/// A block that may be held.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    /// Where it begins.
    pub address: u64,
    /// Bytes of it by shares.
    bytes: f64,
    is_exclusive: bool,
    type_id: TypeId,
    node: usize,
    site: Option<(u32, f64)>,
}

/// A node of the tree of a root: all that is reached in the same steps.
#[derive(Clone, Debug)]
pub struct Node {
    /// The node above it.
    pub parent: usize,
    /// The step from there.
    pub step: Step,
    /// The type of the object that was found there first.
    pub type_id: TypeId,
    /// Bytes here and below.
    pub bytes: f64,
    /// Objects of this node alone.
    pub objects: f64,
}

/// What one root holds, for one reference to it of all that it has.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Its share.
    pub bytes: f64,
    /// The square of the standard error of that.
    pub variance: f64,
    /// What would be freed with it.
    pub exclusive: f64,
    /// How many objects.
    pub objects: f64,
    /// Bytes behind pointers of types that are not known, part of `bytes` once they are settled.
    pub supposed: f64,
    /// Blocks behind such pointers, as long as they are not settled.
    pub claims: Vec<Claimed>,
    /// By type: bytes and objects.
    pub types: Vec<(TypeId, f64, f64)>,
    /// By the place that allocated it, the bytes in recorded blocks.
    pub sites: Vec<(u32, f64)>,
    /// The tree; the first node is the root.
    pub nodes: Vec<Node>,
    /// Items of the object itself.
    pub length: Option<u64>,
    /// How many of them are of each type.
    pub items: Vec<(TypeId, f64)>,
    /// Whether the way was longer than is followed.
    pub is_cut: bool,
}

impl Held {
    /// Made of these parts.
    pub(super) fn of(mut self, parts: &[Part]) -> Self {
        let mut types: Map<TypeId, (f64, f64)> = Map::default();
        let mut sites: Map<u32, f64> = Map::default();
        for part in parts {
            if let Some(address) = part.claimed {
                claim(&mut self.claims, address, part);
                continue;
            }
            self.bytes += part.bytes;
            self.objects += part.objects;
            if part.is_exclusive {
                self.exclusive += part.bytes;
            }
            if let Some((site, bytes)) = part.site {
                *sites.entry(site).or_default() += bytes;
            }
            let of_type = types.entry(part.type_id).or_default();
            of_type.0 += part.bytes;
            of_type.1 += part.objects;
            let node = &mut self.nodes[part.node];
            node.bytes += part.bytes;
            node.objects += part.objects;
        }
        // A node comes after the one above it.
        for index in (1..self.nodes.len()).rev() {
            let (parent, bytes) = (self.nodes[index].parent, self.nodes[index].bytes);
            self.nodes[parent].bytes += bytes;
        }
        self.types = types
            .into_iter()
            .map(|(id, (bytes, objects))| (id, bytes, objects))
            .collect();
        self.sites = sites.into_iter().collect();
        self
    }

    /// What it may hold at most.
    pub fn most(&self) -> f64 {
        self.bytes + self.claimed(|_| 1.0)
    }

    /// Bytes of its claims, of each block this part.
    pub fn claimed(&self, part: impl Fn(u64) -> f64) -> f64 {
        self.claims.iter().map(|claim| claim.bytes * part(claim.address)).sum()
    }

    /// Adds this part of each block that is claimed.
    pub fn settle(&mut self, part: impl Fn(u64) -> f64) {
        for claim in std::mem::take(&mut self.claims) {
            let part = part(claim.address);
            let bytes = claim.bytes * part;
            if bytes <= 0.0 {
                continue;
            }
            self.bytes += bytes;
            self.supposed += bytes;
            if claim.is_exclusive && part == 1.0 {
                self.exclusive += bytes;
            }
            match self.types.iter_mut().find(|(id, ..)| *id == claim.type_id) {
                Some((_, of_type, _)) => *of_type += bytes,
                None => self.types.push((claim.type_id, bytes, 0.0)),
            }
            if let Some((site, of_site)) = claim.site {
                self.sites.push((site, of_site * part));
            }
            let mut at = claim.node;
            while let Some(node) = self.nodes.get_mut(at) {
                node.bytes += bytes;
                if at == 0 {
                    break;
                }
                at = node.parent;
            }
        }
    }

    /// All bytes times a factor.
    pub(super) fn times(mut self, factor: f64) -> Self {
        let of_types = self.types.iter_mut().map(|(_, bytes, _)| bytes);
        let of_sites = self.sites.iter_mut().map(|(_, bytes)| bytes);
        let of_nodes = self.nodes.iter_mut().map(|node| &mut node.bytes);
        let of_claims = self.claims.iter_mut().map(|claim| &mut claim.bytes);
        let whole = [&mut self.bytes, &mut self.exclusive];
        for bytes in of_types.chain(of_sites).chain(of_nodes).chain(of_claims).chain(whole) {
            *bytes *= factor;
        }
        self
    }
}

/// Adds a part to the claims on its block.
fn claim(claims: &mut Vec<Claimed>, address: u64, part: &Part) {
    let is_same = |claim: &Claimed| (claim.address, claim.node) == (address, part.node);
    match claims.iter().position(is_same) {
        Some(known) => {
            claims[known].bytes += part.bytes;
            claims[known].is_exclusive &= part.is_exclusive;
        }
        None if claims.len() < MOST_CLAIMS => claims.push(Claimed {
            address,
            bytes: part.bytes,
            is_exclusive: part.is_exclusive,
            type_id: part.type_id,
            node: part.node,
            site: part.site,
        }),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node: usize, bytes: f64, claimed: Option<u64>) -> Part {
        Part {
            type_id: 3,
            node,
            bytes,
            objects: 1.0,
            is_exclusive: true,
            site: None,
            claimed,
        }
    }

    fn node(parent: usize) -> Node {
        Node {
            parent,
            step: Step::Item,
            type_id: 3,
            bytes: 0.0,
            objects: 0.0,
        }
    }

    #[test]
    fn claims_count_once_they_are_settled_and_by_their_part() {
        let held = Held {
            nodes: vec![node(0), node(0), node(1)],
            ..Held::default()
        };
        let parts = [
            part(0, 10.0, None),
            part(2, 5.0, None),
            part(2, 400.0, Some(64)),
            part(2, 100.0, Some(64)),
            part(1, 1000.0, Some(128)),
            part(1, 7000.0, Some(192)),
        ];
        let mut held = held.of(&parts);
        assert_eq!((held.bytes, held.most()), (15.0, 8515.0));
        let share = |block| match block {
            64 => 1.0,
            128 => 0.5,
            _ => 0.0,
        };
        assert_eq!(held.claimed(share), 1000.0);
        held.settle(share);
        assert_eq!((held.bytes, held.supposed, held.claims.len()), (1015.0, 1000.0, 0));
        // What several claim is nobody's alone.
        assert_eq!(held.exclusive, 515.0);
        assert_eq!(held.types, [(3, 1015.0, 2.0)]);
        let bytes: Vec<f64> = held.nodes.iter().map(|node| node.bytes).collect();
        assert_eq!(bytes, [1015.0, 1005.0, 505.0]);
        held.settle(share);
        assert_eq!(held.bytes, 1015.0);
    }
}
