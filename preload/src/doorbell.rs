//! Waking the supervisor, and where there is none, starting the dumper in its place.
#![expect(unsafe_code, reason = "starts a process; reads the C environment")]

use core::ffi::{CStr, c_char, c_void};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use recording::protocol::files::C_DOORBELL;
use recording::protocol::message::{self, Message};

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

/// Sends a message to the supervisor. `false` if nobody listens.
pub fn send(message: Message<'_>) -> bool {
    let run = places().and_then(|places| places.run.as_c_str());
    run.is_some_and(|run| send_to(run, message))
}

/// Tells the supervisor of the run in `run`, before [`prepare`], that this process goes on without us.
#[cold]
pub fn tell_unwatched(run: &[u8], program: &[u8]) {
    let mut path = Path::new();
    path.push(run);
    path.push(b"\0");
    let program = core::str::from_utf8(program).unwrap_or("a program");
    if let Some(path) = path.as_c_str() {
        let pid = sys::pid();
        send_to(path, Message::Unwatched { pid, program });
    }
}

fn send_to(run: &CStr, message: Message<'_>) -> bool {
    let Ok(doorbell) = run_folder::open(run, C_DOORBELL, libc::O_WRONLY | libc::O_NONBLOCK) else {
        return false;
    };
    let mut line = Text::<{ message::MAX_BYTES }>::new();
    let _ = write!(line, "{message}");
    // A full pipe means that the supervisor has been told often enough.
    doorbell.write(line.bytes());
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
