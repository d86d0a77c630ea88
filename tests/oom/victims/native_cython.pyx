# A block of C's allocator, by Cython.
from libc.stdlib cimport malloc
from libc.string cimport memset


cdef class Block:
    cdef char *start


def make(size_t bytes):
    block = Block()
    block.start = <char *>malloc(bytes)
    memset(block.start, 1, bytes)
    return block
