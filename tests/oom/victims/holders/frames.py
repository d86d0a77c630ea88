"""Frames and series of pandas: numbers in blocks, texts in arrays of objects, a copy and a view."""

import numpy
import pandas

import truth


def hold():
    numbers = pandas.DataFrame(numpy.ones((50_000, 8)), columns=list("abcdefgh"))
    texts = pandas.DataFrame({"name": pandas.Series(["name %d" % row for row in range(40_000)], dtype=object)})
    series = pandas.Series(numpy.arange(200_000))
    grouped = {name: pandas.DataFrame({"x": numpy.ones(5000), "y": numpy.arange(5000)}) for name in "abcdefghij"}
    copied = numbers.copy()
    truth.wait()


hold()
