"""Objects of every kind and size, each kind made on a line of its own; in the end it tells what each line holds."""
import array
import ctypes
import gc
import json
import sys

gc.disable()
# Around every size class of pymalloc's, across its end at 512 bytes, and far beyond.
SIZES = list(range(2, 700)) + [1000, 4096, 5000, 70000, 300000]
NONES = [None] * SIZES[-1]
# Two digits or more: for one, Python takes a little more than it says.
POWERS = [1 << (8 * size + 32) for size in SIZES]
# As Python's own functions give it: just as many bytes as were asked for.
api = ctypes.pythonapi
names = [[prefix + name for name in ("Malloc", "Calloc", "Realloc")] for prefix in ("PyMem_Raw", "PyMem_", "PyObject_")]
RAW, MEM, OBJECT = [[getattr(api, name) for name in group] for group in names]
for malloc, calloc, realloc in (RAW, MEM, OBJECT):
    malloc.restype = calloc.restype = realloc.restype = ctypes.c_void_p
    malloc.argtypes = [ctypes.c_size_t]
    calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Slots:
    __slots__ = ("a", "b", "c")


# Without the GIL, the items of a list stand behind their number, which Python does not count.
NUMBER_OF_ITEMS = 8 if "free-threading" in sys.version else 0


def size_of(thing):
    return sys.getsizeof(thing) + (NUMBER_OF_ITEMS if type(thing) is list else 0)


def all_of(objects):
    return size_of(objects) + sum(map(size_of, objects))


# What Python has put by of freed objects is used up; of the tuples for arguments and of small integers (3.14 on), there is enough.
spare = [[[] for _ in range(300)], [{} for _ in range(300)], [n + 0.5 for n in range(300)]]
tuples = [tuple(range(n)) for n in range(1, 20) for _ in range(50)]
integers = [number + 1000 for number in range(300)]
del tuples, integers
# It does not grow while it is filled.
kept = dict.fromkeys(
    "BYTES BYTEARRAYS TEXTS WIDE_TEXTS INTEGERS FLOATS LISTS TUPLES DICTS SETS SLOTS ARRAYS".split()
)
spare += [], []
kept["BYTES"] = [bytes(size) for size in SIZES]  # BYTES
kept["BYTEARRAYS"] = [bytearray(size) for size in SIZES]  # BYTEARRAYS
kept["TEXTS"] = ["x" * size for size in SIZES]  # TEXTS
kept["WIDE_TEXTS"] = ["\u20ac" * size for size in SIZES]  # WIDE_TEXTS
kept["INTEGERS"] = [-power for power in POWERS]  # INTEGERS
kept["FLOATS"] = [size / 7 for size in SIZES]  # FLOATS
kept["LISTS"] = [NONES[:size] for size in SIZES]  # LISTS
kept["TUPLES"] = [(None,) * (size + 30) for size in SIZES]  # TUPLES
kept["DICTS"] = [dict.fromkeys(range(20 + size % 200)) for size in SIZES]  # DICTS
kept["SETS"] = [set(range(20 + size % 200)) for size in SIZES]  # SETS
kept["SLOTS"] = [Slots() for _ in SIZES]  # SLOTS
kept["ARRAYS"] = [array.array("b", bytes(size)) for size in SIZES]  # ARRAYS
truth = {kind: all_of(objects) for kind, objects in kept.items()}


def call(kind, allocator, allocate):
    pointers = array.array("Q", [0]) * len(SIZES)
    for number, size in enumerate(SIZES):
        pointers[number] = allocate(*allocator, size)
    truth[kind] = sum(SIZES)


call("RAW_MALLOC", RAW, lambda m, c, r, size: m(size))  # RAW_MALLOC
call("RAW_CALLOC", RAW, lambda m, c, r, size: c(size, 1))  # RAW_CALLOC
call("RAW_REALLOC", RAW, lambda m, c, r, size: r(r(m(7), 1000), size))  # RAW_REALLOC
call("MEM_MALLOC", MEM, lambda m, c, r, size: m(size))  # MEM_MALLOC
call("MEM_CALLOC", MEM, lambda m, c, r, size: c(1, size))  # MEM_CALLOC
call("MEM_REALLOC", MEM, lambda m, c, r, size: r(r(m(7), 1000), size))  # MEM_REALLOC
call("OBJECT_MALLOC", OBJECT, lambda m, c, r, size: m(size))  # OBJECT_MALLOC
call("OBJECT_CALLOC", OBJECT, lambda m, c, r, size: c(size, 1))  # OBJECT_CALLOC
call("OBJECT_REALLOC", OBJECT, lambda m, c, r, size: r(r(m(700), 7), size))  # OBJECT_REALLOC
text = json.dumps(truth)
last = bytearray(30 << 20)
print(text)
