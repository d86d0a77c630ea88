"""A caller and the function that it calls have the same list."""

import truth


def process(passed, more):
    truth.wait()


def hold():
    rows = [bytes(1000) for _ in range(3000)]
    process(rows, [bytes(1000) for _ in range(1000)])


hold()
