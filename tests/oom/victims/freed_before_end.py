"""Builds many small blocks, frees nearly all of them, and goes on for a while, so that it is measured after its peak."""
import ctypes
import time

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def phase():
    blocks, pins = [], []
    for number in range(60_000):
        block = libc.malloc(1500)
        libc.memset(block, 1, 1500)
        blocks.append(block)
        if number % 20 == 0:
            pins.append(libc.malloc(1500))
    for block in blocks:
        libc.free(block)
    return pins


pins = phase()
time.sleep(1)
