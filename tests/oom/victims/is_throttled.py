"""Grows until the kernel has made it wait three times for `memory.high`, as the file of its argument counts, and ends well."""
import sys


def waits():
    with open(sys.argv[1]) as file:
        return dict(line.split() for line in file)["high"]


kept = []
while int(waits()) < 3:
    kept.append(bytearray(1 << 18))
print("end")
