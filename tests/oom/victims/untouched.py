"""Asks for a lot that it never touches, and fills little by little until it is killed."""
import mmap


def ask(size):
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # UNTOUCHED


untouched = ask(1000 << 20)
kept = []
while True:
    print(len(kept) << 20, flush=True)
    block = bytearray(1 << 20)  # FILLED
    block[:] = b"x" * len(block)
    kept.append(block)
