"""Holds real data and, for longer or shorter, a block that it never touches. The first argument says which of them is when. It prints how
many bytes of the line with real data were in memory at most."""
import ctypes
import mmap
import os
import signal
import sys

MIB = 1 << 20

libc = ctypes.CDLL(None)
for name in "malloc", "calloc":
    getattr(libc, name).restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
DONTNEED = 4


def real(mib):
    return bytearray(mib * MIB)


def untouched(mib):
    return libc.malloc(mib * MIB)


def zeros(mib):
    return libc.calloc(1, mib * MIB)


def mapped(file, mib):
    return mmap.mmap(file.fileno(), mib * MIB, access=mmap.ACCESS_COPY)


def told(mib):
    print('{"real": %d}' % (mib * MIB), flush=True)


def killed():
    """A block that is never touched, and a kill before anybody could measure it."""
    kept = real(180), untouched(305)
    told(180)
    os.kill(os.getpid(), signal.SIGKILL)
    del kept


def killed_when_filled():
    """A block that is filled after all, and a kill at once."""
    kept = untouched(305), real(180)
    told(180)
    os.kill(os.getpid(), signal.SIGKILL)
    del kept


def freed_early():
    """A large block that is freed before there is any data."""
    libc.free(untouched(1000))
    kept = real(300)
    told(300)
    del kept


def late():
    """A large block at the end, and an error."""
    kept = real(180), zeros(700)
    told(180)
    raise ValueError(len(kept))


def only_read():
    """Pages that are only read are all the same page of zeros."""
    block = zeros(700)
    libc.memcmp(block, block + 350 * MIB, 350 * MIB)
    kept = real(150)
    told(150)
    del kept


def given_back():
    """Data that the program gives back without freeing it, and other data."""
    area = mmap.mmap(-1, 200 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    libc.memset(start, 1, 200 * MIB)
    libc.madvise(start, 200 * MIB, DONTNEED)
    kept = real(260)
    told(260)
    del kept


def written():
    """A private mapping of a file that is written to, and closed at once."""
    page = b"1" * MIB
    with open("data", "w+b") as file:
        file.truncate(161 * MIB)
        area = mapped(file, 161)
        for _ in range(161):
            area.write(page)
        area.close()
    told(161)
    kept = bytearray(40 * MIB)
    del kept


globals()[sys.argv[1]]()
