//! The descent from one object: what it holds, by shares.
//!
//! An object with `r` references gives each of them the share 1/r of its size and of all below it. So what several hold is split
//! between them, nothing is counted twice, and no table of the objects that were seen is needed. Of a container with many items some
//! are chosen at random, each standing for several; so the cost does not depend on the size of the heap.
//!
//! A reference back to an object on the way to it does not hold it: an object whose children refer back to it would otherwise keep most of
//! itself. With the share that comes back known, the object's count is corrected as if these references were not there.

mod held;

pub use held::{Held, Node};

use self::held::Part;
use crate::fast::Map;
use crate::memory::AT_A_TIME;
use crate::objects::{Expansion, Objects, Reference, Step};
use crate::reader::Object;
use crate::sampled::Sampled;
use crate::types::TypeId;

/// References one after the other.
const DEEPEST: usize = 150;
/// Less than this share of the root is not followed.
const SMALLEST_WEIGHT: f64 = 1e-7;
/// Items of one container that are looked at, and the most where there is room for more.
const ITEMS: usize = 64;
const MOST_ITEMS: usize = 1024;
/// An estimate that is more than so many times as large as all memory is none.
const MOST_ABOVE: f64 = 2.0;
/// Visits between two looks at the clock.
const BETWEEN: u64 = 64;
/// So many references to objects without references are always followed: an instance has its data in a few of its attributes.
const CHEAP: usize = 12;
/// How deep the tree of a root is, and how many nodes it has.
const DEEPEST_NODE: usize = 12;
const MOST_NODES: usize = 96;
/// Objects whose memory is read together, as long as the way is not longer than this.
const TOGETHER: usize = 16;
const TOGETHER_DEPTH: usize = 20;

/// How many items of a container are looked at, with this budget.
fn items(budget: usize) -> usize {
    match budget > ITEMS {
        true => (budget / 6).clamp(ITEMS, MOST_ITEMS),
        false => budget.max(1),
    }
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
    temporaries: &'o Map<u64, u64>,
    /// Objects that were looked at, in all.
    pub visits: u64,
    /// How many may be looked at until the present root is done, and in all.
    most_visits: u64,
    limit: u64,
    /// Which part of the time is spent, and which part may be.
    spent: Option<&'o dyn Fn() -> f64>,
    most_spent: f64,
    parts: Vec<Part>,
    /// Shares that come back to an object on the way: how deep that is, and how much.
    returns: Vec<(usize, f64)>,
    /// The objects on the way.
    way: Vec<u64>,
    nodes: Vec<Node>,
    items: Map<TypeId, f64>,
    is_cut: bool,
}

impl<'o, 'm> Descent<'o, 'm> {
    /// With these temporary references, which do not count, and at most so many visits, as long as not all the time is `spent`.
    pub fn new(
        objects: &'o mut Objects<'m>,
        temporaries: &'o Map<u64, u64>,
        limit: u64,
        spent: Option<&'o dyn Fn() -> f64>,
    ) -> Self {
        Self {
            objects,
            temporaries,
            visits: 0,
            most_visits: 0,
            limit,
            spent,
            most_spent: 1.0,
            parts: Vec::new(),
            returns: Vec::new(),
            way: Vec::new(),
            nodes: Vec::new(),
            items: Map::default(),
            is_cut: false,
        }
    }

    /// The objects that are read.
    pub fn objects(&mut self) -> &mut Objects<'m> {
        self.objects
    }

    /// From now on, this part of the time may be spent.
    pub fn allow(&mut self, most_spent: f64) {
        self.most_spent = most_spent;
    }

    /// Whether that part of the time or of the visits is spent: what comes later needs the rest.
    pub fn is_over(&self) -> bool {
        self.visits as f64 >= self.limit as f64 * self.most_spent
            || self.spent.is_some_and(|spent| spent() >= self.most_spent)
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
        let expansion = self.objects.expand(object, items(budget));
        let (_, variance, length) = self.visit(object, expansion, 1.0 / count, budget, 0, count == 1.0);
        let held = self.summed_up(variance, length);
        let most = self.objects.reader.pages.writable_bytes() as f64;
        if held.bytes <= most {
            return held;
        }
        // A variable may hold nearly all that there is, and an estimate of it be too large.
        if held.bytes <= MOST_ABOVE * most {
            let factor = most / held.bytes;
            return held.times(factor);
        }
        // More than there is: what was read was of different moments.
        Held {
            is_cut: true,
            ..Held::default()
        }
    }

    fn summed_up(&mut self, variance: f64, length: Option<u64>) -> Held {
        let held = Held {
            variance,
            length,
            is_cut: self.is_cut,
            items: self.items.drain().collect(),
            nodes: std::mem::take(&mut self.nodes),
            ..Held::default()
        };
        held.of(&self.parts)
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
        expansion: Expansion,
        weight: f64,
        budget: usize,
        node: usize,
        is_exclusive: bool,
    ) -> (usize, f64, Option<u64>) {
        self.visits += 1;
        if self.visits.is_multiple_of(BETWEEN) && self.is_over() {
            self.most_visits = self.visits;
        }
        let (parts, returns, depth) = (self.parts.len(), self.returns.len(), self.way.len());
        let part = Part {
            type_id: object.type_id,
            node,
            bytes: expansion.bytes as f64 * weight,
            objects: weight,
            is_exclusive,
            site: expansion.site.map(|(site, bytes)| (site, bytes as f64 * weight)),
            claimed: None,
        };
        self.parts.push(part);
        self.parts.extend(expansion.claims.iter().map(|claim| Part {
            bytes: claim.bytes as f64 * weight,
            site: claim.site.map(|site| (site, claim.bytes as f64 * weight)),
            claimed: Some(claim.address),
            ..part
        }));
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
            part.objects *= factor;
            part.site.iter_mut().for_each(|(_, bytes)| *bytes *= factor);
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
        for (index, reference) in references.iter().copied().enumerate() {
            if index % AT_A_TIME == 0 {
                let ahead = references[index..].iter().take(AT_A_TIME);
                self.objects
                    .reader
                    .pages
                    .prefetch(ahead.map(|reference| reference.address));
            }
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
            match self.objects.kind(object.type_id).is_cheap() {
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
        cheap.append(&mut deep);
        let mut left: f64 = cheap.iter().map(|below| below.share).sum();
        let together = if self.way.len() < TOGETHER_DEPTH { TOGETHER } else { 1 };
        for some in cheap.chunks(together) {
            // By shares: most of what many others hold too is not held from here.
            let each = budget.saturating_sub(used) as f64 / left.max(f64::MIN_POSITIVE);
            for (below, room, expansion) in self.expand(some, weight, each) {
                let begin = self.parts.len();
                left -= below.share;
                let (visits, of_child) = self.follow(below, expansion, weight, room, node, is_exclusive);
                used += visits;
                let reference = below.reference;
                if reference.weight == 1.0 {
                    variance += of_child;
                    continue;
                }
                let bytes: f64 = self.parts[begin..].iter().map(|part| part.bytes).sum();
                let sample = match reference.step {
                    Step::Key => &mut keys,
                    _ => &mut sampled,
                };
                sample.add(bytes, of_child, reference.weight);
            }
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

    /// What is in each of these objects, and its part of the budget; nothing of those whose share is too small. They are read together.
    fn expand(&mut self, some: &[Below], weight: f64, each: f64) -> Vec<(Below, usize, Option<Expansion>)> {
        if some.len() > 1 {
            self.objects.prefetch(some.iter().map(|below| below.object));
        }
        let expanded = some.iter().map(|below| {
            let room = (each * below.share) as usize;
            let is_worth = weight * below.share >= SMALLEST_WEIGHT;
            let expansion = is_worth.then(|| self.objects.expand(below.object, items(room)));
            (*below, room, expansion)
        });
        let expanded: Vec<_> = expanded.collect();
        if some.len() > 1 {
            let references = expanded.iter().filter_map(|(_, _, expansion)| expansion.as_ref());
            let references = references.flat_map(|expansion| &expansion.references);
            let addresses = references.map(|reference| reference.address);
            self.objects.reader.pages.prefetch(addresses);
        }
        expanded
    }

    fn follow(
        &mut self,
        below: Below,
        expansion: Option<Expansion>,
        weight: f64,
        budget: usize,
        node: usize,
        is_exclusive: bool,
    ) -> (usize, f64) {
        let Some(expansion) = expansion else {
            return (1, 0.0);
        };
        let weight = weight * below.share;
        let node = self.node(node, below.reference.step, below.object.type_id);
        let is_exclusive = is_exclusive && below.is_only;
        let (used, variance, _) = self.visit(below.object, expansion, weight, budget, node, is_exclusive);
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
