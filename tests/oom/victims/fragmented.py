"""Ten million small objects, every second of which is freed: the memory stays with the allocator, and no line holds it. With `c`
the same by malloc; with `grow` as a second argument other memory grows until the end."""
import ctypes
import os
import sys
import time

COUNT = 10_000_000
KEPT = 100

if sys.argv[1] == "c":
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    make = libc.malloc
    blocks = (ctypes.c_void_p * (COUNT // 5))(*(make(KEPT) for _ in range(COUNT // 5)))  # HERE
    for index in range(0, COUNT // 5, 2):
        libc.free(ctypes.c_void_p(blocks[index]))
else:
    # 32 bytes each, all in arenas that none of them empties.
    objects = [index + 0.5 for index in range(COUNT)]  # HERE
    for index in range(0, COUNT, 2):
        objects[index] = None
print("holding", flush=True)
grown = []
while sys.argv[2:] == ["grow"]:
    grown.append(bytearray(1 << 20))
    time.sleep(0.01)
while not os.path.exists("go-on"):
    time.sleep(0.01)
