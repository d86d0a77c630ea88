"""Grows until the kernel has made it wait three times for `memory.high`, as the file of its first argument counts, and a
second for memory, as that of its second does, and ends well."""
import re
import sys


def waits():
    with open(sys.argv[1]) as file:
        return int(dict(line.split() for line in file)["high"])


def waited():
    with open(sys.argv[2]) as file:
        return int(re.search(r"some .*total=(\d+)", file.read()).group(1))


kept = []
while waits() < 3 or waited() < 1000000:
    kept.append(bytearray(1 << 18))
print("end")
