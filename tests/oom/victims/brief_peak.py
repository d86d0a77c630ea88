"""Holds much for a moment between two that hold less: `large` in one block that is never touched, `burst` in small ones."""
import json
import sys
import time

TEXT = ("x" * 100 + " ") * 4000
kept = [TEXT.split() for _ in range(10)]  # KEPT
long_text = TEXT * 8


def large():
    block = bytes(64 << 20)  # LARGE
    return sys.getsizeof(block)


def burst():
    texts = long_text.split()  # BURST
    # Without looking at each: it would last longer.
    return sys.getsizeof(texts) + len(texts) * sys.getsizeof(texts[0])


began = time.perf_counter()
truth = {"large": large, "burst": burst}[sys.argv[1]]()
seconds = time.perf_counter() - began
after = [TEXT.split() for _ in range(5)]  # AFTER
print(json.dumps({"BRIEF": truth, "MICROSECONDS": int(seconds * 1e6)}))
