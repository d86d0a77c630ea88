"""Holds so many MiB in small blocks, and replaces all of them as often as it is told: what it holds never changes."""
import sys

import costs

mib, rounds = int(sys.argv[1]), int(sys.argv[2])
PARTS = 200
TEXT = ("x" * 99 + " ") * (mib * (1 << 20) // PARTS // 156)


def part():
    return TEXT.split()  # HERE


kept = [part() for _ in range(PARTS)]
for _ in range(rounds):
    for number in range(PARTS):
        kept[number] = None
        kept[number] = part()
costs.tell(sum(sys.getsizeof(texts) + len(texts) * sys.getsizeof(texts[0]) for texts in kept))
