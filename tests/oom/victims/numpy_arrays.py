"""Keeps arrays: in memory of numpy's own, by ufuncs, and untouched zeros."""
import numpy


def ones():
    return numpy.ones(10 << 17)  # ONES


def zeros():
    return numpy.zeros(20 << 17)  # ZEROS


def product(a):
    return a * 2.0  # PRODUCT


def grow(kept):
    while True:
        print(sum(a.nbytes for a in kept), flush=True)
        kept.append(numpy.arange(1 << 17, dtype=float))  # GROW


kept = [ones(), zeros()]
kept.append(product(kept[0]))
grow(kept)
