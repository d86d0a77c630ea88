"""numpy: a million arrays of a few numbers each, of which some are kept."""

import numpy as np

from work import work


def small(count):
    kept = []
    for i in range(count):
        a = np.array((i, i + 1.0, i + 2.0))
        b = a * 2.0
        if i % 8 == 0:
            kept.append(b)
    return len(kept), float(kept[-1].sum())


work(small, 1_000_000)
