"""Calls the function of the C library that is named, which runs out of memory in its own way."""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])


def call(name):
    getattr(library, name)()  # HERE


call(sys.argv[2])
print("returned")
