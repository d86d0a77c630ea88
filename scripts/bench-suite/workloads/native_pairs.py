"""C: pairs of malloc and free of 16 B to 1 MB, on as many threads as the argument says (see pairs.c)."""

import ctypes
import sys

from work import INPUTS, work

# Called from Python, so that tools which know only Python programs can be compared.
pairs = ctypes.CDLL(str(INPUTS / "pairs.so")).pairs
pairs.restype = ctypes.c_uint64
threads = int(sys.argv[1])
work(pairs, threads, ctypes.c_long(40_000_000 // threads))
