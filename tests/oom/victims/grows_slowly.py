"""Grows without end, the last part slowly, as a job that reads its data from a disk."""
import time

kept = []
while True:
    print(len(kept) << 20, flush=True)
    kept.append(bytearray(1 << 20))  # HERE
    if len(kept) > 220:
        time.sleep(0.01)
