"""Keeps one anonymous mapping after another."""
import mmap

kept = []
while True:
    print(len(kept) << 20, flush=True)
    kept.append(mmap.mmap(-1, 1 << 20))  # HERE
