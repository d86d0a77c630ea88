//! The descent from one object: what it holds, by shares.
//!
//! An object with `r` references gives each of them the share 1/r of its size and of all below it. So what several hold is split
//! between them, nothing is counted twice, and no table of the objects that were seen is needed. Of a container with many items some
//! are chosen at random, each standing for several; so the cost does not depend on the size of the heap.
//!
//! A reference back to an object on the way to it does not hold it: an object whose children refer back to it would otherwise keep most of
//! itself. With the share that comes back known, the object's count is corrected as if these references were not there.

use std::collections::HashMap;

use crate::objects::{Objects, Reference, Step};
use crate::reader::Object;
use crate::types::{Kind, TypeId};

/// References one after the other.
const DEEPEST: usize = 150;
/// Less than this share of the root is not followed.
const SMALLEST_WEIGHT: f64 = 1e-7;
/// Items of one container that are looked at, and the most where there is room for more.
const ITEMS: usize = 64;
const MOST_ITEMS: usize = 1024;
/// So many references to objects without references are always followed: an instance has its data in a few of its attributes.
const CHEAP: usize = 12;
/// How deep the tree of a root is, and how many nodes it has.
const DEEPEST_NODE: usize = 12;
const MOST_NODES: usize = 96;

/// A part of what was found.
#[derive(Clone, Copy, Debug)]
struct Part {
    type_id: TypeId,
    node: usize,
    bytes: f64,
    supposed: f64,
    objects: f64,
    is_exclusive: bool,
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
    /// Bytes behind pointers of types that are not known, part of `bytes`.
    pub supposed: f64,
    /// By type: bytes and objects.
    pub types: Vec<(TypeId, f64, f64)>,
    /// The tree; the first node is the root.
    pub nodes: Vec<Node>,
    /// Items of the object itself.
    pub length: Option<u64>,
    /// How many of them are of each type.
    pub items: Vec<(TypeId, f64)>,
    /// Whether the way was longer than is followed.
    pub is_cut: bool,
}

/// A reference that may be followed.
#[derive(Clone, Copy)]
struct Below {
    reference: Reference,
    object: Object,
    /// Of the object and all below it, times what the reference stands for.
    share: f64,
    /// Whether the object has no other references.
    is_only: bool,
}

impl Below {
    /// The same, which stands for so many.
    fn times(self, factor: f64) -> Self {
        Self {
            reference: Reference {
                weight: self.reference.weight * factor,
                ..self.reference
            },
            share: self.share * factor,
            ..self
        }
    }
}

/// Descends.
pub struct Descent<'o, 'm> {
    objects: &'o mut Objects<'m>,
    temporaries: &'o HashMap<u64, u64>,
    /// Objects that were looked at, in all.
    pub visits: u64,
    /// How many may be looked at until the present root is done, and in all.
    most_visits: u64,
    limit: u64,
    parts: Vec<Part>,
    /// Shares that come back to an object on the way: how deep that is, and how much.
    returns: Vec<(usize, f64)>,
    /// The objects on the way.
    way: Vec<u64>,
    nodes: Vec<Node>,
    items: HashMap<TypeId, f64>,
    is_cut: bool,
}

impl<'o, 'm> Descent<'o, 'm> {
    /// With these temporary references, which do not count, and at most so many visits.
    pub fn new(objects: &'o mut Objects<'m>, temporaries: &'o HashMap<u64, u64>, limit: u64) -> Self {
        Self {
            objects,
            temporaries,
            visits: 0,
            most_visits: 0,
            limit,
            parts: Vec::new(),
            returns: Vec::new(),
            way: Vec::new(),
            nodes: Vec::new(),
            items: HashMap::new(),
            is_cut: false,
        }
    }

    /// The objects that are read.
    pub fn objects(&mut self) -> &mut Objects<'m> {
        self.objects
    }

    /// What one reference to the object holds, with about `budget` visits.
    pub fn from(&mut self, object: Object, budget: usize) -> Held {
        self.parts.clear();
        self.returns.clear();
        self.way.clear();
        self.nodes.clear();
        self.items.clear();
        self.is_cut = false;
        let Some(count) = self.references(object) else {
            return Held::default();
        };
        self.nodes.push(Node {
            parent: 0,
            step: Step::Found,
            type_id: object.type_id,
            bytes: 0.0,
            objects: 0.0,
        });
        // Where nearly nothing is left of the budget, each visit still leads to one more.
        self.most_visits = self.limit.min(self.visits + 4 * budget as u64 + 4 * DEEPEST as u64);
        let (_, variance, length) = self.visit(object, 1.0 / count, budget, 0, count == 1.0);
        let held = self.summed_up(variance, length);
        if held.bytes.is_finite() && held.bytes <= self.objects.reader.pages.writable_bytes() as f64 {
            return held;
        }
        // More than there is: what was read was of different moments.
        Held {
            is_cut: true,
            ..Held::default()
        }
    }

    fn summed_up(&mut self, variance: f64, length: Option<u64>) -> Held {
        let mut held = Held {
            variance,
            length,
            is_cut: self.is_cut,
            ..Held::default()
        };
        let mut types: HashMap<TypeId, (f64, f64)> = HashMap::new();
        for part in &self.parts {
            let bytes = part.bytes + part.supposed;
            held.bytes += bytes;
            held.supposed += part.supposed;
            held.objects += part.objects;
            if part.is_exclusive {
                held.exclusive += bytes;
            }
            let of_type = types.entry(part.type_id).or_default();
            of_type.0 += bytes;
            of_type.1 += part.objects;
            let node = &mut self.nodes[part.node];
            node.bytes += bytes;
            node.objects += part.objects;
        }
        // A node comes after the one above it.
        for index in (1..self.nodes.len()).rev() {
            let (parent, bytes) = (self.nodes[index].parent, self.nodes[index].bytes);
            self.nodes[parent].bytes += bytes;
        }
        held.types = types
            .into_iter()
            .map(|(id, (bytes, objects))| (id, bytes, objects))
            .collect();
        held.nodes = std::mem::take(&mut self.nodes);
        held.items = self.items.drain().collect();
        held
    }

    /// How many references an object has that may hold it; `None` if it lives for ever.
    fn references(&self, object: Object) -> Option<f64> {
        let count = object.references?;
        let temporary = self.temporaries.get(&object.address).copied().unwrap_or(0);
        Some(count.saturating_sub(temporary).max(1) as f64)
    }

    /// Returns how many visits it took, the variance, and how many items the object has.
    fn visit(
        &mut self,
        object: Object,
        weight: f64,
        budget: usize,
        node: usize,
        is_exclusive: bool,
    ) -> (usize, f64, Option<u64>) {
        self.visits += 1;
        let (parts, returns, depth) = (self.parts.len(), self.returns.len(), self.way.len());
        let most = if budget > ITEMS {
            (budget / 6).clamp(ITEMS, MOST_ITEMS)
        } else {
            budget.max(1)
        };
        let expansion = self.objects.expand(object, most);
        self.parts.push(Part {
            type_id: object.type_id,
            node,
            bytes: expansion.bytes as f64 * weight,
            supposed: expansion.supposed_bytes as f64 * weight,
            objects: weight,
            is_exclusive,
        });
        if expansion.references.is_empty() {
            return (1, 0.0, expansion.length);
        }
        if depth >= DEEPEST || self.visits >= self.most_visits {
            self.is_cut = true;
            return (1, 0.0, expansion.length);
        }
        self.way.push(object.address);
        let (used, mut variance) = self.descend(expansion.references, weight, budget.max(1), node, is_exclusive);
        self.way.pop();
        variance *= self.correct(parts, returns, depth, weight, object).powi(2);
        (1 + used, variance, expansion.length)
    }

    /// Takes the references back to the object that was just left out of its count, and returns by how much all below it grew.
    fn correct(&mut self, parts: usize, returns: usize, depth: usize, weight: f64, object: Object) -> f64 {
        let back: f64 = self.returns[returns..]
            .iter()
            .filter(|(to, _)| *to == depth)
            .map(|(_, share)| share)
            .sum();
        let most = self.references(object).unwrap_or(1.0);
        if back <= 0.0 || weight <= 0.0 {
            return 1.0;
        }
        // At least one reference comes from outside.
        let factor = (1.0 / (1.0 - (back / weight).min(1.0 - 1.0 / most))).min(most);
        for part in &mut self.parts[parts..] {
            part.bytes *= factor;
            part.supposed *= factor;
            part.objects *= factor;
        }
        let mut at = returns;
        while at < self.returns.len() {
            if self.returns[at].0 == depth {
                self.returns.swap_remove(at);
            } else {
                self.returns[at].1 *= factor;
                at += 1;
            }
        }
        factor
    }

    fn descend(
        &mut self,
        references: Vec<Reference>,
        weight: f64,
        budget: usize,
        node: usize,
        is_exclusive: bool,
    ) -> (usize, f64) {
        let (mut cheap, mut deep) = (Vec::new(), Vec::new());
        for reference in references {
            if self.objects.modules.contains(&reference.address) {
                continue;
            }
            let Some(object) = self.objects.object(reference.address) else {
                continue;
            };
            if self.way.len() == 1 && matches!(reference.step, Step::Item | Step::Value) {
                *self.items.entry(object.type_id).or_default() += reference.weight;
            }
            // What lives for ever is nobody's.
            let Some((share, is_only)) = self.share(reference, object) else {
                continue;
            };
            if let Some(depth) = self.way.iter().position(|address| *address == object.address) {
                self.returns.push((depth, weight * share));
                continue;
            }
            let below = Below {
                reference,
                object,
                share,
                is_only,
            };
            match is_cheap(self.objects.kind(object.type_id)) {
                true => cheap.push(below),
                false => deep.push(below),
            }
        }
        // A few of many, if there are too many: each stands for more. Those without references come first: what they leave of the
        // budget is for the others.
        self.thin_out(&mut cheap, budget.max(CHEAP));
        self.thin_out(&mut deep, budget.saturating_sub(cheap.len()).max(1));
        // Keys of dicts are a sample of their own: they are much smaller than values.
        let (mut used, mut sampled, mut keys, mut variance) = (0, Sampled::default(), Sampled::default(), 0.0);
        let mut left: f64 = cheap.iter().chain(&deep).map(|below| below.share).sum();
        for below in cheap.into_iter().chain(deep) {
            let begin = self.parts.len();
            // By shares: most of what many others hold too is not held from here.
            let part = (below.share / left.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            left -= below.share;
            let room = (budget.saturating_sub(used) as f64 * part) as usize;
            let (visits, of_child) = self.follow(below, weight, room, node, is_exclusive);
            used += visits;
            let reference = below.reference;
            if reference.weight == 1.0 {
                variance += of_child;
                continue;
            }
            let bytes: f64 = self.parts[begin..].iter().map(|part| part.bytes + part.supposed).sum();
            let sample = match reference.step {
                Step::Key => &mut keys,
                _ => &mut sampled,
            };
            sample.add(bytes, of_child, reference.weight);
        }
        (used, variance + sampled.variance() + keys.variance())
    }

    /// Chooses at most so many. Where their shares differ much, the larger are chosen more often, and stand for less.
    fn thin_out(&mut self, found: &mut Vec<Below>, most: usize) {
        if found.len() <= most {
            return;
        }
        let shares = || found.iter().map(|below| below.share);
        let (least, largest) = (shares().fold(f64::MAX, f64::min), shares().fold(0.0, f64::max));
        let chosen: Vec<Below> = if largest < 2.0 * least {
            let chosen = self.objects.chance.choose(found.len() as u64, most);
            let factor = found.len() as f64 / chosen.len().max(1) as f64;
            let chosen = chosen.iter().map(|index| found[*index as usize].times(factor));
            chosen.collect()
        } else {
            let whole: f64 = shares().sum();
            let chosen = (0..most).map(|_| {
                let mut at = self.objects.chance.fraction() * whole;
                let hit = found.iter().find(|below| {
                    at -= below.share;
                    at < 0.0
                });
                let below = hit.unwrap_or(&found[0]);
                below.times(whole / (below.share * most as f64))
            });
            chosen.collect()
        };
        *found = chosen;
    }

    fn follow(&mut self, below: Below, weight: f64, budget: usize, node: usize, is_exclusive: bool) -> (usize, f64) {
        let weight = weight * below.share;
        if weight < SMALLEST_WEIGHT {
            return (1, 0.0);
        }
        let node = self.node(node, below.reference.step, below.object.type_id);
        let is_exclusive = is_exclusive && below.is_only;
        let (used, variance, _) = self.visit(below.object, weight, budget, node, is_exclusive);
        (used, variance)
    }

    /// The share of an object that a reference to it gives, times what the reference stands for, and whether it is the only one.
    fn share(&self, reference: Reference, object: Object) -> Option<(f64, bool)> {
        let count = self.references(object)?;
        let parts = f64::from(reference.count).min(count);
        Some((reference.weight * parts / count, parts == count))
    }

    /// The node below `parent` by this step. Where there is no room for it, `parent` stands for it.
    fn node(&mut self, parent: usize, step: Step, type_id: TypeId) -> usize {
        // Those who are not named are told apart by their type.
        let is_same = |node: &Node| {
            node.parent == parent && node.step == step && (step != Step::Found || node.type_id == type_id)
        };
        if let Some(found) = self.nodes.iter().skip(1).position(is_same) {
            return found + 1;
        }
        let depth = std::iter::successors(Some(parent), |at| (*at != 0).then(|| self.nodes[*at].parent)).count();
        if depth > DEEPEST_NODE || self.nodes.len() >= MOST_NODES {
            return parent;
        }
        self.nodes.push(Node {
            parent,
            step,
            type_id,
            bytes: 0.0,
            objects: 0.0,
        });
        self.nodes.len() - 1
    }
}

/// Whether objects of this kind have no more than a reference to what they are a view of.
fn is_cheap(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Leaf
            | Kind::Int
            | Kind::Str
            | Kind::ByteArray
            | Kind::Array
            | Kind::Mmap
            | Kind::NdArray
            | Kind::MemoryView
    )
}

/// Items that were chosen at random, and how far off a sum of theirs may be.
#[derive(Default)]
struct Sampled {
    count: f64,
    sum: f64,
    squares: f64,
    within: f64,
    /// Of how many each stands for one.
    weights: f64,
}

impl Sampled {
    fn add(&mut self, bytes: f64, variance: f64, weight: f64) {
        self.count += 1.0;
        self.sum += bytes;
        self.squares += bytes * bytes;
        self.within += variance;
        self.weights += weight;
    }

    /// Of a sample in two stages: between the items, and within them.
    fn variance(&self) -> f64 {
        if self.count == 0.0 {
            return 0.0;
        }
        let fraction = (self.count / self.weights).min(1.0);
        let between = match self.count {
            // One alone does not tell how different others are.
            1.0 => self.squares,
            count => ((self.squares - self.sum * self.sum / count) / (count - 1.0)).max(0.0) * count,
        };
        (1.0 - fraction) * between + fraction * self.within
    }
}
