"""Asks for a lot that it never touches, and fills little by little until it is killed. At as many MiB as the first argument says, it
waits for the file of the second."""
import mmap
import os
import sys
import time


def ask(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # UNTOUCHED


untouched = ask(1000 << 20)
kept = []
while True:
    print(len(kept) << 20, flush=True)
    block = bytearray(1 << 20)  # FILLED
    block[:] = b"x" * len(block)
    kept.append(block)
    if sys.argv[1:] and len(kept) == int(sys.argv[1]):
        print("waiting", flush=True)
        while not os.path.exists(sys.argv[2]):
            time.sleep(0.01)
