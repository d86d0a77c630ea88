"""Dies in the way that is asked for: the ways of docs/verdicts.md. Some need a limit that the test sets."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def grow():
    kept = []
    while True:
        kept.append(b"x" * MIB)


def impossible():
    return bytearray(10**14)


def too_large():
    return bytearray(1 << 30)


def negative():
    block = LIBC.malloc(ctypes.c_size_t(-8))
    ctypes.memset(block, 1, 8)


def mappings():
    # Neighbours with different rights are not merged.
    pages = 0
    while LIBC.mmap(None, 8192, 3 if pages % 2 else 1, 0x22, -1, 0) != ctypes.c_void_p(-1).value:
        pages += 1
    raise MemoryError(pages)


def threads():
    stop = threading.Event()
    try:
        while True:
            threading.Thread(target=stop.wait).start()
    finally:
        stop.set()


def forks():
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


def programs():
    started = []
    try:
        while True:
            started.append(subprocess.Popen(["sleep", "600"]))
    finally:
        for program in started:
            program.terminate()
            program.wait()


def locked():
    block = LIBC.malloc(4 * MIB)
    if LIBC.mlock(ctypes.c_void_p(block), ctypes.c_size_t(4 * MIB)) != 0:
        raise OSError(ctypes.get_errno(), "mlock")


def shared_memory():
    import mmap

    file = os.open("/dev/shm/tensor", os.O_CREAT | os.O_RDWR)
    os.ftruncate(file, 200 * MIB)
    shared = mmap.mmap(file, 200 * MIB)
    for start in range(0, len(shared), 4096):
        shared[start] = 1


def shared_memory_in_a_worker():
    child = os.fork()
    if child == 0:
        # Enough of its own for a recording.
        kept = bytearray(2 * MIB)
        shared_memory()
        del kept
    sys.exit(1 if os.waitpid(child, 0)[1] else 0)


def huge_pages():
    import mmap

    MAP_HUGETLB = 0x40000
    mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)


def shared_memory_reserved():
    file = os.open("/dev/shm/tensor", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(file, 0, 200 * MIB)


def shared_memory_written():
    with open("/dev/shm/tensor", "wb") as file:
        while True:
            file.write(b"x" * MIB)


def worker():
    child = os.fork()
    if child == 0:
        grow()
    sys.exit(1 if os.waitpid(child, 0)[1] else 0)


def fills(ready):
    kept = [b"x" * MIB for _ in range(100)]
    ready.put(len(kept))
    signal.pause()


def watchdog():
    fork = multiprocessing.get_context("fork")
    ready = fork.Queue()
    child = fork.Process(target=fills, args=(ready,))
    child.start()
    ready.get()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    sys.exit(3)


def pool():
    with multiprocessing.get_context("fork").Pool(1) as workers:
        workers.apply(abs, (1,))
        raise ValueError("an error of the job's own")


def dask():
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit="300MB", dashboard_address=None) as cluster:
        with Client(cluster) as client:
            client.submit(loads, 1).result()


def loads(_):
    kept = []
    for _ in range(500):
        kept.append(b"x" * MIB)
        time.sleep(0.01)


def crashes():
    ctypes.memset(8, 1, 8)


def no_module():
    import no_such_module  # noqa: F401


def hangs_after():
    try:
        grow()
    except MemoryError:
        pass
    print("waiting", flush=True)
    signal.pause()


def refused_twice():
    kept = bytearray(100 * MIB)
    try:
        bytearray(320 * MIB)
    except MemoryError:
        del kept
    fewer = bytearray(60 * MIB)
    return fewer + bytearray(380 * MIB)


def child_refused():
    child = os.fork()
    if child == 0:
        grow()
    os.waitpid(child, 0)


def caught_then_fails():
    try:
        grow()
    except MemoryError:
        pass
    # The exception must not look like what the refusal has led to.
    time.sleep(2)
    raise ValueError("something else")


def no_request():
    return [0] * 2**60


def loses_worker():
    child = os.fork()
    if child == 0:
        fills(multiprocessing.SimpleQueue())
    print("worker", child, flush=True)
    os.waitpid(child, 0)
    print("waiting", flush=True)
    signal.pause()


def worker_crashes():
    child = os.fork()
    if child == 0:
        # Enough of its own for a recording.
        kept = bytearray(2 * MIB)
        crashes()
        del kept
    sys.exit(1 if os.waitpid(child, 0)[1] else 0)


def recurses():
    # Calls itself through C, where Python counts no depth.
    sys.setrecursionlimit(10**9)

    def key(_):
        return sorted([1, 2], key=key)

    key(1)


def full_file_system():
    with open(os.environ["FULL"] + "/file", "wb") as file:
        while True:
            file.write(b"x" * MIB)


def caught():
    try:
        grow()
    except MemoryError:
        print("smaller batches from here on")


def computes():
    while True:
        pass


def children_compute():
    for _ in range(2):
        if os.fork() == 0:
            while time.process_time() < 1.2:
                pass
            os._exit(0)
    for _ in range(2):
        os.wait()
    waits()


def waits():
    print("waiting", flush=True)
    signal.pause()


def works():
    kept = bytearray(100 * MIB)
    time.sleep(1)
    return kept


if __name__ == "__main__":
    # So that there is a recording.
    KEPT = bytearray(2 * MIB)
    globals()[sys.argv[1]]()
