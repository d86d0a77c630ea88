"""Holds 20 MiB from the start, 10 MiB that it replaces again and again, and more the longer it runs: 20 MiB in the end at
one line, and at another twice as much. With any argument, it marks its phases. It prints as JSON when the script began, what the two
lines have allocated in the end, and how much of that there was when: seconds are those since the process was started."""

import json
import os
import sys
import time

if sys.argv[1:]:
    from filprofiler import mark
else:
    mark = str

BLOCK = 1000
STEPS = 100


def age():
    # Without buffers, of 128 KiB from 3.14 on: with them the peak would be a moment at which it asks.
    with open("/proc/uptime", "rb", buffering=0) as uptime, open("/proc/self/stat", "rb", buffering=0) as stat:
        ticks = int(stat.read().rpartition(b")")[2].split()[19])
        return float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def replace(turn):
    churned[turn * 7919 % len(churned)] = bytes(BLOCK)  # CHURNED


began = age()
mark("load")
old = [bytes(BLOCK) for _ in range(20 * 1024)]  # OLD
churned = [None] * (10 * 1024)
steady, double = [], []
# Prime to the length: each is there once, however slow the machine is.
for turn in range(len(churned)):
    replace(turn)
mark("grow")
# The earlier moment that growth is counted from is in the second half of the time that the process has run, so well after what was above.
runs = max(1.2, 8 * age())
seen = []
last, ran = time.monotonic(), 0.0
while ran < runs:
    now = time.monotonic()
    # However long the process had to wait for a processor, it grows by a step at most.
    ran += min(now - last, runs / STEPS)
    last = now
    if ran >= len(seen) * runs / STEPS:
        seen.append([age(), len(steady)])
    while len(steady) < 20 * 1024 * ran / runs:
        steady.append(bytes(BLOCK))  # STEADY
        double.append(bytes(2 * BLOCK))  # DOUBLE
    for _ in range(100):
        turn += 1
        replace(turn)


def held(blocks):
    return sum(map(sys.getsizeof, blocks)) + sys.getsizeof(blocks) - sys.getsizeof([])


print(json.dumps({"began": began, "steady": held(steady), "double": held(double), "blocks": len(steady), "seen": seen}))
