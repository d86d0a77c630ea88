//! Waking the supervisor, and where there is none, starting the dumper in its place.
#![expect(unsafe_code, reason = "starts a process; reads the C environment")]

use core::ffi::{CStr, c_char, c_void};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use crate::errno;
use crate::run_folder;
use crate::settings::Path;
use crate::sys;
use crate::text::Text;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Where the run folder is and what to start without it; each ends in a zero byte. Written once, by [`prepare`].
struct Places {
    run: Path,
    program: Path,
}

static PLACES: AtomicPtr<Places> = AtomicPtr::new(null_mut());

fn places() -> Option<&'static Places> {
    // SAFETY: null, or points to the static below, which does not change any more.
    unsafe { PLACES.load(Relaxed).as_ref() }
}

/// Works out the paths while there is time.
pub fn prepare(run: &[u8]) {
    static mut STORE: Places = Places {
        run: Path::new(),
        program: Path::new(),
    };
    let store: *mut Places = &raw mut STORE;
    // SAFETY: called once, by the constructor, before PLACES gives anybody else a reference.
    let store = unsafe { &mut *store };
    store.run.push(run);
    store.run.push(b"\0");
    if let Some(folder) = library_folder() {
        store.program.push(folder);
        store.program.push(b"/fil-profile\0");
    }
    PLACES.store(store, Relaxed);
}

/// The path that this library was loaded by.
pub fn library_path() -> Option<&'static [u8]> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `found` is writable; the address is one of this library.
    if unsafe { libc::dladdr(prepare as *const c_void, found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: zeros are a value of it, and dladdr has filled it.
    let name = unsafe { found.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: the loader's own string, which lives as long as the library.
    Some(unsafe { CStr::from_ptr(name) }.to_bytes())
}

fn library_folder() -> Option<&'static [u8]> {
    let path = library_path()?;
    path.get(..path.iter().rposition(|byte| *byte == b'/')?)
}

/// Sends one line, `<word> <pid>`. `false` if nobody listens.
pub fn ring(word: &str) -> bool {
    send(word, format_args!(""))
}

/// Tells of a large block that has just been allocated: `large <pid> <bytes>`.
#[cold]
pub fn tell_large(bytes: u64) {
    send("large", format_args!(" {bytes}"));
}

/// Bytes of a mark's name that the timeline shows.
const MARK_BYTES: usize = 80;

/// Tells of a phase that begins: `mark <pid> <name>`.
#[cold]
pub fn tell_mark(name: &str) {
    let mut end = name.len().min(MARK_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let line = name.get(..end).and_then(|name| name.lines().next());
    send("mark", format_args!(" {}", line.unwrap_or_default()));
}

/// Tells the supervisor of the run in `run`, before [`prepare`], that this process goes on without us: `unwatched <pid> <program>`.
#[cold]
pub fn tell_unwatched(run: &[u8], program: &[u8]) {
    let mut path = Path::new();
    path.push(run);
    path.push(b"\0");
    let program = program.get(..program.len().min(MARK_BYTES)).unwrap_or_default();
    let program = core::str::from_utf8(program)
        .ok()
        .and_then(|program| program.lines().next());
    if let Some(path) = path.as_c_str() {
        send_to(path, "unwatched", format_args!(" {}", program.unwrap_or("a program")));
    }
}

fn send(word: &str, more: core::fmt::Arguments<'_>) -> bool {
    let Some(run) = places().and_then(|places| places.run.as_c_str()) else {
        return false;
    };
    send_to(run, word, more)
}

fn send_to(run: &CStr, word: &str, more: core::fmt::Arguments<'_>) -> bool {
    let Ok(doorbell) = run_folder::open(run, c"doorbell", libc::O_WRONLY | libc::O_NONBLOCK) else {
        return false;
    };
    let mut message = Text::<128>::new();
    let _ = writeln!(message, "{word} {}{more}", sys::pid());
    // A full pipe means that the supervisor has been told often enough.
    doorbell.write(message.bytes());
    true
}

/// Starts `fil-profile report RUN`; its process id.
pub fn start_dumper() -> Option<i32> {
    if sys::is_locked_in() {
        return None;
    }
    let places = places()?;
    let (program, run) = (places.program.as_c_str()?, places.run.as_c_str()?);
    let arguments = [program.as_ptr(), c"report".as_ptr(), run.as_ptr(), null()];
    let mut variables = [null::<c_char>(); 512];
    let mut count = 0;
    // SAFETY: an array of strings that ends in null; a job that writes its environment while it runs out of memory loses.
    let mut next = unsafe { environ };
    // SAFETY: as above; `next` never passes the final null.
    while let Some(variable) = unsafe { next.as_ref() }.filter(|variable| !variable.is_null()) {
        // SAFETY: an environment string ends in a zero byte.
        let text = unsafe { CStr::from_ptr(*variable) }.to_bytes();
        if !text.starts_with(b"LD_PRELOAD=")
            && let Some(place) = variables.get_mut(count).filter(|_| count < 511)
        {
            (*place, count) = (*variable, count + 1);
        }
        // SAFETY: not yet at the final null.
        next = unsafe { next.add(1) };
    }
    let mut child = 0;
    // SAFETY: all strings end in a zero byte and both arrays in null; posix_spawn takes no memory from the heap.
    let result = unsafe {
        libc::posix_spawn(
            &mut child,
            program.as_ptr(),
            null(),
            null(),
            arguments.as_ptr().cast(),
            variables.as_ptr().cast(),
        )
    };
    (result == 0).then_some(child)
}

/// Waits for the dumper.
pub fn wait_for(child: i32) {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(child, null_mut(), 0) } == -1 {
        if errno::get() != libc::EINTR {
            break;
        }
    }
}
