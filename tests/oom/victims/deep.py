"""Below so many frames, so many blocks are allocated and given back."""
import sys

import costs

depth, blocks = int(sys.argv[1]), int(sys.argv[2])
sys.setrecursionlimit(depth + 100)


def below(levels):
    if levels:
        return below(levels - 1)
    for _ in range(blocks):
        bytes(200)


below(depth)
held = bytearray(8 << 20)
costs.tell(len(held))
