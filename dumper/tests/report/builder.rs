//! Writes recordings as the preload would have, for tests.

use std::collections::HashMap;
use std::mem::{offset_of, size_of};

use recording::{
    AllocFunction, BLOCK_UNIT, CHUNK_BYTES, EVENT_SLOTS, Earlier, Event, EventKind, Function, HEADER_BYTES, Header,
    MAGIC, Node, STATE_ENDED, STATE_RUNNING, Site, Snapshot, Table, Tally, Trouble, VARIANCE_UNIT, VERSION,
};

const PEAK_EPOCH: u32 = 7;
const OOM_EPOCH: u32 = 3;
/// The last moment but one.
const EARLIER_EPOCH: u32 = 5;
/// When every recording begins: nanoseconds since the Unix epoch.
pub const STARTED_NS: u64 = 1_700_000_000_000_000_000;

/// Bytes and variance (in bytes²) that a site holds.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Held {
    pub bytes: u64,
    pub variance: u64,
}

/// A recording in the making.
pub struct Builder {
    header: Vec<u8>,
    strings: Vec<u8>,
    tables: HashMap<u8, Vec<u8>>,
    string_ids: HashMap<String, u32>,
    function_ids: HashMap<(u32, u32), u32>,
    node_ids: HashMap<(u32, u32, u32), u32>,
    totals: [u64; 3],
    events: u64,
    failures: u64,
}

impl Builder {
    pub fn new(pid: u32, command: &[&str]) -> Builder {
        let mut builder = Builder {
            header: vec![0; HEADER_BYTES],
            strings: vec![0; 4],
            tables: HashMap::new(),
            string_ids: HashMap::from([(String::new(), 0)]),
            function_ids: HashMap::new(),
            node_ids: HashMap::new(),
            totals: [0; 3],
            events: 0,
            failures: 0,
        };
        let root = builder.function("", "[root]");
        assert_eq!(root, 0);
        builder.push(Table::Nodes, &vec![0; size_of::<Node>()]);
        builder.push(Table::Sites, &vec![0; size_of::<Site>()]);
        let command = builder.string(&command.join("\0"));
        builder.u64(offset_of!(Header, magic), u64::from_le_bytes(MAGIC));
        builder.u32(offset_of!(Header, version), VERSION);
        builder.u32(offset_of!(Header, header_bytes), HEADER_BYTES as u32);
        builder.u32(offset_of!(Header, chunk_bytes), CHUNK_BYTES as u32);
        builder.u32(offset_of!(Header, state), STATE_ENDED);
        builder.u32(offset_of!(Header, pid), pid);
        builder.u32(offset_of!(Header, command), command);
        builder.u32(offset_of!(Header, python), 3 << 8 | 11);
        builder.u64(offset_of!(Header, started_ns), STARTED_NS);
        builder.u64(offset_of!(Header, sample_interval), 64 << 10);
        builder.u64(offset_of!(Header, large_bytes), 1 << 20);
        builder.u64(offset_of!(Header, samples), 12_345);
        builder.u32(offset_of!(Header, peak_epoch), PEAK_EPOCH);
        builder
    }

    pub fn u32(&mut self, offset: usize, value: u32) {
        self.header[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, offset: usize, value: u64) {
        self.header[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// The process did not come to its exit handlers.
    pub fn running(&mut self) {
        self.u32(offset_of!(Header, state), STATE_RUNNING);
    }

    /// The node of a callstack, outermost call first.
    pub fn stack(&mut self, calls: &[(&str, u32, &str)]) -> u32 {
        calls
            .iter()
            .fold(0, |parent, (file, line, name)| self.node(parent, file, *line, name))
    }

    pub fn node(&mut self, parent: u32, file: &str, line: u32, name: &str) -> u32 {
        let function = self.function(file, name);
        if let Some(id) = self.node_ids.get(&(parent, function, line)) {
            return *id;
        }
        let mut record = vec![0; size_of::<Node>()];
        put(&mut record, offset_of!(Node, parent), parent.into(), 4);
        put(&mut record, offset_of!(Node, function), function.into(), 4);
        put(&mut record, offset_of!(Node, line), line.into(), 4);
        let id = self.push(Table::Nodes, &record);
        self.node_ids.insert((parent, function, line), id);
        id
    }

    /// A site that holds this now, at the peak, and when an allocation failed.
    pub fn site(&mut self, node: u32, live: Held, peak: Held, oom: Held) {
        let mut record = vec![0; size_of::<Site>()];
        put(&mut record, offset_of!(Site, node), node.into(), 4);
        put_tally(&mut record, offset_of!(Site, live), live);
        // Where nothing has changed since the snapshot, its stamp and what it saved are of an older one.
        for (offset, epoch, held) in [
            (offset_of!(Site, peak), PEAK_EPOCH, peak),
            (offset_of!(Site, oom), OOM_EPOCH, oom),
        ] {
            let (epoch, saved) = if held == live {
                (epoch - 1, Held { bytes: 99, variance: 0 })
            } else {
                (epoch, held)
            };
            put(&mut record, offset + offset_of!(Snapshot, epoch), epoch.into(), 4);
            put_tally(&mut record, offset + offset_of!(Snapshot, saved), saved);
        }
        self.push(Table::Sites, &record);
        self.count(live, peak, oom);
    }

    /// A moment that growth is counted from, so long after the recording began; the last site held this then, and has
    /// changed since: before the peak and the failed allocation, or after.
    pub fn earlier(&mut self, after_ns: u64, held: u64, in_snapshots: bool) {
        let last_but_one = offset_of!(Header, earlier_ns) + EARLIER_EPOCH as usize % 2 * 8;
        self.u32(offset_of!(Header, earlier_epoch), EARLIER_EPOCH + 1);
        self.u64(last_but_one, STARTED_NS + after_ns);
        let sites = self.tables.get_mut(&(Table::Sites as u8)).unwrap();
        let begin = sites.len() - size_of::<Site>();
        let slot = offset_of!(Site, earlier) + EARLIER_EPOCH as usize % 2 * size_of::<Earlier>();
        let stamps = [
            (offset_of!(Site, earlier_epoch), true),
            (
                offset_of!(Site, peak) + offset_of!(Snapshot, earlier_epoch),
                in_snapshots,
            ),
            (
                offset_of!(Site, oom) + offset_of!(Snapshot, earlier_epoch),
                in_snapshots,
            ),
        ];
        for (offset, has_changed) in stamps {
            let epoch = EARLIER_EPOCH - u32::from(!has_changed);
            put(&mut sites[begin..], offset, epoch.into(), 4);
        }
        put(&mut sites[begin..], slot + offset_of!(Earlier, bytes), held, 8);
    }

    /// Another such moment after that, until which the last site came to hold this, and when the peak was.
    pub fn rose_again(&mut self, after_ns: u64, held: u64, peak_ns: u64) {
        let last = EARLIER_EPOCH + 1;
        self.u64(
            offset_of!(Header, earlier_ns) + last as usize % 2 * 8,
            STARTED_NS + after_ns,
        );
        self.u64(offset_of!(Header, peak_time_ns), STARTED_NS + peak_ns);
        let sites = self.tables.get_mut(&(Table::Sites as u8)).unwrap();
        let begin = sites.len() - size_of::<Site>();
        put(&mut sites[begin..], offset_of!(Site, earlier_epoch), last.into(), 4);
        let slot = offset_of!(Site, earlier) + last as usize % 2 * size_of::<Earlier>();
        put(&mut sites[begin..], slot + offset_of!(Earlier, bytes), held, 8);
    }

    /// A site that always holds this, exactly.
    pub fn holds(&mut self, node: u32, bytes: u64) {
        let held = Held { bytes, variance: 0 };
        self.site(node, held, held, held);
    }

    /// What the overflow site always holds.
    pub fn overflow(&mut self, bytes: u64) {
        let held = Held { bytes, variance: 0 };
        let sites = self.tables.get_mut(&(Table::Sites as u8)).unwrap();
        put_tally(sites, offset_of!(Site, live), held);
        self.count(held, held, held);
    }

    /// The failed allocation that defines the moment it ran out, and its event.
    pub fn failed(&mut self, function: AllocFunction, bytes: u64, node: u32, time_ns: u64) {
        self.failures += 1;
        self.u32(offset_of!(Header, oom_epoch), OOM_EPOCH);
        self.u64(offset_of!(Header, oom_request_bytes), bytes);
        self.u64(offset_of!(Header, oom_time_ns), time_ns);
        self.u32(offset_of!(Header, oom_node), node);
        self.u32(offset_of!(Header, oom_function), function as u32);
        self.u64(offset_of!(Header, failures), self.failures);
        self.event(EventKind::AllocationFailed, function as u32, bytes, node, time_ns);
    }

    pub fn trouble(&mut self, trouble: Trouble, bytes: u64) {
        self.event(EventKind::Trouble, trouble as u32, bytes, 0, STARTED_NS + 1_000_000);
    }

    /// A phase that the job has named, and its highest total.
    pub fn phase(&mut self, name: &str, bytes: u64, after_ns: u64) {
        let name = self.string(name);
        self.event(EventKind::Mark, name, bytes, 0, STARTED_NS + after_ns);
    }

    pub fn event(&mut self, kind: EventKind, detail: u32, bytes: u64, node: u32, time_ns: u64) {
        let begin = offset_of!(Header, ring) + self.events as usize % EVENT_SLOTS * size_of::<Event>();
        self.events += 1;
        let live = self.totals[2];
        self.u64(begin + offset_of!(Event, sequence), self.events);
        self.u64(begin + offset_of!(Event, time_ns), time_ns);
        self.u32(begin + offset_of!(Event, kind), kind as u32);
        self.u32(begin + offset_of!(Event, detail), detail);
        self.u64(begin + offset_of!(Event, bytes), bytes);
        self.u64(begin + offset_of!(Event, live_bytes), live);
        self.u32(begin + offset_of!(Event, node), node);
        self.u32(begin + offset_of!(Event, repeats), 1);
        self.u64(offset_of!(Header, events), self.events);
    }

    /// The file.
    pub fn bytes(mut self) -> Vec<u8> {
        let totals = self.totals;
        self.u64(offset_of!(Header, live_bytes), totals[0]);
        self.u64(offset_of!(Header, peak_bytes), totals[1]);
        self.u64(offset_of!(Header, oom_live_bytes), totals[2]);
        self.tables
            .insert(Table::Strings as u8, std::mem::take(&mut self.strings));
        let mut chunks = Vec::new();
        for table in Table::ALL {
            let records = self.tables.remove(&(table as u8)).unwrap_or_default();
            let slot = offset_of!(Header, counts) + 4 * (table as usize - 1);
            self.u32(slot, (records.len() / table.record_bytes()) as u32);
            let per_chunk = table.records_per_chunk() * table.record_bytes();
            chunks.extend(
                records
                    .chunks(per_chunk)
                    .enumerate()
                    .map(|(order, chunk)| (order, table, chunk.to_vec())),
            );
        }
        // Chunks of different tables alternate, as they do when they are handed out in the order of need.
        chunks.sort_by_key(|(order, table, _)| (*order, *table as u8));
        self.u32(offset_of!(Header, chunk_count), chunks.len() as u32);
        let mut file = self.header;
        for (index, (_, table, mut chunk)) in chunks.into_iter().enumerate() {
            file[offset_of!(Header, chunk_kinds) + index] = table as u8;
            chunk.resize(CHUNK_BYTES, 0);
            file.extend(chunk);
        }
        file
    }

    fn count(&mut self, live: Held, peak: Held, oom: Held) {
        for (total, held) in self.totals.iter_mut().zip([live, peak, oom]) {
            *total += held.bytes;
        }
    }

    fn function(&mut self, file: &str, name: &str) -> u32 {
        let names = (self.string(file), self.string(name));
        if let Some(id) = self.function_ids.get(&names) {
            return *id;
        }
        let mut record = vec![0; size_of::<Function>()];
        put(&mut record, offset_of!(Function, file), names.0.into(), 4);
        put(&mut record, offset_of!(Function, name), names.1.into(), 4);
        let id = self.push(Table::Functions, &record);
        self.function_ids.insert(names, id);
        id
    }

    fn string(&mut self, text: &str) -> u32 {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let needed = 4 + text.len();
        let left = CHUNK_BYTES - self.strings.len() % CHUNK_BYTES;
        if needed > left {
            self.strings.resize(self.strings.len() + left, 0);
        }
        let id = self.strings.len() as u32;
        self.strings.extend((text.len() as u32).to_le_bytes());
        self.strings.extend(text.as_bytes());
        self.strings.resize(self.strings.len().next_multiple_of(4), 0);
        self.string_ids.insert(text.to_owned(), id);
        id
    }

    fn push(&mut self, table: Table, record: &[u8]) -> u32 {
        let records = self.tables.entry(table as u8).or_default();
        records.extend(record);
        (records.len() / table.record_bytes()) as u32 - 1
    }
}

fn put_tally(record: &mut [u8], offset: usize, held: Held) {
    put(record, offset + offset_of!(Tally, bytes), held.bytes, 8);
    put(
        record,
        offset + offset_of!(Tally, blocks),
        held.bytes.div_ceil(1 << 20) * BLOCK_UNIT,
        8,
    );
    put(
        record,
        offset + offset_of!(Tally, variance),
        held.variance / VARIANCE_UNIT,
        8,
    );
}

fn put(record: &mut [u8], offset: usize, value: u64, width: usize) {
    record[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
}
