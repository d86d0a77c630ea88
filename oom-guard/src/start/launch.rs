//! Starts the job with our own environment, signal settings and limits, and without needing a file descriptor: there may be none left.
//!
//! std's `Command` needs two descriptors to report a failed exec, sorts the environment, and drops duplicate entries.
#![expect(unsafe_code, reason = "clone and execve have no safe form")]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::c_int;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::kernel::process;
use crate::start::inherited::{self, Inherited};
use crate::start::limits::ResourceLimits;
use crate::start::target::Target;

/// The stack of the child between clone and exec, where it makes a few system calls.
const STACK_BYTES: usize = 64 << 10;
/// How much of a file is read to tell a script from a program, as bash does.
const SAMPLE_BYTES: u64 = 128;
/// The shell that runs a script without an interpreter line, as with execvp(3).
const SHELL: &CStr = c"/bin/sh";

/// A program, its arguments and its environment, ready to be executed.
#[derive(Clone, Debug)]
pub struct Launch {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    inherited: Inherited,
    limits: ResourceLimits,
    /// Set if `limits` cannot be.
    own_limits: ResourceLimits,
}

/// Why a job was not started.
#[derive(Debug)]
pub enum Unspawned {
    /// The system has no room for another process, or for what we add to the environment.
    NoRoom(io::Error),
    /// The program cannot be executed.
    NotRun(io::Error),
}

impl Unspawned {
    /// Some errors of execve(2) are about the file itself; without us they would be the same.
    fn because_of(error: c_int) -> Self {
        let is_of_the_file = matches!(
            error,
            libc::ENOENT
                | libc::EACCES
                | libc::EPERM
                | libc::ENOEXEC
                | libc::ENOTDIR
                | libc::EISDIR
                | libc::ELOOP
                | libc::ENAMETOOLONG
                | libc::EINVAL
                | libc::ETXTBSY
                | libc::ELIBBAD
        );
        let error = io::Error::from_raw_os_error(error);
        if is_of_the_file {
            Self::NotRun(error)
        } else {
            Self::NoRoom(error)
        }
    }
}

impl Launch {
    /// Starts `target` with these limits, or with `own_limits` if they cannot be set, and otherwise as we were started ourselves.
    pub fn new(target: &Target, inherited: Inherited, limits: ResourceLimits, own_limits: ResourceLimits) -> Self {
        let words = std::iter::once(&target.name).chain(&target.args);
        Self {
            program: c_string(target.program.as_os_str()),
            arguments: words.map(|word| c_string(word)).collect(),
            environment: inherited::environment(),
            inherited,
            limits,
            own_limits,
        }
    }

    /// Sets a variable: in its old place, if it has one.
    pub fn env(&mut self, name: &str, value: impl Into<OsString>) {
        let value = value.into();
        let entry = CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).unwrap_or_default();
        match self.environment.iter_mut().find(|entry| is_of(entry, name)) {
            Some(first) => *first = entry,
            None => self.environment.push(entry),
        }
        // getenv(3) finds the first.
        let mut is_first = true;
        self.environment
            .retain(|entry| !is_of(entry, name) || std::mem::take(&mut is_first));
    }

    /// Removes a variable.
    pub fn env_remove(&mut self, name: &str) {
        self.environment.retain(|entry| !is_of(entry, name));
    }

    /// Starts the program as a child, and returns when it has been executed or has failed to be.
    pub fn spawn(&self) -> Result<Pid, Unspawned> {
        match spawn(self.image()) {
            Err(Unspawned::NotRun(error)) => spawn(self.by_shell(error).map_err(Unspawned::NotRun)?.image()),
            other => other,
        }
    }

    /// Executes the program in this process; returns only if that fails, with the error.
    pub fn become_it(&self) -> io::Error {
        let error = io::Error::from_raw_os_error(self.image().execute());
        let error = match self.by_shell(error) {
            Ok(script) => io::Error::from_raw_os_error(script.image().execute()),
            Err(error) => error,
        };
        // The reader of our error message may have gone.
        let _ = inherited::ignore_sigpipe();
        error
    }

    /// The arguments of execve(2), for as long as this process lives.
    pub fn lasting(self) -> &'static Image<'static> {
        let launch: &'static Self = Box::leak(Box::new(self));
        Box::leak(Box::new(launch.image()))
    }

    fn image(&self) -> Image<'_> {
        let pointers = |words: &[CString]| {
            let words = words.iter().map(|word| word.as_ptr());
            words.chain(std::iter::once(ptr::null())).collect()
        };
        Image {
            launch: self,
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
            error: AtomicI32::new(0),
        }
    }

    /// The same as a script for the shell, if `error` says that the kernel cannot execute the file and the file is a script.
    fn by_shell(&self, error: io::Error) -> io::Result<Self> {
        if error.raw_os_error() != Some(libc::ENOEXEC) || !is_text(OsStr::from_bytes(self.program.as_bytes())) {
            return Err(error);
        }
        let mut script = self.clone();
        script.arguments[0] = SHELL.to_owned();
        script
            .arguments
            .insert(1, std::mem::replace(&mut script.program, SHELL.to_owned()));
        Ok(script)
    }
}

fn c_string(text: &OsStr) -> CString {
    // What comes from a command line or the environment has no zero byte.
    let bytes = text.as_bytes().split(|byte| *byte == 0).next().unwrap_or_default();
    CString::new(bytes).unwrap_or_default()
}

fn is_of(entry: &CStr, name: &str) -> bool {
    let value = entry.to_bytes().strip_prefix(name.as_bytes());
    value.is_some_and(|value| value.starts_with(b"="))
}

/// Whether the first line has no zero byte. A program for another kind of processor has one.
fn is_text(path: &OsStr) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SAMPLE_BYTES).read_to_end(&mut start));
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read.is_ok() && !line.starts_with(b"\x7fELF") && !line.contains(&0)
}

/// The arguments of execve(2) for a [`Launch`].
pub struct Image<'a> {
    launch: &'a Launch,
    /// Ends with a null pointer, as `environment`.
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// Why it could not be executed, from the child; 0 if it was.
    error: AtomicI32,
}

impl Image<'_> {
    /// Executes it in this process; returns the error number. Safe between clone and exec and in a signal handler: makes system
    /// calls only.
    pub fn execute(&self) -> c_int {
        let launch = self.launch;
        launch.limits.set_or(launch.own_limits);
        launch.inherited.restore();
        // SAFETY: the strings live in `launch`, and both arrays end with a null pointer.
        unsafe {
            libc::execve(
                launch.program.as_ptr(),
                self.arguments.as_ptr(),
                self.environment.as_ptr(),
            )
        };
        Errno::last_raw()
    }
}

/// Works like posix_spawn(3): the child shares our memory, writes its error there, and we wait until it has executed the program or has
/// ended. The child can run none of our signal handlers except std's for a stack overflow.
fn spawn(image: Image<'_>) -> Result<Pid, Unspawned> {
    let mut stack = vec![0_u8; STACK_BYTES];
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_sub(top.addr() % 16);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `enter` on a stack of its own that, as `image`, lives until the child has left our memory: with
    // CLONE_VFORK clone returns no sooner.
    let pid = unsafe { libc::clone(enter, top.cast(), flags, (&raw const image).cast_mut().cast()) };
    if pid < 0 {
        return Err(Unspawned::NoRoom(io::Error::last_os_error()));
    }
    let pid = Pid::from_raw(pid);
    match image.error.load(Ordering::Relaxed) {
        0 => Ok(pid),
        error => {
            process::wait_for(pid);
            Err(Unspawned::because_of(error))
        }
    }
}

extern "C" fn enter(image: *mut c_void) -> c_int {
    // SIGKILL of the process that the user has started ends the job, as without us.
    // SAFETY: prctl takes numbers here and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: `spawn` gave the address of an image that lives as long as this runs, and that nobody changes but by its atomic.
    let image = unsafe { &*image.cast::<Image<'_>>() };
    image.error.store(image.execute(), Ordering::Relaxed);
    127
}
