//! Messages to the supervisor; if there is none, the dumper is started in its place.
#![expect(unsafe_code, reason = "starts a process; reads the C environment")]

use core::ffi::{CStr, c_char, c_void};
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use recording::protocol::files::C_MESSAGE_PIPE;
use recording::protocol::message::{self, Message};

use crate::errno;
use crate::lock::Lock;
use crate::run_folder;
use crate::settings::{Path, strings};
use crate::sys;
use crate::text::Text;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The paths of the run folder and of the dumper; each ends in a zero byte. Written once, by [`prepare`].
struct Paths {
    run: Path,
    program: Path,
}

static PATHS: AtomicPtr<Paths> = AtomicPtr::new(null_mut());

fn paths() -> Option<&'static Paths> {
    // SAFETY: as_ref wants null or a `Paths` that nobody changes: it is the static in `prepare`, which is stored here when it is
    // complete.
    unsafe { PATHS.load(Relaxed).as_ref() }
}

/// Works out the paths while there is time.
pub fn prepare(run: &[u8]) {
    static mut STORE: Paths = Paths {
        run: Path::new(),
        program: Path::new(),
    };
    let store: *mut Paths = &raw mut STORE;
    // SAFETY: a mutable reference wants to be the only one: the constructor calls this once, before PATHS gives a reference to
    // anybody.
    let store = unsafe { &mut *store };
    store.run.push(run);
    store.run.push(b"\0");
    if let Some(folder) = library_folder() {
        store.program.push(folder);
        store.program.push(b"/fil-profile\0");
    }
    PATHS.store(store, Relaxed);
}

/// The path that this library was loaded by.
pub fn library_path() -> Option<&'static [u8]> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr wants a writable Dl_info: `found` is one.
    if unsafe { libc::dladdr(prepare as *const c_void, found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: `assume_init` wants a value: the bytes were zeroed, and zeros are a value of this C struct of pointers that may be
    // null.
    let name = unsafe { found.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: from_ptr wants a string that ends in a zero byte and stays: it is the loader's, and lives as long as this library.
    Some(unsafe { CStr::from_ptr(name) }.to_bytes())
}

fn library_folder() -> Option<&'static [u8]> {
    let path = library_path()?;
    path.get(..path.iter().rposition(|byte| *byte == b'/')?)
}

/// Sends a message to the supervisor. `false` if nobody listens.
pub fn send(message: Message<'_>) -> bool {
    run().is_some_and(|run| send_to(run, message))
}

/// The path of the run folder.
pub fn run() -> Option<&'static CStr> {
    paths()?.run.as_c_str()
}

/// Tells the supervisor of the run in `run`, before [`prepare`], that this process goes on without us.
#[cold]
pub fn tell_unwatched(run: &CStr, program: &CStr) {
    let (pid, program) = (sys::pid(), program.to_str().unwrap_or("a program"));
    send_to(run, Message::Unwatched { pid, program });
}

fn send_to(run: &CStr, message: Message<'_>) -> bool {
    let Ok(message_pipe) = run_folder::open(run, C_MESSAGE_PIPE, libc::O_WRONLY | libc::O_NONBLOCK) else {
        return false;
    };
    let mut line = Text::<{ message::MAX_BYTES }>::new();
    let _ = write!(line, "{message}");
    // A full pipe means that the supervisor has been told often enough.
    message_pipe.write(line.bytes());
    true
}

/// Starts `fil-profile report RUN`; its process id.
pub fn start_dumper() -> Option<i32> {
    if sys::is_locked_in() {
        return None;
    }
    let paths = paths()?;
    let (program, run) = (paths.program.as_c_str()?, paths.run.as_c_str()?);
    let arguments = [program.as_ptr(), c"report".as_ptr(), run.as_ptr(), null()];
    // Not on the stack of the thread, which may be as small as 16 KiB. Addresses of strings, since pointers may not be shared.
    static VARIABLES: Lock<[usize; 512]> = Lock::new([0; 512]);
    let mut variables = VARIABLES.try_for_a_while()?;
    variables.fill(0);
    // SAFETY: `strings` wants the environment, and that nobody changes it: only a job does that changes it while an allocation fails.
    let kept = unsafe { strings(environ) }.filter(|line| !line.to_bytes().starts_with(b"LD_PRELOAD="));
    let places = variables.iter_mut().take(511);
    places
        .zip(kept)
        .for_each(|(place, line)| *place = line.as_ptr() as usize);
    let mut child = 0;
    // SAFETY: posix_spawn wants strings that end in a zero byte and arrays that end in null: `variables` has at most 511 strings
    // and was filled with zeros. It takes no memory from the heap.
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
    // SAFETY: waitpid wants null or a writable status: null.
    while unsafe { libc::waitpid(child, null_mut(), 0) } == -1 {
        if errno::get() != libc::EINTR {
            break;
        }
    }
}
