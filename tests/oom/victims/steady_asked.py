"""Holds 20 MiB in small blocks that are replaced again and again beside one that stays; says what the package calls its peak."""

import json
import sys

import filprofiler

PARTS = 200
TEXT = ("x" * 99 + " ") * (20 * (1 << 20) // PARTS // 156)


def part():
    return TEXT.split()


def replace(times):
    for _ in range(times):
        for number in range(PARTS):
            kept[number] = None
            kept[number] = part()


before = filprofiler.current_bytes()
kept = [part() for _ in range(PARTS)]
held = sum(sys.getsizeof(texts) + len(texts) * sys.getsizeof(texts[0]) for texts in kept)
filprofiler.reset_peak()
with filprofiler.profiled("window"):
    block = bytearray(30 << 20)  # BLOCK
    for _ in range(100):
        for phase in ("train", "validate"):
            filprofiler.mark(phase)
            replace(1)
print(json.dumps({"HELD": before + held + len(block), "BLOCK": len(block), "SINCE_RESET": filprofiler.peak_bytes()}))
