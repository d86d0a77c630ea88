"""Waits until the file of its argument is there, then runs out; leaves a file of its own when it has ended."""
import os
import sys
import time

print("waiting", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
kept = []
try:
    while True:
        kept.append(bytearray(1 << 20))  # HERE
finally:
    del kept
    open("ended", "w").close()
