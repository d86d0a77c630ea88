"""Tables and arrays of Arrow, whose buffers are behind pointers of C++, arrays of pandas with a type of their own, and sparse matrices."""

import gc

import numpy
import pandas
import pyarrow
import scipy.sparse

import truth


def hold():
    table = pyarrow.table({"number": pyarrow.array([1.5] * 200_000), "text": ["text %d" % row for row in range(200_000)]})
    chunked = pyarrow.chunked_array([[float(row)] * 40_000 for row in range(10)])
    over_numpy = pyarrow.array(numpy.ones(200_000))
    batches = [pyarrow.record_batch({"row": pyarrow.array([row] * 30_000)}) for row in range(12)]
    masked = pandas.Series(numpy.arange(250_000)).astype("Int64")
    categories = pandas.Series(["red", "green", "blue", "grey"] * 200_000).astype("category")
    arrow_texts = pandas.Series(["of a series %d" % row for row in range(120_000)], dtype="string[pyarrow]")
    matrix = scipy.sparse.random(20_000, 500, density=0.02, format="csr", random_state=1)
    triples = scipy.sparse.coo_matrix(matrix)
    # What conversions left behind is of nobody.
    gc.collect()
    truth.wait()


hold()
