//! Strings, functions, callstack nodes and sites: each written once into the recording and found again by an index.

use core::sync::atomic::Ordering::{Relaxed, Release};

use recording::{Function, Header, MAX_STRING_BYTES, Node, OF_ABSENT, Site, Table};

use crate::file::Recording;
use crate::index::{Index, hash_bytes, hash3};

/// The recording's append-only tables, with an index for each.
pub struct Tree {
    /// The file that the tables are in.
    pub file: Recording,
    strings: Index,
    functions: Index,
    nodes: Index,
    absent_sites: Index,
    /// Room for the beginning of a long string, which is more than a small thread's stack has.
    shortened: [u8; MAX_STRING_BYTES],
}

/// The node that every callstack begins under.
const ROOT: u32 = 0;

impl Tree {
    /// No tables yet.
    pub const fn new() -> Self {
        Self {
            file: Recording::new(),
            strings: Index::new(),
            functions: Index::new(),
            nodes: Index::new(),
            absent_sites: Index::new(),
            shortened: [0; MAX_STRING_BYTES],
        }
    }

    /// Begins again for a new file, in which the records 0 stand already.
    pub fn start_over(&mut self, header: &'static Header) {
        (self.strings, self.functions, self.nodes) = (Index::new(), Index::new(), Index::new());
        self.absent_sites = Index::new();
        for (table, count) in [
            (Table::Nodes, 1),
            (Table::Functions, 1),
            (Table::Sites, 1),
            (Table::Strings, 4),
        ] {
            self.file.count(header, table).store(count, Release);
        }
    }

    /// The id of a string; 0, the empty one, if there is no room.
    pub fn string(&mut self, header: &'static Header, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let Self {
            file,
            strings,
            shortened,
            ..
        } = self;
        let text = if text.len() > MAX_STRING_BYTES {
            shorten(text, shortened)
        } else {
            text
        };
        let hash = hash_bytes(text);
        if let Some(found) = strings.find(hash, |id| read_string(file, id) == Some(text)) {
            return found;
        }
        if !strings.reserve(|id| read_string(file, id).map_or(0, hash_bytes)) {
            return 0;
        }
        let count = file.count(header, Table::Strings);
        let length = 4 + text.len();
        let mut offset = count.load(Relaxed) as usize;
        if offset % recording::CHUNK_BYTES + length > recording::CHUNK_BYTES {
            offset = offset.next_multiple_of(recording::CHUNK_BYTES);
        }
        if !file.make_room(header, Table::Strings, offset + length - 1) {
            return 0;
        }
        let Some((head, body)) = file
            .string_bytes_mut(offset, length)
            .and_then(|place| place.split_at_mut_checked(4))
        else {
            return 0;
        };
        head.copy_from_slice(&(text.len() as u32).to_le_bytes());
        body.copy_from_slice(text);
        count.store((offset + length).next_multiple_of(4) as u32, Release);
        strings.add(hash, offset as u32);
        offset as u32
    }

    /// The id of a function; 0 if there is no room.
    pub fn function(&mut self, header: &'static Header, path: u32, name: u32, first_line: u32) -> u32 {
        let hash = hash3(path, name, first_line);
        let Self { file, functions, .. } = self;
        let parts = |function: &Function| {
            (
                function.file.load(Relaxed),
                function.name.load(Relaxed),
                function.first_line.load(Relaxed),
            )
        };
        let is_it = |id: u32| file.record::<Function>(id).map(parts) == Some((path, name, first_line));
        if let Some(found) = functions.find(hash, is_it) {
            return found;
        }
        let hash_of = |id: u32| {
            file.record::<Function>(id)
                .map(parts)
                .map_or(0, |(a, b, c)| hash3(a, b, c))
        };
        if !functions.reserve(hash_of) {
            return 0;
        }
        let Some((id, function)) = next::<Function>(file, header, Table::Functions) else {
            return 0;
        };
        function.file.store(path, Relaxed);
        function.name.store(name, Relaxed);
        function.first_line.store(first_line, Relaxed);
        file.count(header, Table::Functions).store(id + 1, Release);
        functions.add(hash, id);
        id
    }

    /// The id of a made-up function without a file, such as `[No Python stack]`.
    pub fn made_up_function(&mut self, header: &'static Header, name: &[u8]) -> u32 {
        let name = self.string(header, name);
        self.function(header, 0, name, 0)
    }

    /// The id of a node; its parent's if there is no room, so that what it allocates counts for its caller.
    pub fn node(&mut self, header: &'static Header, parent: u32, function: u32, line: u32) -> u32 {
        let hash = hash3(parent, function, line);
        let Self { file, nodes, .. } = self;
        let parts = |node: &Node| {
            (
                node.parent.load(Relaxed),
                node.function.load(Relaxed),
                node.line.load(Relaxed),
            )
        };
        let is_it = |id: u32| file.record::<Node>(id).map(parts) == Some((parent, function, line));
        if let Some(found) = nodes.find(hash, is_it) {
            return found;
        }
        let hash_of = |id: u32| file.record::<Node>(id).map(parts).map_or(0, |(a, b, c)| hash3(a, b, c));
        if !nodes.reserve(hash_of) {
            return parent;
        }
        let Some((id, node)) = next::<Node>(file, header, Table::Nodes) else {
            return parent;
        };
        node.parent.store(parent, Relaxed);
        node.function.store(function, Relaxed);
        node.line.store(line, Relaxed);
        file.count(header, Table::Nodes).store(id + 1, Release);
        nodes.add(hash, id);
        id
    }

    /// The id of the node that `like` would be under another parent: as [`Tree::node`] with its function and its line.
    #[inline]
    pub fn node_like(&mut self, header: &'static Header, like: u32, parent: u32) -> u32 {
        match self.file.record::<Node>(like) {
            Some(like) => self.node(header, parent, like.function.load(Relaxed), like.line.load(Relaxed)),
            None => parent,
        }
    }

    /// The site of a node; if there is no room, its nearest caller's that has one, else the overflow site 0.
    pub fn site(&mut self, header: &'static Header, node: u32) -> u32 {
        let Some(of) = self.file.record::<Node>(node).filter(|_| node != ROOT) else {
            return 0;
        };
        let known = of.site.load(Relaxed);
        if known != 0 {
            return known;
        }
        let Some((id, site)) = next::<Site>(&mut self.file, header, Table::Sites) else {
            return self.site_of_a_caller(of);
        };
        site.node.store(node, Relaxed);
        self.file.count(header, Table::Sites).store(id + 1, Release);
        of.site.store(id, Release);
        id
    }

    /// The record of what is not in memory of a site, made if need be; `None` if there is no room.
    pub fn absent_site(&mut self, header: &'static Header, site: u32) -> Option<&'static Site> {
        let hash = hash3(site, OF_ABSENT, 0);
        let Self { file, absent_sites, .. } = self;
        let of = |id: u32| file.record::<Site>(id).map(|record| record.node.load(Relaxed));
        let known = absent_sites.find(hash, |id| of(id) == Some(OF_ABSENT | site));
        if let Some(known) = known {
            return file.record::<Site>(known);
        }
        let hash_of = |id: u32| of(id).map_or(0, |node| hash3(node & !OF_ABSENT, OF_ABSENT, 0));
        if !absent_sites.reserve(hash_of) {
            return None;
        }
        let (id, record) = next::<Site>(file, header, Table::Sites)?;
        record.node.store(OF_ABSENT | site, Relaxed);
        file.count(header, Table::Sites).store(id + 1, Release);
        absent_sites.add(hash, id);
        Some(record)
    }

    #[cold]
    fn site_of_a_caller(&self, of: &Node) -> u32 {
        // Parents have smaller numbers than their children, so this ends.
        let mut parent = of.parent.load(Relaxed);
        while let Some(node) = self.file.record::<Node>(parent).filter(|_| parent != ROOT) {
            let known = node.site.load(Relaxed);
            if known != 0 {
                return known;
            }
            parent = node.parent.load(Relaxed);
        }
        0
    }
}

/// The first unpublished record of a table.
fn next<R: crate::file::Record>(
    file: &mut Recording,
    header: &'static Header,
    table: Table,
) -> Option<(u32, &'static R)> {
    let id = file.count(header, table).load(Relaxed);
    if !file.make_room(header, table, id as usize) {
        return None;
    }
    Some((id, file.record::<R>(id)?))
}

fn read_string(file: &Recording, id: u32) -> Option<&[u8]> {
    let length = u32::from_le_bytes(file.string_bytes(id as usize, 4)?.try_into().ok()?);
    file.string_bytes(id as usize + 4, length as usize)
}

/// The beginning of a long text and a sign that more followed.
fn shorten<'a>(text: &[u8], buffer: &'a mut [u8; MAX_STRING_BYTES]) -> &'a [u8] {
    let sign = "…".as_bytes();
    let (body, end) = buffer.split_at_mut(MAX_STRING_BYTES - sign.len());
    body.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    end.copy_from_slice(sign);
    buffer
}
