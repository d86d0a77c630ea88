"""Grows without end, from the MiB of its first argument on by a MiB in the seconds of its second, as a job that reads its
data from a disk."""
import sys
import time

kept = []
while True:
    print(len(kept) << 20, flush=True)
    kept.append(bytearray(1 << 20))  # HERE
    if len(kept) > int(sys.argv[1]):
        time.sleep(float(sys.argv[2]))
