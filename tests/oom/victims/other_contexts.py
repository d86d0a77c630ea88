"""Takes Python's allocators and calls their functions with contexts of its own, as a program that Nuitka compiled does."""
import array
import ctypes
import json

pointer, size = ctypes.c_void_p, ctypes.c_size_t


class Allocator(ctypes.Structure):
    _fields_ = [(name, pointer) for name in ("context", "malloc", "calloc", "realloc", "free")]


def functions(domain):
    allocator = Allocator()
    ctypes.pythonapi.PyMem_GetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
    function = ctypes.PYFUNCTYPE
    return (
        allocator.context,
        function(pointer, pointer, size)(allocator.malloc),
        function(pointer, pointer, size, size)(allocator.calloc),
        function(pointer, pointer, pointer, size)(allocator.realloc),
        function(None, pointer, pointer)(allocator.free),
    )


somewhere = ctypes.create_string_buffer(64)
contexts = [None, ctypes.addressof(somewhere), functions(1)[0], functions(2)[0], 1, 2**64 - 1]

for domain in 0, 1, 2:
    _, malloc, calloc, realloc, free = functions(domain)
    for context in contexts:
        for bytes in 0, 1, 100, 512, 513, 5000, 300000:
            block = malloc(context, bytes)
            ctypes.memset(block, 7, bytes)
            block = realloc(context, block, 2 * bytes + 1)
            assert ctypes.string_at(block, bytes) == bytes * b"\7"
            block = realloc(context, block, bytes // 2 + 1)
            assert ctypes.string_at(block, bytes // 2) == bytes // 2 * b"\7"
            free(context, block)
            block = calloc(context, 2, bytes)
            assert ctypes.string_at(block, 2 * bytes) == bytes * b"\0\0"
            free(context, block)
        free(context, None)

_, malloc, _, _, free = functions(2)
# Not a list: the addresses would be objects of the same line, larger or smaller from run to run.
kept = array.array("Q", [0]) * 100000
for at in range(len(kept)):
    kept[at] = malloc(None, 400)  # HERE
print(json.dumps({"HERE": 400 * len(kept)}))
for at in range(0, len(kept), 2):
    free(None, kept[at])
