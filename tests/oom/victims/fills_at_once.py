"""Keeps a little, then fills one block that is far larger than what is left, of as many MiB as its argument says."""
import sys


def load(size):
    return bytearray(size)  # HERE


kept = [bytearray(1 << 20) for _ in range(20)]  # KEPT
size = int(sys.argv[1]) << 20
print(size, flush=True)
kept.append(load(size))
print("end")
