import sys


def large():
    return bytearray(40 << 20)  # LARGE


def small():
    return [bytes(400) for _ in range(20000)]  # SMALL


kept = large(), small()
print(20000 * (400 + sys.getsizeof(b"")))
