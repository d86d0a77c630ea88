"""Records one call alone."""

import sys

import filprofiler


def inside():
    return bytearray(30 << 20)  # INSIDE


before = bytearray(50 << 20)
result = filprofiler.api.profile(inside, sys.argv[1])
after = bytearray(50 << 20)
print(len(result))
