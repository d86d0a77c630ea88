"""A random program that knows what it holds: it allocates, fills slowly, copies, grows, frees, gives back and forks. The first
argument is the seed, the second `all` if it fills all that it allocates, the third `killed` if it ends by SIGKILL. It prints how
much it had touched at most, which marked lines had touched the most at a time when about as much was touched, and the kernel's
count of what was resident at most."""
import ctypes
import json
import mmap
import os
import random
import resource
import signal
import sys

MIB = 1 << 20
MOST = 400 * MIB
LEAST, LARGEST = 20, 160

libc = ctypes.CDLL(None)
for name in "malloc", "calloc", "realloc":
    getattr(libc, name).restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

chance = random.Random(int(sys.argv[1]))
fills_all = sys.argv[2] == "all"
blocks = []
held, touched = {}, {}
moments = []


def count(table, line, size):
    table[line] = table.get(line, 0) + size


def fill(address, size, pauses):
    for start in range(0, size, MIB):
        libc.memset(address + start, 1, min(MIB, size - start))
        sum(range(chance.randrange(1 + pauses)))


def malloc(size):
    return libc.malloc(size)  # MALLOC


def calloc(size):
    return libc.calloc(1, size)  # CALLOC


def mapped(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # MAPPED


def grown(address, size):
    return libc.realloc(address, size)  # GROWN


def filled(size):
    return bytearray(size)  # FILLED


def copied(of):
    return bytes(of)  # COPIED


def add(line, size, value, release, address=None, copied=0):
    block = {"line": line, "size": size, "value": value, "release": release, "touched": 0}
    blocks.append(block)
    count(held, line, size)
    if address is not None:
        part = 1.0 if fills_all else chance.choice([0, 0, 0.3, 1])
        size = int(size * part)
        fill(address, size, chance.choice([0, 3000, 30000]))
    touch(block, max(size, copied))
    return block


def touch(block, size):
    count(touched, block["line"], size - block["touched"])
    block["touched"] = size
    moments.append(dict(touched))


def free(block):
    blocks.remove(block)
    count(held, block["line"], -block["size"])
    count(touched, block["line"], -block["touched"])
    block.pop("release")()


def step():
    size = chance.randrange(LEAST, LARGEST) * MIB
    what = chance.choice(["malloc", "calloc", "mapped", "filled", "copied", "grown", "free", "free", "fork", "given back"])
    if what not in ("free", "fork") and sum(held.values()) + size > MOST:
        what = "free"
    if what == "malloc":
        address = malloc(size)
        add("MALLOC", size, address, lambda: libc.free(address), address)
    elif what == "calloc":
        address = calloc(size)
        add("CALLOC", size, address, lambda: libc.free(address), address)
    elif what == "mapped":
        area = mapped(size)
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        add("MAPPED", size, area, area.close, address)
    elif what == "filled":
        add("FILLED", size, filled(size), lambda: None)
    elif what == "copied":
        old = [block for block in blocks if block["line"] == "FILLED" and sum(held.values()) + block["size"] <= MOST]
        if old:
            add("COPIED", old[0]["size"], copied(old[0]["value"]), lambda: None)
    elif what == "grown":
        old = [block for block in blocks if block["line"] == "MALLOC" and block["touched"] == block["size"]]
        if old and sum(held.values()) + size <= MOST:
            block = old[0]
            before = block["size"]
            address = grown(block["value"], block["size"] + size)
            block["release"] = lambda: None
            free(block)
            add("GROWN", before + size, address, lambda: libc.free(address), address, before)
    elif what == "free" and blocks:
        free(chance.choice(blocks))
    elif what == "given back":
        old = [block for block in blocks if block["line"] == "MAPPED" and block["touched"] and not fills_all]
        if old:
            give_back = getattr(old[0]["value"], "madvise", None)
            if give_back:
                give_back(mmap.MADV_DONTNEED)
                touch(old[0], 0)
    elif what == "fork":
        child = os.fork()
        if child == 0:
            # Less than its parent has, which the truth is about.
            most = sum(block["touched"] for block in blocks) // 2
            own = bytearray(min(chance.randrange(1, 20) * MIB, most))
            os._exit(len(own) > most)
        os.waitpid(child, 0)


for _ in range(chance.randrange(4, 14)):
    step()
if not any(sum(moment.values()) for moment in moments):
    add("FILLED", 50 * MIB, filled(50 * MIB), lambda: None)
most = max(sum(moment.values()) for moment in moments)
firsts = set()
for moment in moments:
    if sum(moment.values()) >= most - most // 20:
        largest = max(moment.values())
        firsts |= {line for line, size in moment.items() if size >= largest - largest // 20}
print(json.dumps({
    "touched": most,
    "most_resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "firsts": sorted(firsts),
}), flush=True)
if sys.argv[3] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
