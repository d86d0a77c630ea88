//! The recording: begun in private memory at the first sample, in a mapped file as soon as it is worth one, grown chunk by chunk,
//! reserved on disk before it is mapped.
#![expect(unsafe_code, reason = "makes references to mapped memory")]

use core::fmt::Write;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::Release};

use recording::protocol::RecordingName;
use recording::{CHUNK_BYTES, HEADER_BYTES, Header, MAX_CHUNKS, Table, Trouble};

use crate::run_folder;
use crate::settings::Path;
use crate::sys::{self, Errno, File};
use crate::text::Text;
use crate::{header, lost};

/// Bytes at the beginning: the header and one chunk of each table.
const FIRST_BYTES: usize = HEADER_BYTES + Table::ALL.len() * CHUNK_BYTES;
/// Bytes of the smallest page.
const PAGE: usize = 4096;

/// The chunks of one table, in order; null from `count` on.
struct Chunks {
    starts: [*mut u8; MAX_CHUNKS],
    count: usize,
}

const NO_CHUNKS: Chunks = Chunks {
    starts: [null_mut(); MAX_CHUNKS],
    count: 0,
};

/// The file of this process.
pub struct Recording {
    /// The folder for its file; ends in a zero byte.
    folder: Path,
    /// The name of its file, once there is one; ends in a zero byte.
    name: Text<64>,
    is_kept: bool,
    /// Which file that is.
    identity: Option<(u64, u64)>,
    tables: [Chunks; Table::ALL.len()],
    /// Why it cannot grow any more.
    stuck: Option<(Trouble, u64)>,
}

// SAFETY: `Send` wants that another thread may own it: the pointers lead to mappings that are never unmapped, with atomic
// records.
unsafe impl Send for Recording {}

/// May this process have a file of this size? Reserving a larger one would not fail but kill it, by SIGXFSZ (setrlimit(2)).
pub fn allowed(bytes: usize) -> Result<(), Errno> {
    match sys::limit(libc::RLIMIT_FSIZE) {
        Some(limit) if limit < bytes as u64 => Err(Errno(libc::EFBIG)),
        _ => Ok(()),
    }
}

/// A record of a table: nothing but atomic integers.
pub trait Record {
    /// Its table.
    const TABLE: Table;
}
macro_rules! records {
    ($($record:ident $table:ident)*) => {
        $(impl Record for recording::$record { const TABLE: Table = Table::$table; })*
    };
}
records! { Node Nodes Function Functions Site Sites Block Blocks }

impl Recording {
    /// No file yet.
    pub const fn new() -> Self {
        Self {
            folder: Path::new(),
            name: Text::new(),
            is_kept: false,
            identity: None,
            tables: [NO_CHUNKS; Table::ALL.len()],
            stuck: None,
        }
    }

    /// Begins a recording in private memory. Its file will be in this folder.
    pub fn begin(&mut self, folder: &[u8]) -> Result<&'static Header, Errno> {
        let start = sys::map_anonymous(FIRST_BYTES)?;
        // SAFETY: a reference for ever wants an aligned header that stays: the mapping is page-aligned, longer than a header and
        // never unmapped, and zeros are a header.
        let header: &'static Header = unsafe { start.cast::<Header>().as_ref() };
        self.folder.clear();
        self.folder.push(folder);
        self.folder.push(b"\0");
        (self.is_kept, self.stuck, self.identity) = (false, None, None);
        lost::start_over();
        for (number, table) in Table::ALL.into_iter().enumerate() {
            self.tables[number] = NO_CHUNKS;
            self.append(
                header,
                table,
                start.as_ptr().wrapping_add(HEADER_BYTES + number * CHUNK_BYTES),
            );
        }
        header.version.store(recording::VERSION, Relaxed);
        header.header_bytes.store(HEADER_BYTES as u32, Relaxed);
        header.chunk_bytes.store(CHUNK_BYTES as u32, Relaxed);
        header.state.store(recording::STATE_RUNNING, Relaxed);
        header.pid.store(sys::pid(), Relaxed);
        header.ppid.store(sys::parent_pid(), Relaxed);
        header.started_ns.store(sys::now_ns(false), Relaxed);
        Ok(header)
    }

    /// Is it in a file?
    #[inline]
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Writes the private memory into the file `<folder>/<pid>-<n>.recording`, with the first free `n`, and maps the file in its
    /// place: every reference stays valid. What another thread notes without the lock at this moment may be lost.
    pub fn keep(&mut self, header: &'static Header) -> Result<(), Errno> {
        if self.is_kept {
            return Ok(());
        }
        let file = self.create()?;
        // A file that could not be filled begins with zeros, by which the supervisor knows that there was no room for it.
        self.fill(&file, header)?;
        self.identity = file.identity();
        lost::add((header as *const Header).addr(), FIRST_BYTES);
        self.is_kept = true;
        Ok(())
    }

    fn create(&mut self) -> Result<File, Errno> {
        let (pid, mut number) = (sys::pid(), 0);
        loop {
            self.name.clear();
            let _ = write!(self.name, "{}\0", RecordingName { pid, number });
            match self.open(libc::O_RDWR | libc::O_CREAT | libc::O_EXCL) {
                Err(Errno(libc::EEXIST)) if number < 10_000 => number += 1,
                other => return other,
            }
        }
    }

    fn open(&self, flags: i32) -> Result<File, Errno> {
        match (self.folder.as_c_str(), self.name.as_c_str()) {
            (Some(folder), Some(name)) => run_folder::open(folder, name, flags),
            _ => Err(Errno(libc::ENAMETOOLONG)),
        }
    }

    fn fill(&self, file: &File, header: &'static Header) -> Result<(), Errno> {
        allowed(FIRST_BYTES)?;
        file.reserve(0, FIRST_BYTES)?;
        let start = NonNull::from(header).cast::<u8>();
        // The header last: until then this is no recording.
        let pages = (HEADER_BYTES..FIRST_BYTES)
            .step_by(PAGE)
            .chain((0..HEADER_BYTES).step_by(PAGE));
        for offset in pages {
            let page = start.as_ptr().wrapping_add(offset).cast::<[u64; PAGE / 8]>();
            // SAFETY: a reference wants an aligned, readable page: it lies in the mapping that begins at the header. Any bytes
            // are integers. If another thread changes a counter meanwhile, the old or the new one is written.
            let page = unsafe { &*page };
            if page.iter().any(|word| *word != 0) {
                file.write_at(page, offset)?;
            }
        }
        // SAFETY: map_file_over wants a mapping of ours whose contents may go: the file that takes its place has the same.
        unsafe { sys::map_file_over(start, file, FIRST_BYTES) }
    }

    /// Makes it a complete recording, and that of this process.
    pub fn publish(&self, header: &'static Header) {
        header.magic.store(u64::from_le_bytes(recording::MAGIC), Release);
        header::publish(header);
    }

    fn append(&mut self, header: &Header, table: Table, start: *mut u8) {
        let chunks = &mut self.tables[table as usize - 1];
        let number = header.chunk_count.load(Relaxed) as usize;
        if let (Some(slot), Some(kind)) = (chunks.starts.get_mut(chunks.count), header.chunk_kinds.get(number)) {
            *slot = start;
            chunks.count += 1;
            kind.store(table as u8, Relaxed);
            header.chunk_count.store(number as u32 + 1, Release);
        }
    }

    /// Published records of a table; for strings, bytes.
    pub fn count(&self, header: &'static Header, table: Table) -> &'static AtomicU32 {
        &header.counts[table as usize - 1]
    }

    /// Makes sure that record `index` has a place, growing the file if it must; `false` if it cannot.
    pub fn make_room(&mut self, header: &'static Header, table: Table, index: usize) -> bool {
        let chunks = &self.tables[table as usize - 1];
        if index / table.records_per_chunk() < chunks.count {
            return true;
        }
        if self.stuck.is_some() {
            return false;
        }
        match self.map_next(header) {
            Ok(start) => {
                self.append(header, table, start.as_ptr());
                true
            }
            Err(trouble) => {
                self.stuck = Some(trouble);
                false
            }
        }
    }

    fn map_next(&mut self, header: &'static Header) -> Result<NonNull<u8>, (Trouble, u64)> {
        self.keep(header)
            .map_err(|Errno(number)| (Trouble::CannotGrow, number as u64))?;
        let number = header.chunk_count.load(Relaxed) as usize;
        if number >= MAX_CHUNKS {
            return Err((Trouble::Full, recording::MAX_FILE_BYTES as u64));
        }
        let offset = HEADER_BYTES + number * CHUNK_BYTES;
        allowed(offset + CHUNK_BYTES).map_err(|Errno(number)| (Trouble::CannotGrow, number as u64))?;
        self.open(libc::O_RDWR)
            .and_then(|file| {
                if !lost::is_same(&file, self.identity) {
                    return Err(Errno(libc::ESTALE));
                }
                file.reserve(offset, CHUNK_BYTES)?;
                let start = sys::map_file(&file, offset, CHUNK_BYTES)?;
                lost::add(start.as_ptr().addr(), CHUNK_BYTES);
                Ok(start)
            })
            .map_err(|Errno(number)| (Trouble::CannotGrow, number as u64))
    }

    /// Why it cannot grow, told once.
    pub fn take_trouble(&mut self) -> Option<(Trouble, u64)> {
        // `Busy` never comes from here; it marks what has been told.
        match self.stuck {
            None | Some((Trouble::Busy, _)) => None,
            told => {
                self.stuck = Some((Trouble::Busy, 0));
                told
            }
        }
    }

    /// Every chunk in the order of the file: its table, the number of its first record, and its words.
    pub fn each_chunk<E>(
        &self,
        header: &Header,
        mut look: impl FnMut(Table, usize, &[AtomicU64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = [0usize; Table::ALL.len()];
        for kind in header
            .chunk_kinds
            .iter()
            .take(header.chunk_count.load(Relaxed) as usize)
        {
            let kind = kind.load(Relaxed);
            let Some(table) = Table::ALL.into_iter().find(|table| *table as u8 == kind) else {
                continue;
            };
            let seen = &mut seen[table as usize - 1];
            let first = *seen * table.records_per_chunk();
            *seen += 1;
            let start = self.tables[table as usize - 1]
                .starts
                .get(first / table.records_per_chunk());
            if let Some(start) = start.filter(|start| !start.is_null()) {
                // SAFETY: a slice wants so many values at an aligned address: a chunk is mapped as a whole, aligned to a page and
                // never unmapped, and any bytes are atomic integers.
                let words = unsafe { core::slice::from_raw_parts(start.cast::<AtomicU64>(), CHUNK_BYTES / 8) };
                look(table, first, words)?;
            }
        }
        Ok(())
    }

    /// The words of the header.
    pub fn header_words(&self, header: &'static Header) -> impl Iterator<Item = &'static AtomicU64> + use<> {
        let start = (header as *const Header).cast::<AtomicU64>();
        // SAFETY: as in `each_chunk`: a header begins a mapping of at least this length.
        unsafe { core::slice::from_raw_parts(start, HEADER_BYTES / 8) }.iter()
    }

    /// The record with this index, if there is a place for it.
    #[inline]
    pub fn record<R: Record>(&self, index: u32) -> Option<&'static R> {
        let per_chunk = const { R::TABLE.records_per_chunk() };
        let chunks = &self.tables[const { R::TABLE as usize - 1 }];
        let start = *chunks.starts.get(index as usize / per_chunk)?;
        if start.is_null() {
            return None;
        }
        let address = start.wrapping_add(index as usize % per_chunk * const { R::TABLE.record_bytes() });
        // SAFETY: a reference for ever wants an aligned record that stays: a chunk is aligned to a page and never unmapped, the
        // address is a multiple of the record's size inside of it, and any bytes are a record of atomic integers.
        Some(unsafe { &*address.cast::<R>() })
    }

    /// `length` bytes of the string table from `offset` on; they must not straddle two chunks.
    pub fn string_bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        let address = self.string_place(offset, length)?;
        // SAFETY: a slice wants readable bytes that nobody writes meanwhile: string_place gives them inside of a mapped chunk,
        // and string_bytes_mut borrows all of the recording.
        Some(unsafe { core::slice::from_raw_parts(address, length) })
    }

    /// As [`Recording::string_bytes`], for writing.
    pub fn string_bytes_mut(&mut self, offset: usize, length: usize) -> Option<&mut [u8]> {
        let address = self.string_place(offset, length)?;
        // SAFETY: as in string_bytes; and `&mut self` makes this the only slice.
        Some(unsafe { core::slice::from_raw_parts_mut(address, length) })
    }

    fn string_place(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let chunks = &self.tables[Table::Strings as usize - 1];
        let start = *chunks.starts.get(offset / CHUNK_BYTES)?;
        let fits = !start.is_null() && offset % CHUNK_BYTES + length <= CHUNK_BYTES;
        fits.then(|| start.wrapping_add(offset % CHUNK_BYTES))
    }
}
