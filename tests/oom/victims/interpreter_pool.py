"""Interpreters of Python's own modules (3.14 on)."""

from concurrent import interpreters
from concurrent.futures import InterpreterPoolExecutor

CODE = """
def load():
    return bytearray(70 << 20)
kept = load()
"""


def work(number):
    import sys

    sys.kept = bytearray(40 << 20)  # POOL
    return number


if __name__ == "__main__":
    interpreter = interpreters.create()
    interpreter.exec(CODE)
    with InterpreterPoolExecutor(1) as first, InterpreterPoolExecutor(1) as second:
        print(first.submit(work, 1).result(), second.submit(work, 2).result())
    interpreter.close()
