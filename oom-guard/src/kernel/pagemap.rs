//! Finds out which pages of another process are in memory, from /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). From Linux
//! 6.7 on an ioctl returns ranges; before, the file is read, 8 bytes per page.
#![expect(unsafe_code, reason = "an ioctl that no crate has")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use dumper::measured::Pages;
use nix::unistd::Pid;

use crate::kernel::host::Host;
use crate::kernel::page_bytes;

/// The most pages, 64 GiB, that one measurement reads exactly. If there are more, it reads a part of them.
const EXACT_PAGES: u64 = 16 << 20;
/// This part is read in windows of this many pages.
const WINDOW: u64 = 2048;
/// The pages of one read.
const READ: usize = 64 << 10;
/// The most ranges that one ioctl returns.
const RANGES: usize = 512;

/// `PAGE_IS_*` of linux/fs.h.
const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const IS_ZERO: u64 = 1 << 5;
const IS_HUGE: u64 = 1 << 6;
/// `PAGEMAP_SCAN` of linux/fs.h: `_IOWR('f', 16, struct pm_scan_arg)`.
const SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    ranges: u64,
    ranges_length: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_any: u64,
    return_mask: u64,
}
const _: () = assert!(size_of::<Scan>() == 96);

/// `struct page_region` of linux/fs.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Range {
    start: u64,
    end: u64,
    categories: u64,
}

/// The pages of one process.
pub struct Pagemap {
    file: File,
    can_scan: bool,
    /// One of this many windows is read.
    each: u64,
}

impl Pagemap {
    /// For reading `pages` pages in all. Fails for another user's process.
    pub fn open(host: &Host, pid: Pid, pages: u64) -> io::Result<Self> {
        Ok(Self {
            file: File::open(host.of_process(pid, "pagemap"))?,
            can_scan: true,
            each: pages.div_ceil(EXACT_PAGES).max(1),
        })
    }

    /// As [`Pagemap::open`], without the ioctl.
    #[cfg(test)]
    fn reading(host: &Host, pid: Pid, each: u64) -> io::Result<Self> {
        let map = Self::open(host, pid, 0)?;
        Ok(Self {
            can_scan: false,
            each,
            ..map
        })
    }

    /// The pages of a block. A page at its border counts only with the bytes of the block.
    pub fn measure(&mut self, address: u64, bytes: u64) -> io::Result<Pages> {
        let end = address.saturating_add(bytes);
        let whole = (end.div_ceil(page_bytes()) - address / page_bytes()) * page_bytes();
        let mut pages = if self.each == 1 || whole <= 16 * WINDOW * page_bytes() {
            self.count(address, end)?
        } else {
            self.sample(address, end)?
        };
        pages.bytes = bytes;
        pages.resident = pages.resident.min(bytes);
        Ok(pages)
    }

    /// Reads one of every so many windows, as a sample of all.
    fn sample(&mut self, start: u64, end: u64) -> io::Result<Pages> {
        let window = WINDOW * page_bytes();
        let mut sum = Pages::default();
        let (mut seen, mut windows, mut squares) = (0u64, 0f64, 0f64);
        // Another window in each block; it need not be random.
        let mut at = (start + start / page_bytes() % self.each * window).min(end);
        while at < end {
            let upto = (at + window).min(end);
            let here = self.count(at, upto)?;
            sum.resident += here.resident;
            sum.swapped += here.swapped;
            sum.shared += here.shared;
            sum.huge += here.huge;
            seen += upto - at;
            windows += 1.0;
            squares += (here.resident as f64).powi(2);
            at = at.saturating_add(window * self.each);
        }
        let scale = (end - start) as f64 / seen.max(1) as f64;
        let mean = sum.resident as f64 / f64::max(windows, 1.0);
        let spread = (squares / f64::max(windows, 1.0) - mean * mean).max(0.0);
        let all = |part: u64| (part as f64 * scale) as u64;
        Ok(Pages {
            bytes: 0,
            resident: all(sum.resident),
            swapped: all(sum.swapped),
            shared: all(sum.shared),
            huge: all(sum.huge),
            error: (spread.sqrt() * windows.sqrt() * scale) as u64,
        })
    }

    fn count(&mut self, start: u64, end: u64) -> io::Result<Pages> {
        let mut pages = Pages::default();
        if self.can_scan {
            match self.scan(start, end, &mut pages) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
                    self.can_scan = false
                }
                other => return other.map(|()| pages),
            }
            pages = Pages::default();
        }
        self.read(start, end, &mut pages)?;
        Ok(pages)
    }

    fn scan(&self, start: u64, end: u64, pages: &mut Pages) -> io::Result<()> {
        let mut ranges = [Range::default(); RANGES];
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start: start & !(page_bytes() - 1),
            end: end.next_multiple_of(page_bytes()),
            ranges: ranges.as_mut_ptr() as u64,
            ranges_length: RANGES as u64,
            category_any: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_PRESENT | IS_SWAPPED | IS_FILE | IS_ZERO | IS_HUGE,
            ..Scan::default()
        };
        while scan.start < scan.end {
            // SAFETY: `scan` is of the size that it states, and tells of as many writable ranges as there are.
            let found = unsafe { libc::ioctl(self.file.as_raw_fd(), SCAN, &raw mut scan) };
            if found < 0 {
                return Err(io::Error::last_os_error());
            }
            for range in &ranges[..(found as usize).min(RANGES)] {
                add(pages, range.end.saturating_sub(range.start), range.categories);
            }
            if scan.walk_end <= scan.start {
                break;
            }
            scan.start = scan.walk_end;
        }
        Ok(())
    }

    fn read(&self, start: u64, end: u64, pages: &mut Pages) -> io::Result<()> {
        let mut buffer = vec![0u8; READ * 8];
        let (mut page, last) = (start / page_bytes(), end.div_ceil(page_bytes()));
        while page < last {
            let wanted = READ.min((last - page) as usize) * 8;
            let length = self.file.read_at(&mut buffer[..wanted], page * 8)?;
            if length < 8 {
                break;
            }
            for entry in buffer[..length].chunks_exact(8) {
                let bits = u64::from_le_bytes(entry.try_into().unwrap_or_default());
                let category = |bit: u32, category| if bits >> bit & 1 == 1 { category } else { 0 };
                add(
                    pages,
                    page_bytes(),
                    category(63, IS_PRESENT) | category(62, IS_SWAPPED) | category(61, IS_FILE),
                );
            }
            page += (length / 8) as u64;
        }
        Ok(())
    }
}

fn add(pages: &mut Pages, bytes: u64, categories: u64) {
    let is = |category| categories & category != 0;
    if is(IS_SWAPPED) && !is(IS_PRESENT) {
        pages.swapped += bytes;
    }
    // A page that was read but never written to is the shared page of zeros.
    if is(IS_PRESENT) && !is(IS_ZERO) {
        pages.resident += bytes;
        pages.shared += if is(IS_FILE) { bytes } else { 0 };
        pages.huge += if is(IS_HUGE) { bytes } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// 64 MiB of which the first `touched` MiB are written to.
    fn block(touched: usize) -> Vec<u8> {
        let mut block = vec![0u8; 64 << 20];
        block[..touched << 20].fill(1);
        block
    }

    #[test]
    fn the_pages_that_are_there_are_counted_by_either_way() {
        let block = block(16);
        let (address, bytes) = (block.as_ptr() as u64, block.len() as u64);
        let (host, this) = (&Host::this(), Pid::this());
        for mut map in [
            Pagemap::open(host, this, 0).unwrap(),
            Pagemap::reading(host, this, 1).unwrap(),
        ] {
            let pages = map.measure(address, bytes).unwrap();
            assert_eq!(pages.bytes, 64 * MIB);
            // A huge page at the border may be there as a whole.
            assert!((16 * MIB..=18 * MIB).contains(&pages.resident), "{pages:?}");
            assert_eq!((pages.swapped, pages.shared, pages.error), (0, 0, 0));
        }
    }

    #[test]
    fn a_part_of_the_pages_stands_for_all_within_the_error_that_is_told() {
        let mut block = vec![0u8; 1 << 30];
        block[..300 << 20].fill(1);
        let mut map = Pagemap::reading(&Host::this(), Pid::this(), 4).unwrap();
        let pages = map.measure(block.as_ptr() as u64, block.len() as u64).unwrap();
        assert!(pages.error > 0);
        let off = pages.resident.abs_diff(300 * MIB);
        assert!(off <= 3 * pages.error, "{pages:?}");
    }
}
