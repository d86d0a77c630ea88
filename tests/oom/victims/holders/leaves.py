"""Objects that are large themselves."""

import array
import mmap

import truth


def hold():
    ascii_text = "a" * 3_000_000
    latin_text = "\xe9" * 2_500_000
    wide_text = "\u20ac" * 1_000_000
    widest_text = "\U0001f40d" * 400_000
    with_utf8 = "\xe8" * 500_000
    plain_bytes = bytes(1_900_000)
    grown = bytearray()
    for _ in range(100):
        grown += bytes(17_000)
    huge_number = 1 << 12_000_000
    numbers = [number * 10**12 for number in range(1, 30_000)]
    floats = [number * 0.5 for number in range(30_000)]
    complexes = [complex(number, 1) for number in range(20_000)]
    doubles = array.array("d", [1.0]) * 150_000
    view = memoryview(bytearray(1_100_000))[1000:2000]
    mapped = mmap.mmap(-1, 1_000_000)
    truth.wait()


hold()
