"""C calls back into Python, which allocates."""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_void_p)
kept = []


def callback():
    kept.append(bytearray(40 << 20))  # CALLBACK


def main():
    library.call_back(CALLBACK(callback))  # CALLS


main()
