"""As many blocks as its last argument says, each a sample of its own, below 30 frames and by turns from two lines of the module:
`held` to the end, or `freed` at once."""
import sys
from itertools import repeat

what, pairs = sys.argv[1], int(sys.argv[2]) // 2
kept = []


def below(levels):
    if levels > 1:
        return below(levels - 1)
    block = bytes(2000)
    if what == "held":
        kept.append(block)


for _ in repeat(None, pairs):
    below(29)
    below(29)
held = bytearray(50 << 20)
