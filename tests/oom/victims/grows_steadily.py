"""Holds 20 MiB from the start, 10 MiB that it replaces again and again, and more the longer it runs: 20 MiB in the end at
one line, and at another twice as much. With any argument, it says so in phases."""

import sys
import time

if sys.argv[1:]:
    from filprofiler import mark
else:
    mark = str

RUNS = 1.2
BLOCK = 1000


def replace(turn):
    churned[turn * 7919 % len(churned)] = bytes(BLOCK)  # CHURNED


mark("load")
old = [bytes(BLOCK) for _ in range(20 * 1024)]  # OLD
churned = [None] * (10 * 1024)
steady, double = [], []
# Prime to the length: each is there once, however slow the machine is.
for turn in range(len(churned)):
    replace(turn)
mark("grow")
begin, ran = time.monotonic(), 0.0
while ran < RUNS:
    ran = time.monotonic() - begin
    while len(steady) < 20 * 1024 * ran / RUNS:
        steady.append(bytes(BLOCK))  # STEADY
        double.append(bytes(2 * BLOCK))  # DOUBLE
    for _ in range(100):
        turn += 1
        replace(turn)
print(len(old), len(churned), len(steady))
