"""Sends a function to a worker process, which holds memory in it. The worker's copy has no name of a file, or that of this one."""
from joblib import Parallel, delayed


def heavy(count):
    kept = []
    for _ in range(count):
        kept.append(bytearray(1 << 20))
    return len(kept)


if __name__ == "__main__":
    assert Parallel(n_jobs=2)(delayed(heavy)(count) for count in (5, 60)) == [5, 60]
