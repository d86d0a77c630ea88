"""numpy: expressions over arrays of 800 kB and 8 MB, with a temporary for each operator."""

import numpy as np

from work import work


def evaluate(size, times):
    x = np.linspace(0.0, 1.0, size)
    total = 0.0
    for i in range(times):
        y = (x * 2.0 + i) * (x - 0.5) - x / 3.0
        total += float(np.sqrt(y * y + 1.0)[-1])
    return round(total, 6)


def both():
    return evaluate(100_000, 1200), evaluate(1_000_000, 40)


work(both)
