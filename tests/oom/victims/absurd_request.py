"""Asks once for far more than there is."""
import sys


def load(size):
    return bytearray(size)  # HERE


kept = bytearray(50 << 20)  # KEPT
print(len(kept), flush=True)
load(int(sys.argv[1]))
