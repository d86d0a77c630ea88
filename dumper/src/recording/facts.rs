//! A process's facts, from the header of its recording.

use std::mem::offset_of;

use recording::{AllocFunction, Header, STATE_ENDED, STATE_OOM_EXIT, Table};

use super::bytes::{Bytes, u32_at, u64_at};
use super::tables::Tables;
use super::{events, kinds, sites};
use crate::damage::Findings;
use crate::profile::{Facts, FailedAllocation, State};

/// The facts that a header states, with the strings that it names.
pub(super) fn read<B: Bytes + ?Sized>(header: &[u8], tables: &Tables<B>, found: &mut Findings) -> Facts {
    let small = |offset| u32_at(header, offset);
    let large = |offset| u64_at(header, offset);
    let nodes = tables.present(Table::Nodes).max(1);
    let failure = (small(offset_of!(Header, oom_epoch)) > 0).then(|| FailedAllocation {
        request_bytes: large(offset_of!(Header, oom_request_bytes)),
        live_bytes: large(offset_of!(Header, oom_live_bytes)),
        time_ns: large(offset_of!(Header, oom_time_ns)),
        function: AllocFunction::from_code(small(offset_of!(Header, oom_function))),
        node: match small(offset_of!(Header, oom_node)) {
            node if (node as usize) < nodes => node,
            _ => {
                found.bad_references += 1;
                0
            }
        },
    });
    let python = small(offset_of!(Header, python));
    let command = match small(offset_of!(Header, command)) {
        0 => Vec::new(),
        id => tables.string(id).unwrap_or_else(|| {
            found.bad_names += 1;
            Vec::new()
        }),
    };
    let since_3 = |offset| match small(offset_of!(Header, version)) {
        ..3 => 0,
        _ => large(offset),
    };
    Facts {
        pid: small(offset_of!(Header, pid)),
        ppid: small(offset_of!(Header, ppid)),
        command: arguments(&String::from_utf8_lossy(&command)),
        started_ns: large(offset_of!(Header, started_ns)),
        state: match small(offset_of!(Header, state)) {
            STATE_ENDED => State::Ended,
            STATE_OOM_EXIT => State::Left,
            _ => State::Running,
        },
        python: (python != 0).then_some(((python >> 8) as u8, python as u8)),
        exact: small(offset_of!(Header, exact)) != 0,
        sample_interval: large(offset_of!(Header, sample_interval)),
        large_bytes: large(offset_of!(Header, large_bytes)),
        samples: large(offset_of!(Header, samples)),
        live_bytes: large(offset_of!(Header, live_bytes)),
        peak_bytes: large(offset_of!(Header, peak_bytes)),
        peak_time_ns: large(offset_of!(Header, peak_time_ns)),
        failure,
        failures: large(offset_of!(Header, failures)),
        arena_bytes: large(offset_of!(Header, arena_bytes)),
        kinds: kinds::read(header),
        stash_bytes: large(offset_of!(Header, stash_bytes)),
        own_bytes: large(offset_of!(Header, own_bytes)),
        most_resident_bytes: large(offset_of!(Header, most_resident_bytes)),
        gone_bytes: large(offset_of!(Header, gone_bytes)),
        inherited_bytes: large(offset_of!(Header, inherited_bytes)),
        rank: small(offset_of!(Header, rank)).checked_sub(1),
        absent_bytes: since_3(offset_of!(Header, absent_bytes)),
        peak_absent_bytes: since_3(offset_of!(Header, peak_absent_bytes)),
        oom_absent_bytes: since_3(offset_of!(Header, oom_absent_bytes)),
        looked_resident_bytes: since_3(offset_of!(Header, looked_resident_bytes)),
        resident_before_bytes: since_3(offset_of!(Header, resident_before_bytes)),
        events: events::read(header, tables, nodes, found),
        earlier_ns: sites::earlier_ns(header),
    }
}

/// The arguments in a command line, which zero bytes separate and may end.
fn arguments(command: &str) -> Vec<String> {
    let command = command.strip_suffix('\0').unwrap_or(command);
    if command.is_empty() {
        Vec::new()
    } else {
        command.split('\0').map(str::to_owned).collect()
    }
}
