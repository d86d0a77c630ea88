//! The C functions that the Python package calls by ctypes. None of them calls into Python or allocates from the job's heap; each
//! may be called from any thread.
#![expect(unsafe_code, reason = "exported C functions")]

use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::Ordering::Relaxed;

use recording::protocol::Message;
use recording::{Header, Site, Table};

use crate::copy::{self, Shown};
use crate::state::{STATE, State};
use crate::switches::{ONLY_IN_WINDOWS, RECORDING};
use crate::sys::{self, Errno};
use crate::thread::Inside;
use crate::{header, message_pipe, phases, start, windows};

/// Goes up when the meaning of a function changes; the package refuses a version that it does not know.
const VERSION: c_int = 1;

/// Instead of a window, for [`fil_profile_write`]: all that is recorded, and what is held now.
const ALL: c_int = -1;
/// See [`ALL`].
const NOW: c_int = -2;

/// The version of these functions.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_version() -> c_int {
    VERSION
}

/// Whether anything is recorded now.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_is_recording() -> c_int {
    RECORDING.load(Relaxed) as c_int
}

/// Bytes that are held now.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_current_bytes() -> u64 {
    header::current().map_or(0, |header| header.live_bytes.load(Relaxed))
}

/// The most that was held since the beginning or since [`fil_profile_reset_peak`].
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_peak_bytes() -> u64 {
    with_state(|_, header| phases::highest(header)).unwrap_or(0)
}

/// Starts to look for a new peak; that of the run's report does not change.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_reset_peak() {
    let _ = with_state(|state, header| phases::reset(state.recorder.total(header)));
}

/// Opens a window, and in a process that was started with recording off begins to record: with its recording in `folder`, and the
/// interpreter's lock held by the caller. The window's number, or an errno below zero.
///
/// # Safety
/// `folder` ends in a zero byte.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fil_profile_open(folder: *const c_char) -> c_int {
    if !RECORDING.load(Relaxed) {
        // SAFETY: from_ptr wants a string that ends in a zero byte: the caller's promise.
        let folder = unsafe { CStr::from_ptr(folder) };
        let Some(_inside) = Inside::enter() else {
            return -libc::EDEADLK;
        };
        start::record_into(folder.to_bytes());
        ONLY_IN_WINDOWS.store(true, Relaxed);
    }
    match with_state(|state, header| windows::open(header, state.recorder.total(header))) {
        Ok(Some(number)) => number as c_int,
        Ok(None) => -libc::EMFILE,
        Err(Errno(number)) => -number,
    }
}

/// The most that was held in an open window beyond what was held before, in bytes; below zero if that is not known.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_window_peak(window: c_int) -> i64 {
    let peak = with_state(|state, header| {
        let (_, tree) = state.tables()?;
        windows::with(usize::try_from(window).ok()?, header, |view| {
            let count = tree.file.count(header, Table::Sites).load(Relaxed);
            let sites = (0..count).filter_map(|index| tree.file.record::<Site>(index));
            let peaks = sites.map(|site| {
                let [_, [bytes, ..], _] = view.growth(header, site);
                bytes
            });
            peaks.fold(0, u64::saturating_add)
        })
    });
    match peak {
        Ok(Some(bytes)) => i64::try_from(bytes).unwrap_or(i64::MAX),
        _ => -1,
    }
}

/// Closes a window. With the last one, a process that was started with recording off stops to record.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn fil_profile_close(window: c_int) {
    let any = with_state(|_, _| usize::try_from(window).is_ok_and(windows::close));
    if any == Ok(false) && ONLY_IN_WINDOWS.load(Relaxed) {
        RECORDING.store(false, Relaxed);
    }
}

/// Writes a recording of what a window has seen, or of [`ALL`], or of what is held [`NOW`]. 0, or an errno below zero.
///
/// # Safety
/// `path` ends in a zero byte.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fil_profile_write(path: *const c_char, what: c_int) -> c_int {
    // SAFETY: from_ptr wants a string that ends in a zero byte: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    let written = with_state(|state, header| {
        // Since the last look, blocks may have been filled.
        state.recorder.look_at_all();
        let (_, tree) = state.tables().ok_or(Errno(libc::EBADF))?;
        let file = &tree.file;
        match what {
            ALL => copy::write(header, file, &Shown::All, path),
            NOW => copy::write(header, file, &Shown::Now, path),
            window => {
                let window = usize::try_from(window).map_err(|_| Errno(libc::EINVAL))?;
                let write = |view: &windows::WindowView| copy::write(header, file, &Shown::Window(view), path);
                windows::with(window, header, write).unwrap_or(Err(Errno(libc::ENOMEM)))
            }
        }
    });
    match written {
        Ok(Ok(())) => 0,
        Ok(Err(Errno(number))) | Err(Errno(number)) => -number,
    }
}

/// A phase begins. 0, or an errno below zero: ENOSPC if there are too many.
///
/// # Safety
/// `name` ends in a zero byte.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn fil_profile_mark(name: *const c_char) -> c_int {
    // SAFETY: from_ptr wants a string that ends in a zero byte: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    match with_state(|state, header| {
        let total = state.recorder.total(header);
        let tables = state.tables();
        tables.is_some_and(|(_, tree)| phases::begin(header, tree.string(header, name), total))
    }) {
        Ok(true) => {
            let name = core::str::from_utf8(name).unwrap_or("a mark");
            message_pipe::send(Message::Mark { pid: sys::pid(), name });
            0
        }
        Ok(false) => -libc::ENOSPC,
        Err(Errno(number)) => -number,
    }
}

/// Calls with the state and the recording.
fn with_state<T>(call: impl FnOnce(&mut State, &'static Header) -> T) -> Result<T, Errno> {
    let Some(_inside) = Inside::enter() else {
        return Err(Errno(libc::EDEADLK));
    };
    if !RECORDING.load(Relaxed) {
        return Err(Errno(libc::ENODATA));
    }
    let mut state = STATE.lock();
    let header = state.recording().ok_or(Errno(libc::ENODATA))?;
    Ok(call(&mut state, header))
}
