"""Holds what a package's own allocator or threads gave it, on one line; says how much, and waits to be looked at."""
import json
import os
import sys
import time

import numpy as np

MIB = 1 << 20


def arrow():
    import pyarrow as pa

    kept = [pa.allocate_buffer(10 * MIB) for _ in range(6)]  # ARROW
    for block in kept:
        np.frombuffer(block, dtype=np.uint8)[:] = 1
    return kept, "ARROW", 60 * MIB


def arrow_table():
    import pyarrow as pa
    import pyarrow.compute as pc

    one = pa.array(np.arange(2_000_000))
    kept = [pc.add(one, number) for number in range(5)]  # ARROW_TABLE
    return (one, kept), "ARROW_TABLE", 80_000_000


def polars():
    import polars as pl

    kept = pl.select(pl.int_range(0, 10_000_000, dtype=pl.Int64).alias("a"))  # POLARS
    return kept, "POLARS", kept.estimated_size()


def numba():
    import numba

    @numba.njit(parallel=True)
    def make(count):
        result = np.empty(count)
        for index in numba.prange(count):
            result[index] = index
        return result

    make(10)
    kept = make(8_000_000)  # NUMBA
    return kept, "NUMBA", kept.nbytes


def numexpr():
    import numexpr as ne

    one = np.arange(4_000_000.0)
    kept = ne.evaluate("one * 2 + 1")  # NUMEXPR
    return (one, kept), "NUMEXPR", kept.nbytes


def blas():
    one = np.ones((1500, 1500))
    kept = [one @ one for _ in range(3)]  # BLAS
    return (one, kept), "BLAS", 3 * one.nbytes


def rocksdb():
    from rocksdict import Options, Rdict

    options = Options()
    options.set_write_buffer_size(256 * MIB)
    store = Rdict("store", options)
    value = os.urandom(1000)
    for key in range(60_000):
        store[key] = value  # ROCKSDB
    return store, "ROCKSDB", int(store.property_value("rocksdb.cur-size-all-mem-tables"))


def objects():
    kept = [bytes(600) for _ in range(100_000)]  # OBJECTS
    kept.append(bytearray(b"x") * (40 * MIB))
    return kept, "OBJECTS", 100_000 * (600 + 33)


kept, marker, held = globals()[sys.argv[1]]()
print(json.dumps({marker: held}), flush=True)
while not os.path.exists("go-on"):
    time.sleep(0.01)
