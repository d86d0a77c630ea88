"""Holds memory 1,000 calls deep, then asks for too much."""
import sys

sys.setrecursionlimit(3000)


def descend(levels):
    if levels == 0:
        kept = bytearray(50 << 20)  # HERE
        print(len(kept), flush=True)
        return bytearray(1 << 45)
    return descend(levels - 1)  # DEEPER


descend(1000)
