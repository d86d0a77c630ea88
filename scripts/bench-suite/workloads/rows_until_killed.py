"""Appends rows until it is killed. Their number is in a mapped file, which remains afterwards."""

import mmap
import struct
import sys


def grow(counter):
    rows = []
    while True:
        for _ in range(100):
            i = len(rows)
            rows.append({"id": i, "name": f"customer {i}", "balance": i * 0.5})
        struct.pack_into("<Q", counter, 0, len(rows))


with open(sys.argv[1], "r+b") as file:
    grow(mmap.mmap(file.fileno(), 8))
