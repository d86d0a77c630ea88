"""Holds so many MiB in blocks of so many bytes, which it does not touch: of large ones, the kernel gives no page."""
import sys

import costs

mib, size = int(sys.argv[1]), int(sys.argv[2])
kept = [None] * ((mib << 20) // size)
for number in range(len(kept)):
    kept[number] = bytes(size - 33)
costs.tell(size * len(kept))
