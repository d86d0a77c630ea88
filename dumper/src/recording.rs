//! Reads a recording, from whatever bytes there are, into a [`Profile`].
//!
//! Every id is checked: what points nowhere is replaced by a made-up node or function in square brackets, and counted as [`Damage`].

pub mod blocks;
mod bytes;
mod events;
mod facts;
mod kinds;
mod names;
mod sites;
mod tables;

use std::collections::HashMap;
use std::mem::{offset_of, size_of};

use recording::{Header, MAGIC, Table, VERSION};

use crate::damage::{Damage, Findings};
use crate::error::ReadError;
use crate::profile::{ABOUT_THE_SAME, DAMAGED, Facts, Function, Moment, Node, Profile, State};

pub(crate) use bytes::{Bytes, read_file};

use bytes::{u32_at, u64_at};
use names::Resolver;
use tables::Tables;

/// How often a recording is read again if it has changed while it was read.
const ATTEMPTS: usize = 3;

/// Reads a recording that may be cut off, torn or altered at any place.
///
/// # Errors
///
/// Only where there is nothing to be had: the bytes are no recording, or a newer version's.
pub fn read(file: &[u8]) -> Result<(Profile, Vec<Damage>), ReadError> {
    read_from(file)
}

/// As [`read`], of a file that may be being written.
pub(crate) fn read_from<B: Bytes + ?Sized>(file: &B) -> Result<(Profile, Vec<Damage>), ReadError> {
    for _ in 1..ATTEMPTS {
        let (profile, found) = attempt(file)?;
        if !found.is_being_written {
            return Ok((profile, found.into_damage()));
        }
    }
    let (profile, found) = attempt(file)?;
    Ok((profile, found.into_damage()))
}

fn attempt<B: Bytes + ?Sized>(file: &B) -> Result<(Profile, Findings), ReadError> {
    let header = &read_header(file)?;
    let mut found = Findings::default();
    let tables = Tables::find(file, header, &mut found);
    let mut names = Resolver::new(tables.strings());
    let functions = read_functions(&tables, &mut names);
    let facts = facts::read(header, &tables, &mut found);
    let nodes = read_nodes(&tables, &functions, &mut found);
    let mut profile = Profile::new(facts, nodes, functions.different, names.finish(&mut found));
    read_sites(&mut profile, header, &tables, &mut found);
    profile.large = blocks::large(header, &tables);
    let sequence = offset_of!(Header, sequence);
    found.is_being_written = file.read(sequence as u64, 8) != header[sequence..sequence + 8];
    compare_totals(&mut profile, header, &mut found);
    if let Some(moment) = raise_peak(&mut profile.facts) {
        profile
            .holdings
            .iter_mut()
            .for_each(|holding| holding.raise_peak(moment));
    }
    Ok((profile, found))
}

/// A recording takes a total for the peak if it is higher than chance explains. What is held when a process is killed or an allocation fails
/// may be higher by chance: then it is the peak, because nothing that is shown may exceed it. Returns which of them is, if any.
fn raise_peak(facts: &mut Facts) -> Option<Moment> {
    let live = (facts.live_bytes, facts.absent_bytes, facts.peak_time_ns, Moment::Live);
    let live = Some(live).filter(|_| facts.state != State::Ended);
    let failed = facts.failure.as_ref().map(|failure| {
        (
            failure.live_bytes,
            facts.oom_absent_bytes,
            failure.time_ns,
            Moment::OutOfMemory,
        )
    });
    // What was never touched makes no moment the highest of which less is in memory.
    let present = |bytes: u64, absent: u64| bytes.saturating_sub(absent);
    let least = facts.peak_present() - facts.peak_present() / ABOUT_THE_SAME;
    let high = [live, failed].into_iter().flatten();
    let high = high.filter(|(bytes, absent, ..)| *bytes > facts.peak_bytes && present(*bytes, *absent) >= least);
    let (bytes, absent, time_ns, moment) = high.max_by_key(|(bytes, absent, ..)| (present(*bytes, *absent), *bytes))?;
    facts.peak_bytes = bytes;
    facts.peak_absent_bytes = absent;
    facts.gone_bytes = 0;
    facts.peak_time_ns = time_ns;
    facts.kinds.peak = *facts.kinds.at(moment);
    Some(moment)
}

fn read_sites<B: Bytes + ?Sized>(profile: &mut Profile, header: &[u8], tables: &Tables<B>, found: &mut Findings) {
    let recorded = profile.nodes.len() as u32;
    let overflow = made_up_node(profile, OVERFLOW);
    let damaged = made_up_node(profile, DAMAGED);
    profile.holdings = sites::read(header, tables, found);
    for (id, site) in profile.holdings.iter_mut().enumerate() {
        if id == 0 || site.node == 0 {
            site.node = overflow;
        } else if site.node >= recorded {
            found.bad_references += 1;
            site.node = damaged;
        }
    }
}

fn made_up_node(profile: &mut Profile, name: &str) -> u32 {
    let name = profile.strings.add(name);
    profile.functions.push(Function { file: 0, name });
    profile.nodes.push(Node {
        parent: 0,
        function: profile.functions.len() as u32 - 1,
        line: 0,
    });
    profile.nodes.len() as u32 - 1
}

/// Compares the sums over all sites with the totals in the header. Sites are updated under one lock, so that they differ only by a sample
/// that is being written, or by damage.
fn compare_totals(profile: &mut Profile, header: &[u8], found: &mut Findings) {
    if found.is_being_written {
        return;
    }
    if u64_at(header, offset_of!(Header, sequence)) % 2 == 1 {
        found.damage.push(Damage::SampleInFlight);
        return;
    }
    let failed = profile.facts.failure.as_ref().map(|failure| failure.live_bytes);
    let highest = [profile.facts.live_bytes, profile.facts.peak_bytes]
        .into_iter()
        .chain(failed)
        .max();
    for site in &mut profile.holdings {
        sites::limit(site, highest.unwrap_or(0), found);
    }
    let mut compare = |moment, stated| {
        let bytes = profile.holdings.iter().map(|site| site.at(moment).bytes);
        let sum = bytes.fold(0u64, u64::saturating_add);
        if sum != stated {
            found.damage.push(Damage::SumsDiffer { moment, stated, sum });
        }
    };
    compare(Moment::Live, profile.facts.live_bytes);
    compare(Moment::Peak, profile.facts.peak_bytes);
    if let Some(stated) = failed {
        compare(Moment::OutOfMemory, stated);
    }
}

/// Reads a recording's header, and no more of it than that needs.
pub(crate) fn read_facts<B: Bytes + ?Sized>(file: &B) -> Result<(Facts, Vec<Damage>), ReadError> {
    let header = read_header(file)?;
    let mut found = Findings::default();
    let tables = Tables::find(file, &header, &mut found);
    let mut facts = facts::read(&header, &tables, &mut found);
    raise_peak(&mut facts);
    Ok((facts, found.into_damage()))
}

/// What no longer found a site of its own.
const OVERFLOW: &str = "[not recorded apart]";

fn read_header<B: Bytes + ?Sized>(file: &B) -> Result<Vec<u8>, ReadError> {
    let header = file.read(0, size_of::<Header>());
    if header.len() < size_of::<Header>() || !header.starts_with(&MAGIC) {
        return Err(ReadError::NotARecording);
    }
    match u32_at(&header, offset_of!(Header, version)) {
        0 => Err(ReadError::NotARecording),
        1..=VERSION => Ok(header),
        newer => Err(ReadError::Newer(newer)),
    }
}

/// The functions that differ in file or name, and for each record which of them it is: functions that are defined anew,
/// in a loop or by a reload, have a record each.
struct Functions {
    different: Vec<Function>,
    of_record: Vec<u32>,
}

fn read_functions<B: Bytes + ?Sized>(tables: &Tables<B>, names: &mut Resolver) -> Functions {
    let mut functions = Functions {
        different: Vec::new(),
        of_record: Vec::with_capacity(tables.present(Table::Functions)),
    };
    let mut known: HashMap<Function, u32> = HashMap::new();
    tables.each(Table::Functions, |_, record| {
        let function = Function {
            file: names.resolve(u32_at(record, offset_of!(recording::Function, file))),
            name: names.resolve(u32_at(record, offset_of!(recording::Function, name))),
        };
        let new = functions.different.len() as u32;
        let number = *known.entry(function).or_insert(new);
        if number == new {
            functions.different.push(function);
        }
        functions.of_record.push(number);
    });
    functions
}

fn read_nodes<B: Bytes + ?Sized>(tables: &Tables<B>, functions: &Functions, found: &mut Findings) -> Vec<Node> {
    let mut nodes = Vec::with_capacity(tables.present(Table::Nodes) + 2);
    tables.each(Table::Nodes, |id, record| {
        let mut parent = u32_at(record, offset_of!(recording::Node, parent));
        // The root is its own parent; every other parent is older than its child, so that no stack goes in circles.
        if parent as usize >= id.max(1) {
            found.bad_references += 1;
            parent = 0;
        }
        let function = u32_at(record, offset_of!(recording::Node, function));
        let function = functions.of_record.get(function as usize).copied();
        nodes.push(Node {
            parent,
            function: function.unwrap_or_else(|| {
                found.bad_references += 1;
                u32::MAX
            }),
            line: u32_at(record, offset_of!(recording::Node, line)),
        });
    });
    if nodes.is_empty() {
        found.damage.push(Damage::MissingRecords {
            table: Table::Nodes,
            published: 1,
            present: 0,
        });
        nodes.push(Node {
            parent: 0,
            function: u32::MAX,
            line: 0,
        });
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::FailedAllocation;

    #[test]
    fn what_is_held_when_it_ends_never_exceeds_the_peak() {
        let failure = |live_bytes| FailedAllocation {
            live_bytes,
            time_ns: 9,
            ..FailedAllocation::default()
        };
        for (state, live, absent, failed, expected) in [
            (State::Running, 90, 0, 80, (100, None)),
            (State::Running, 101, 0, 80, (101, Some(Moment::Live))),
            (State::Ended, 101, 0, 80, (100, None)),
            (State::Ended, 50, 0, 102, (102, Some(Moment::OutOfMemory))),
            // Unless most of it was never touched.
            (State::Running, 300, 210, 80, (100, None)),
            (State::Running, 300, 200, 80, (300, Some(Moment::Live))),
        ] {
            let mut facts = Facts {
                state,
                live_bytes: live,
                absent_bytes: absent,
                peak_bytes: 100,
                failure: Some(failure(failed)),
                ..Facts::default()
            };
            let raised = raise_peak(&mut facts);
            assert_eq!((facts.peak_bytes, raised), expected);
        }
    }
}
