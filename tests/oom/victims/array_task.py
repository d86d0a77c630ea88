"""A task of an array: holds so many MiB for each of its numbers, but for the task whose number is the second argument, which grows."""
import os
import sys
import time

number = int(os.environ["SLURM_PROCID"] if sys.argv[1] == "rank" else os.environ["SLURM_ARRAY_TASK_ID"])


def grows():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))  # GROWS


if number == int(sys.argv[2]):
    grows()
kept = bytearray((number + 1) * (20 << 20))  # HOLDS
# Long enough to be seen by whoever looks at how much is resident.
for page in range(0, len(kept), 4096):
    kept[page] = 1
time.sleep(0.5)
