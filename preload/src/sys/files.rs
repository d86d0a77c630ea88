//! Files, by system calls.
#![expect(unsafe_code, reason = "system calls")]

use core::ffi::CStr;
use core::mem::MaybeUninit;

use super::{Errno, answer, call, is_locked_in, write_quietly};
use crate::text::Text;

/// An open file, closed when dropped.
pub struct File(pub(super) i32);

impl File {
    /// `open(2)` with `O_CLOEXEC` added; a new file is private to the user.
    pub fn open(path: &CStr, flags: i32) -> Result<File, Errno> {
        if is_locked_in() {
            return Err(Errno(libc::EPERM));
        }
        let flags = (flags | libc::O_CLOEXEC) as usize;
        let at = libc::AT_FDCWD as usize;
        // SAFETY: openat wants a path that ends in a zero byte, as a `CStr` does.
        let raw = unsafe { call(libc::SYS_openat, [at, path.as_ptr() as usize, flags, 0o600]) };
        answer(raw).map(|descriptor| File(descriptor as i32))
    }

    /// The same for a name in this folder.
    pub fn open_within(&self, name: &CStr, flags: i32) -> Result<File, Errno> {
        let flags = (flags | libc::O_CLOEXEC) as usize;
        // SAFETY: openat wants a path that ends in a zero byte, as a `CStr` does.
        let raw = unsafe {
            call(
                libc::SYS_openat,
                [self.0 as usize, name.as_ptr() as usize, flags, 0o600],
            )
        };
        answer(raw).map(|descriptor| File(descriptor as i32))
    }

    /// Its size; 0 if it has none.
    pub fn bytes(&self) -> usize {
        // SAFETY: lseek wants nothing: what is no file gives an error.
        let raw = unsafe { call(libc::SYS_lseek, [self.0 as usize, 0, libc::SEEK_END as usize]) };
        answer(raw).unwrap_or(0)
    }

    /// Which file it is: its device and its number there.
    pub fn identity(&self) -> Option<(u64, u64)> {
        file_of(self.0)
    }

    /// Reserves disk blocks; where the file system cannot, writes zeros, so that a later store never meets a full disk.
    pub fn reserve(&self, offset: usize, bytes: usize) -> Result<(), Errno> {
        // SAFETY: fallocate changes no memory of the process.
        let raw = unsafe { call(libc::SYS_fallocate, [self.0 as usize, 0, offset, bytes]) };
        match answer(raw) {
            Err(Errno(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL)) => self.write_zeros(offset, bytes),
            other => other.map(|_| ()),
        }
    }

    fn write_zeros(&self, offset: usize, bytes: usize) -> Result<(), Errno> {
        static ZEROS: [u64; 512] = [0; 512];
        for at in (0..bytes).step_by(size_of_val(&ZEROS)) {
            let words = ZEROS.get(..(bytes - at) / size_of::<u64>()).unwrap_or(&ZEROS);
            self.write_at(words, offset + at)?;
        }
        Ok(())
    }

    /// Writes all of `words` at `offset`.
    pub fn write_at(&self, words: &[u64], offset: usize) -> Result<(), Errno> {
        let (start, bytes) = (words.as_ptr() as usize, size_of_val(words));
        let mut written = 0;
        while written < bytes {
            let arguments = [self.0 as usize, start + written, bytes - written, offset + written];
            // SAFETY: pwrite wants as many readable bytes as it is told of: these are the rest of `words`.
            match answer(unsafe { call(libc::SYS_pwrite64, arguments) })? {
                0 => return Err(Errno(libc::ENOSPC)),
                more => written += more,
            }
        }
        Ok(())
    }

    /// The size of its file system and what is free of it, in bytes.
    pub fn room(&self) -> Option<(u64, u64)> {
        let mut about = MaybeUninit::<libc::statfs>::zeroed();
        // SAFETY: fstatfs wants a writable statfs: `about` is one.
        let raw = unsafe { call(libc::SYS_fstatfs, [self.0 as usize, about.as_mut_ptr() as usize]) };
        // SAFETY: assume_init wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
        let about = unsafe { about.assume_init() };
        let bytes = |blocks: u64| blocks.saturating_mul(about.f_bsize as u64);
        answer(raw).ok().map(|_| (bytes(about.f_blocks), bytes(about.f_bfree)))
    }

    /// As [`write_quietly`].
    pub fn write(&self, bytes: &[u8]) {
        write_quietly(self.0, bytes);
    }

    /// Fills `buffer` as far as the file goes; returns how far.
    pub fn read(&self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (to, length) = (rest.as_mut_ptr() as usize, rest.len());
            // SAFETY: read wants as many writable bytes as it is told of: these are `rest`.
            let raw = unsafe { call(libc::SYS_read, [self.0 as usize, to, length]) };
            match answer(raw) {
                Ok(0) | Err(_) => break,
                Ok(read) => filled += read,
            }
        }
        filled
    }
}

impl File {
    /// Reads words from `offset` on, as far as `words` and the file go; returns how many.
    pub fn read_words_at(&self, words: &mut [u64], offset: usize) -> usize {
        let (to, length) = (words.as_mut_ptr() as usize, size_of_val(words));
        // SAFETY: pread wants as many writable bytes as it is told of: these are `words`.
        let raw = unsafe { call(libc::SYS_pread64, [self.0 as usize, to, length, offset]) };
        answer(raw).unwrap_or(0) / size_of::<u64>()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: close wants a descriptor that nobody uses any more: it is that of this `File`, which is dropped.
        let _ = unsafe { call(libc::SYS_close, [self.0 as usize]) };
    }
}

/// Which file a descriptor stands for: its device and inode; `None` if it is closed.
pub fn file_of(descriptor: i32) -> Option<(u64, u64)> {
    // SAFETY: fstat wants the writable stat that `identity` gives; a descriptor that is closed gives an error.
    identity(|to| unsafe { call(libc::SYS_fstat, [descriptor as usize, to]) })
}

/// Which file is at this path, links followed: its device and its number there.
pub fn identity_of(path: &CStr) -> Option<(u64, u64)> {
    // SAFETY: stat wants a string that ends in a zero byte, as a `CStr` does, and the writable stat that `identity` gives.
    identity(|to| unsafe {
        call(
            libc::SYS_newfstatat,
            [libc::AT_FDCWD as usize, path.as_ptr() as usize, to],
        )
    })
}

/// The device and the inode that `ask` writes into the stat at an address.
fn identity(ask: impl FnOnce(usize) -> isize) -> Option<(u64, u64)> {
    let mut about = MaybeUninit::<libc::stat>::zeroed();
    let asked = ask(about.as_mut_ptr() as usize);
    // SAFETY: assume_init wants a value: the bytes were zeroed, and zeros are a value of this C struct of integers.
    let about = unsafe { about.assume_init() };
    answer(asked).ok().map(|_| (about.st_dev, about.st_ino))
}

/// Where a symbolic link leads to, as far as that fits; an empty text if it is none.
pub fn link<const N: usize>(path: &CStr) -> Text<N> {
    let mut found = Text::new();
    found.fill(|to| {
        let at = libc::AT_FDCWD as usize;
        let arguments = [at, path.as_ptr() as usize, to.as_mut_ptr() as usize, to.len()];
        // SAFETY: readlinkat wants a path that ends in a zero byte, as a `CStr` does, and as many writable bytes as it is told of: `to`.
        let raw = unsafe { call(libc::SYS_readlinkat, arguments) };
        answer(raw).unwrap_or(0)
    });
    found
}
