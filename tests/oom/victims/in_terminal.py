"""A program at a terminal: says back what is typed, and counts the interrupts."""
import os
import signal
import sys
import time

interrupts = []
signal.signal(signal.SIGINT, lambda *_: interrupts.append(1))
assert all(os.isatty(n) for n in (0, 1, 2))
assert os.tcgetpgrp(0) == os.getpgrp(), "not in the foreground"
print("ready", flush=True)
for _ in range(2):
    print("got", sys.stdin.readline(), end="", flush=True)
while not interrupts:
    time.sleep(0.01)
time.sleep(0.2)
print("interrupted", {1: "once"}.get(len(interrupts), "too often"), flush=True)
sys.exit(8)
