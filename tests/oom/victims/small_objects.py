"""Keeps millions of small objects of one kind: dict, tuple or str. The last word on stdout is at most 250 objects old."""
import sys


def dicts(kept):
    while True:
        kept.append({"name": None})  # DICT
        tell(kept)


def tuples(kept):
    while True:
        kept.append((kept, kept))  # TUPLE
        tell(kept)


def strs(kept):
    while True:
        kept.append("%100d" % 1)  # STR
        tell(kept)


def tell(kept):
    if len(kept) % 250 == 0:
        print(len(kept) * sys.getsizeof(kept[0]) + sys.getsizeof(kept), flush=True)


{"dict": dicts, "tuple": tuples, "str": strs}[sys.argv[1]]([])
