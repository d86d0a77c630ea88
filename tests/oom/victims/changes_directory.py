"""Goes elsewhere and runs out there."""
import os
import sys

os.chdir(sys.argv[1])
kept = []
while True:
    print(len(kept) << 20, flush=True)
    kept.append(bytearray(1 << 20))  # HERE
