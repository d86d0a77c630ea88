"""Runs out, catches it, frees everything and ends well."""


def fill(kept):
    while True:
        kept.append(bytearray(1 << 20))  # HERE


kept = []
try:
    fill(kept)
except MemoryError:
    held = len(kept) << 20
    kept.clear()
    print(held)
