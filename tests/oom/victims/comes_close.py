"""Grows until the file of its first argument says as many bytes as the second, waits for the third's file, and ends well; or,
with any fourth, grows on without end."""
import os
import sys
import time


def used():
    with open(sys.argv[1]) as file:
        return int(file.read())


def grow():
    kept.append(bytearray(1 << 20))  # HERE


kept = []
while used() < int(sys.argv[2]):
    grow()
print(len(kept) << 20, flush=True)
while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
while sys.argv[4:]:
    print(len(kept) << 20, flush=True)
    grow()
print("end")
