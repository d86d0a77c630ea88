//! Reads what the parts of a process's address space are used for, from /proc/PID/smaps (proc(5)).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use dumper::allocator;
use dumper::measured::{Area, Extent, Pages};
use nix::unistd::Pid;

use crate::kernel::elf;
use crate::kernel::host::Host;
use crate::kernel::page_bytes;

/// glibc's heaps beside the first begin at multiples of this and reserve as much (`HEAP_MAX_SIZE` of malloc/arena.c).
const HEAP: u64 = 64 << 20;
/// A guard below a stack is at most this large.
const MOST_GUARD: u64 = 1 << 20;
/// The resident bytes of a block are exact enough if at most this part of it is unknown.
const EXACT_ENOUGH: u64 = 512;
/// No stack is smaller.
const LEAST_STACK: u64 = 16 << 10;

/// One line of maps, with what smaps says of it.
#[derive(Clone, Debug, Default)]
struct Part {
    start: u64,
    end: u64,
    access: String,
    path: String,
    is_hugetlb: bool,
    extent: Extent,
}

/// The size and resident bytes of each area. Some parts of a mapping belong to another area than the rest; their resident bytes must be
/// read separately and moved from the anonymous area.
#[derive(Debug, Default)]
pub struct Areas {
    /// By area.
    pub extents: BTreeMap<Area, Extent>,
    /// Such parts: the area, the first byte, and the size.
    pub pieces: Vec<(Area, u64, u64)>,
    /// Files of libraries that have an allocator.
    pub allocators: Vec<String>,
    /// First byte, end, resident and swapped bytes of each mapping, in order of address.
    mappings: Vec<[u64; 4]>,
    /// For each mapping, the resident bytes that no block has claimed.
    unclaimed: Vec<u64>,
}

impl Areas {
    /// Reads the areas of a process with this many threads, whose stacks usually have the size `stack`. `None` if the process has ended or
    /// belongs to another user. Pages of hugetlbfs count as resident only if the limit counts them.
    pub fn read(host: &Host, pid: Pid, threads: usize, stack: u64, counts_hugetlb: bool) -> Option<Self> {
        let file = File::open(host.of_process(pid, "smaps")).ok()?;
        let mut parts = parse(BufReader::with_capacity(256 << 10, file));
        if !counts_hugetlb {
            parts.iter_mut().for_each(Part::set_hugetlb_apart);
        }
        let end = |path: &str| elf::end_in_memory(&host.file(path));
        (!parts.is_empty()).then(|| sort(&parts, threads, stack, &end))
    }

    /// How much of a block is resident, and the error of that number, if the mapping around it tells: most mappings are resident as a
    /// whole or not at all.
    pub fn pages(&self, address: u64, bytes: u64) -> Option<Pages> {
        let at = self.mappings.partition_point(|[_, end, ..]| *end <= address);
        let [start, end, resident, swapped] = *self.mappings.get(at)?;
        if address < start || address.saturating_add(bytes) > end || swapped > 0 {
            return None;
        }
        let absent = (end - start).saturating_sub(resident);
        if resident == 0 {
            return Some(Pages {
                bytes,
                ..Pages::default()
            });
        }
        (absent <= bytes / EXACT_ENOUGH).then(|| Pages {
            bytes,
            resident: bytes - absent / 2,
            error: absent / 4,
            ..Pages::default()
        })
    }

    /// How many of these resident bytes of a block were there when smaps was read and belong to no other block. The program fills blocks
    /// meanwhile, and many blocks share a mapping.
    pub fn claim(&mut self, address: u64, bytes: u64, resident: u64) -> u64 {
        let end = address.saturating_add(bytes);
        let from = self.mappings.partition_point(|[_, end, ..]| *end <= address);
        let within = self.mappings.iter().zip(&mut self.unclaimed).skip(from);
        let mut claimed = 0;
        for ([start, to, ..], left) in within.take_while(|([start, ..], _)| *start < end) {
            let part = (*left).min(end.min(*to) - address.max(*start)).min(resident - claimed);
            *left -= part;
            claimed += part;
        }
        claimed
    }
}

impl Part {
    fn set_hugetlb_apart(&mut self) {
        if self.is_hugetlb {
            self.extent.uncounted = std::mem::take(&mut self.extent.resident);
        }
    }
}

/// A part of a mapped file that cannot be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// The address of its first byte.
    pub start: usize,
    /// The address after its last byte.
    pub end: usize,
    /// Whether it has pages that differ from the file: it could be written to before.
    pub was_written: bool,
}

/// The unwritable parts of a process, from its smaps.
pub fn unwritable(smaps: impl BufRead) -> Vec<Unwritable> {
    let parts = parse(smaps).into_iter();
    let of_file = parts.filter(|part| part.path.starts_with('/') && matches!(&*part.access, "r--p" | "r-xp"));
    let unwritable = of_file.map(|part| Unwritable {
        start: part.start as usize,
        end: part.end as usize,
        was_written: part.extent.anonymous > 0 || part.extent.swapped > 0,
    });
    unwritable.collect()
}

/// The stack of a process's first thread, from its smaps or maps.
pub fn stack(maps: impl BufRead) -> Option<Range<usize>> {
    let mut parts = parse(maps).into_iter();
    let part = parts.find(|part| part.path == "[stack]")?;
    Some(part.start as usize..part.end as usize)
}

fn parse(lines: impl BufRead) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in lines.split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let Some((first, rest)) = line.split_once(' ') else {
            continue;
        };
        if let Some(name) = first.strip_suffix(':') {
            let bytes = || {
                let kibibytes = rest.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
                kibibytes.checked_mul(1024)
            };
            let Some(part) = parts.last_mut() else { continue };
            let extent = &mut part.extent;
            let field = match name {
                "Size" => &mut extent.size,
                "Rss" => &mut extent.resident,
                "Pss" => &mut extent.proportional,
                "Shared_Clean" | "Shared_Dirty" => &mut extent.shared,
                "Anonymous" => &mut extent.anonymous,
                "Swap" => &mut extent.swapped,
                "AnonHugePages" | "ShmemPmdMapped" => &mut extent.huge,
                // Rss does not count huge pages of hugetlbfs.
                "Shared_Hugetlb" | "Private_Hugetlb" => &mut extent.resident,
                "LazyFree" => &mut extent.lazy,
                "KernelPageSize" => {
                    part.is_hugetlb = bytes().is_some_and(|bytes| bytes > page_bytes());
                    continue;
                }
                _ => continue,
            };
            *field += bytes().unwrap_or(0);
        } else if let Some(part) = head(&line) {
            parts.push(part);
        }
    }
    parts
}

/// `7f00-7f10 rw-p 00000000 00:00 0    [heap]`
fn head(line: &str) -> Option<Part> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let access = words.next()?.to_owned();
    Some(Part {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        access,
        path: words.nth(3).unwrap_or("").trim().to_owned(),
        ..Part::default()
    })
}

fn sort(parts: &[Part], threads: usize, stack: u64, end_in_memory: &dyn Fn(&str) -> Option<u64>) -> Areas {
    let code = parts.iter().filter(|part| part.access.contains('x'));
    let code: HashSet<&str> = code
        .map(|part| part.path.as_str())
        .filter(|path| path.starts_with('/'))
        .collect();
    let names = code.iter().filter_map(|path| path.rsplit('/').next());
    let mut allocators: Vec<String> = names.filter(|name| allocator::is_in(name)).map(str::to_owned).collect();
    allocators.sort_unstable();
    let mut areas = Areas {
        allocators,
        ..Areas::default()
    };
    let mut stacks_left = threads.saturating_sub(1);
    let mut before: Option<(&Part, Area)> = None;
    // Where each file begins in memory: its later parts follow it.
    let mut begins: HashMap<&str, u64> = HashMap::new();
    for (number, part) in parts.iter().enumerate() {
        let next = parts.get(number + 1);
        let mut area = by_name(part, &code);
        let is_plain = area == Area::Anonymous && part.path.is_empty();
        if is_plain && !part.access.starts_with("---") {
            let neighbour = before.filter(|(before, _)| before.end == part.start);
            if is_heap(part, next) {
                area = Area::Heap;
            } else if let Some((elder, of)) = neighbour {
                // Variables of a library that have no bytes in its file come behind it.
                let is_library = matches!(of, Area::Libraries | Area::Own) && elder.path.starts_with('/');
                let end = || {
                    begins
                        .get(elder.path.as_str())?
                        .checked_add(end_in_memory(&elder.path)?)
                };
                let variables = if is_library {
                    end().filter(|end| *end > part.start)
                } else {
                    None
                };
                let is_guarded = elder.access.starts_with("---") && elder.end - elder.start <= MOST_GUARD;
                let size = part.end - part.start;
                if let Some(end) = variables {
                    match end < part.end {
                        true => areas.pieces.push((of, part.start, end - part.start)),
                        false => area = of,
                    }
                } else if is_guarded && size >= LEAST_STACK && stacks_left > 0 {
                    stacks_left -= 1;
                    let own = stack.saturating_sub(elder.end - elder.start);
                    if size > stack {
                        areas.pieces.push((Area::Stacks, part.start, own));
                    } else {
                        area = Area::Stacks;
                    }
                }
            }
        }
        if is_plain && part.access.starts_with("---") {
            area = Area::Reserved;
        }
        add(areas.extents.entry(area).or_default(), &part.extent);
        areas
            .mappings
            .push([part.start, part.end, part.extent.resident, part.extent.swapped]);
        areas.unclaimed.push(part.extent.resident);
        if part.path.starts_with('/') {
            begins.entry(&part.path).or_insert(part.start);
        }
        before = Some((part, area));
    }
    areas
}

fn is_heap(part: &Part, next: Option<&Part>) -> bool {
    let is_followed = next
        .is_some_and(|next| next.start == part.end && next.access.starts_with("---") && next.end.is_multiple_of(HEAP));
    part.start.is_multiple_of(HEAP) && (is_followed || part.end == part.start + HEAP)
}

fn by_name(part: &Part, code: &HashSet<&str>) -> Area {
    let path = part.path.trim_end_matches(" (deleted)");
    let is_shared = part.access.ends_with('s');
    match path {
        "[heap]" => Area::Heap,
        "[stack]" => Area::Stacks,
        "" => Area::Anonymous,
        "/dev/zero" if !is_shared => Area::Anonymous,
        "/dev/zero" => Area::Shared,
        "/anon_hugepage" if !is_shared => Area::Anonymous,
        _ if path.starts_with("[anon") && path.contains("stack") => Area::Stacks,
        _ if path.starts_with("[anon") => Area::Anonymous,
        // vdso, vvar and vsyscall.
        _ if path.starts_with('[') => Area::Libraries,
        _ if path.ends_with(".recording") || path.ends_with("/libpreload.so") => Area::Own,
        _ if code.contains(part.path.as_str()) => Area::Libraries,
        _ if ["/dev/shm/", "/memfd:", "/SYSV", "/anon_hugepage"]
            .iter()
            .any(|place| path.starts_with(place)) =>
        {
            Area::Shared
        }
        // These have no file on a disk to which they could be written back.
        _ if part.is_hugetlb && is_shared => Area::Shared,
        _ if part.is_hugetlb => Area::Anonymous,
        _ => Area::Files,
    }
}

fn add(sum: &mut Extent, part: &Extent) {
    sum.size += part.size;
    sum.resident += part.resident;
    sum.proportional += part.proportional;
    sum.shared += part.shared;
    sum.anonymous += part.anonymous;
    sum.swapped += part.swapped;
    sum.huge += part.huge;
    sum.lazy += part.lazy;
    sum.uncounted += part.uncounted;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Lines of maps, with as much resident as the last number says, in KiB.
    fn smaps(lines: &[(&str, u64)]) -> String {
        let part = |(line, resident): &(&str, u64)| {
            let part = head(line).unwrap();
            let size = (part.end - part.start) / 1024;
            format!("{line}\nSize: {size} kB\nRss: {resident} kB\nVmFlags: rd\n")
        };
        lines.iter().map(part).collect()
    }

    #[test]
    fn every_part_of_an_address_space_has_its_area() {
        let text = smaps(&[
            (
                "555500000000-555500001000 r-xp 00000000 08:01 11    /usr/bin/python3",
                4,
            ),
            (
                "555500001000-555500002000 rw-p 00001000 08:01 11    /usr/bin/python3",
                8,
            ),
            ("555500002000-555500004000 rw-p 00000000 00:00 0 ", 16),
            ("555556000000-555556100000 rw-p 00000000 00:00 0     [heap]", 100),
            ("7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ", 200),
            ("7f0000100000-7f0004000000 ---p 00000000 00:00 0 ", 0),
            ("7f0010000000-7f0010001000 ---p 00000000 00:00 0 ", 0),
            ("7f0010001000-7f0010801000 rw-p 00000000 00:00 0 ", 32),
            (
                "7f0020000000-7f0020100000 rw-s 00000000 00:01 9     /memfd:a b (deleted)",
                64,
            ),
            ("7f0030000000-7f0030100000 rw-p 00000000 00:00 0 ", 128),
            (
                "7f0040000000-7f0040100000 r--s 00000000 08:01 77    /data/with spaces.npy",
                256,
            ),
            (
                "7f0050000000-7f0050100000 rw-s 00000000 08:01 78    /run/1-0.recording",
                512,
            ),
        ]);
        let mut areas = sort(&parse(text.as_bytes()), 2, 8 * MIB, &|_| Some(0x4000));
        let kib = |area| {
            areas
                .extents
                .get(&area)
                .map_or(0, |extent: &Extent| extent.resident / 1024)
        };
        assert_eq!(
            (kib(Area::Libraries), kib(Area::Heap), kib(Area::Stacks)),
            (28, 300, 32)
        );
        assert_eq!((kib(Area::Shared), kib(Area::Anonymous)), (64, 128));
        assert_eq!((kib(Area::Files), kib(Area::Own)), (256, 512));
        assert_eq!(areas.extents[&Area::Reserved].size, 0x3f0_0000 + 0x1000);
        assert_eq!(areas.pieces, []);
        let there = |address, bytes| areas.pages(address, bytes).map(|pages| pages.resident);
        assert_eq!(there(0x7f00_0010_0000, 4096), Some(0));
        assert_eq!(there(0x5555_5600_0000, MIB), None);
        assert_eq!(there(0x7f00_2000_0000, 2 * MIB), None);
        let kib = 1024;
        let mut claim = |address, bytes, resident| areas.claim(address, bytes, resident) / kib;
        assert_eq!(claim(0x7f00_0000_0000, 0x8_0000, 150 * kib), 150);
        assert_eq!(claim(0x7f00_0008_0000, 0x8_0000, 150 * kib), 50);
        assert_eq!(claim(0x5555_0000_1000, 0x3000, MIB), 4 + 8);
        assert_eq!(claim(0x7f00_8000_0000, MIB, MIB), 0);
    }

    #[test]
    fn pages_of_hugetlbfs_are_no_page_cache_and_not_resident_where_the_limit_does_not_count_them() {
        let huge = |line: &str, kind: &str| {
            format!("{line}\nSize: 8192 kB\nRss: 0 kB\n{kind}_Hugetlb: 4096 kB\nKernelPageSize: 2048 kB\n")
        };
        let text = [
            huge(
                "7f0000000000-7f0000800000 rw-s 00000000 00:0f 9     /dev/hugepages/file",
                "Shared",
            ),
            huge(
                "7f0010000000-7f0010800000 rw-p 00000000 00:0f 9     /anon_hugepage (deleted)",
                "Private",
            ),
            "7f0020000000-7f0020100000 rw-p 00000000 00:00 0 \nSize: 1024 kB\nRss: 1024 kB\nKernelPageSize: 4 kB\n"
                .to_owned(),
        ];
        let mut parts = parse(text.concat().as_bytes());
        let sum = |parts: &[Part], area| {
            let extent = sort(parts, 1, 8 * MIB, &|_| None).extents[&area];
            (extent.resident / MIB, extent.uncounted / MIB)
        };
        assert_eq!(
            (sum(&parts, Area::Shared), sum(&parts, Area::Anonymous)),
            ((4, 0), (5, 0))
        );
        parts.iter_mut().for_each(Part::set_hugetlb_apart);
        assert_eq!(
            (sum(&parts, Area::Shared), sum(&parts, Area::Anonymous)),
            ((0, 4), (1, 4))
        );
        let block = sort(&parts, 1, 8 * MIB, &|_| None).pages(0x7f00_1000_0000, 8 * MIB);
        assert_eq!(block.map(|pages| (pages.bytes, pages.resident)), Some((8 * MIB, 0)));
    }

    #[test]
    fn a_stack_that_shares_its_mapping_is_to_be_asked_for() {
        let text = smaps(&[
            ("7f0010000000-7f0010001000 ---p 00000000 00:00 0 ", 0),
            ("7f0010001000-7f0020801000 rw-p 00000000 00:00 0 ", 32),
        ]);
        let areas = sort(&parse(text.as_bytes()), 3, 8 * MIB, &|_| None);
        assert_eq!(areas.pieces, [(Area::Stacks, 0x7f00_1000_1000, 8 * MIB - 4096)]);
    }

    #[test]
    fn what_lies_behind_a_library_is_its_own_only_as_far_as_its_variables_go() {
        let text = smaps(&[
            ("7f0010000000-7f0010001000 r-xp 00000000 08:01 11    /lib/a.so", 4),
            ("7f0010001000-7f0010002000 rw-p 00001000 08:01 11    /lib/a.so", 4),
            ("7f0010002000-7f0020000000 rw-p 00000000 00:00 0 ", 4096),
        ]);
        let areas = sort(&parse(text.as_bytes()), 1, 8 * MIB, &|_| Some(0x3000));
        assert_eq!(areas.pieces, [(Area::Libraries, 0x7f00_1000_2000, 4096)]);
        assert_eq!(areas.extents[&Area::Anonymous].resident, 4 * MIB);
    }

    #[test]
    fn this_process_adds_up() {
        let areas = Areas::read(&Host::this(), Pid::this(), 2, 8 * MIB, true).unwrap();
        let resident: u64 = areas.extents.values().map(|extent| extent.resident).sum();
        let usage = crate::kernel::procfs::Usage::read(&Host::this(), Pid::this()).unwrap();
        assert!(resident.abs_diff(usage.resident) < 2 * MIB, "{resident} {usage:?}");
    }
}
