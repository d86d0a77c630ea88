"""Runs out in a thread of C, while this one waits for it, with the GIL held (`held`) or not (`free`)."""
import ctypes
import sys

library = {"held": ctypes.PyDLL, "free": ctypes.CDLL}[sys.argv[2]](sys.argv[1])
library.grow_in_thread.restype = ctypes.c_size_t
print(library.grow_in_thread())  # HERE
sys.exit(7)
