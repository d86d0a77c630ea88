"""Holds memory and waits until there is a line on stdin or the file of its argument."""
import os
import sys
import time

kept = [bytearray(40 << 20)]  # HERE
kept.append(bytearray(10 << 20))
kept.pop()
print("holding", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
print("done")
sys.exit(4)
