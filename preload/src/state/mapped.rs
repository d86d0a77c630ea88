//! The program's own mappings: counted like blocks; if only a part is unmapped, that part is taken off.

use core::sync::atomic::Ordering::Relaxed;

use recording::{Kind, LOOK_BYTES, Site, Trouble};

use super::State;
use crate::mappings::Mapping;
use crate::peak::Direction;
use crate::sampler::{self, Chance};
use crate::switches::ANY_MAPPING;
use crate::tally::change;
use crate::{events, header, kinds};

impl State {
    /// Records what the program mapped, in place of whatever was mapped there. A `file` in memory that is mapped already is the
    /// same memory seen a second time.
    pub fn map(&mut self, start: u64, bytes: u64, kind: Kind, file: u64) {
        let kind = if self.mappings.shows(file) {
            Kind::Reserved
        } else {
            kind
        };
        let mut mapping = Mapping {
            start,
            end: start.saturating_add(bytes),
            kind: kind as u32,
            file,
            ..Mapping::default()
        };
        if kind.has_site() {
            let Some(header) = self.recording() else { return };
            mapping.site = self.recorder.site(header, &mut self.live);
        }
        self.map_as(mapping);
    }

    /// Records a mapping whose site and kind are known.
    pub fn map_as(&mut self, mapping: Mapping) {
        self.unmap(mapping.start, mapping.end.saturating_sub(mapping.start));
        self.insert_mapping(mapping, false);
    }

    /// The program has made this range writable: what was reserved in it counts as memory from now on.
    pub fn commit(&mut self, start: u64, bytes: u64) {
        let end = start.saturating_add(bytes);
        let is_reserved = |mapping: &Mapping| mapping.kind == Kind::Reserved as u32 && mapping.file == 0;
        while let Some(part) = self.mappings.first(start, end, is_reserved) {
            self.unmap(part.start, part.end - part.start);
            let Some(header) = self.recording() else { return };
            let mapping = Mapping {
                site: self.recorder.site(header, &mut self.live),
                kind: Kind::Mapping as u32,
                slot: 0,
                ..part
            };
            self.insert_mapping(mapping, true);
        }
    }

    /// With `grows`, a mapping of the same site that ends where it begins is made larger: a program that commits memory page by
    /// page has one mapping.
    fn insert_mapping(&mut self, mapping: Mapping, grows: bool) {
        let kind = Kind::from_code(mapping.kind);
        let generation = self.recorder.generation as u32;
        let bytes = mapping.end.saturating_sub(mapping.start);
        let new = Mapping {
            generation,
            slot: 0,
            born: self.recorder.estimate.birth(),
            ..mapping
        };
        let before = self.mappings.ending_at(new.start).filter(|before| {
            grows
                && (before.site, before.kind, before.generation, before.file)
                    == (new.site, new.kind, generation, new.file)
        });
        let (is_grown, kept) = match before {
            Some(before) => {
                before.end = new.end;
                (true, true)
            }
            None => (false, self.mappings.insert(new)),
        };
        if kept {
            ANY_MAPPING.store(true, Relaxed);
        }
        if kind == Kind::Reserved {
            return;
        }
        let Some(header) = self.recording() else { return };
        if !kept {
            events::note_once(header, Trouble::TooManyMappings, bytes);
            return;
        }
        if !is_grown && bytes >= LOOK_BYTES {
            self.recorder.look_again(header, bytes);
        }
        self.publish(new.start, new.end);
        if let (Some(site), true) = (self.recorder.tree.file.record::<Site>(new.site), kind.is_counted()) {
            let mut weight = sampler::weight(bytes, Chance::Certain);
            weight.blocks *= !is_grown as u64;
            kinds::change_exactly(header, kind, bytes, Direction::Add);
            change(
                header,
                &mut self.recorder.estimate,
                site,
                weight,
                Direction::Add,
                new.born,
            );
        }
        // What is written to it is only seen at a look, which may never come.
        match kind == Kind::PrivateFile && bytes >= LOOK_BYTES {
            true => self.keep(),
            false => self.recorder.keep_if_worth_it(header, &self.settings),
        }
    }

    /// Takes out all parts of the program's mappings in this range; returns the first.
    pub fn unmap(&mut self, start: u64, bytes: u64) -> Option<Mapping> {
        if self.mappings.is_empty() {
            return None;
        }
        let end = start.saturating_add(bytes);
        let mut first = None;
        let recorder = &mut self.recorder;
        let (header, generation) = (recorder.header, recorder.generation as u32);
        let all_kept = self.mappings.remove(start, end, |piece, whole| {
            first = first.or(Some(piece));
            let kind = Kind::from_code(piece.kind);
            // What a parent mapped is in the parent's recording.
            let Some(header) = header.filter(|_| piece.generation == generation && kind != Kind::Reserved) else {
                return;
            };
            recorder.look_before_it_goes(piece.slot);
            if whole {
                header::note_most_resident(header);
            }
            if let (Some(site), true) = (recorder.tree.file.record::<Site>(piece.site), kind.is_counted()) {
                let bytes = piece.end - piece.start;
                let mut weight = sampler::weight(bytes, Chance::Certain);
                weight.blocks *= whole as u64;
                kinds::change_exactly(header, kind, bytes, Direction::Remove);
                change(
                    header,
                    &mut recorder.estimate,
                    site,
                    weight,
                    Direction::Remove,
                    piece.born,
                );
            }
            if whole {
                recorder.release_slot(header, piece.slot);
            }
        });
        if first.is_some() {
            self.publish(start, start);
            self.publish(end, end);
        }
        if let (Some(header), false) = (header, all_kept) {
            events::note_once(header, Trouble::TooManyMappings, bytes);
        }
        first
    }

    /// Takes out the mapping that begins here.
    pub fn unmap_all(&mut self, start: u64) -> Option<Mapping> {
        let mapping = *self.mappings.at(start)?;
        self.unmap(mapping.start, mapping.end - mapping.start)
    }

    /// Brings the table of blocks up to date with the mapping that ends at `end` and the one that begins at `start`.
    fn publish(&mut self, start: u64, end: u64) {
        let generation = self.recorder.generation as u32;
        let mut neighbours = [self.mappings.ending_at(end).copied(), self.mappings.at(start).copied()];
        if neighbours[0] == neighbours[1] {
            neighbours[0] = None;
        }
        for mapping in neighbours.into_iter().flatten() {
            let kind = Kind::from_code(mapping.kind);
            let Some(header) = self
                .recorder
                .header
                .filter(|_| mapping.generation == generation && kind != Kind::Reserved)
            else {
                continue;
            };
            let bytes = mapping.end - mapping.start;
            match mapping.slot {
                slot if slot > 0 => self.recorder.resize(header, slot, mapping.start, bytes),
                _ => {
                    let slot = self
                        .recorder
                        .take_slot(header, mapping.start, bytes, mapping.site, kind);
                    if let Some(mapping) = self.mappings.at(mapping.start) {
                        mapping.slot = slot;
                    }
                    self.recorder.meet(header, slot);
                }
            }
        }
    }
}
