"""Loops that are hot enough to be compiled, each line of which holds the same."""

import sys

ROUNDS = 100000
BYTES = 400


def callee(kept, number):
    kept[number] = bytes(BYTES)  # CALLEE


def generator():
    for _ in range(ROUNDS):
        yield bytes(BYTES)  # GENERATOR


def loop(kept):
    for number in range(ROUNDS):
        if number % 2:
            kept[number] = bytes(BYTES)  # ODD
            number += 1
        else:
            kept[number] = bytes(BYTES)  # EVEN


def calls(kept):
    for number in range(ROUNDS // 2):
        callee(kept, number)


def takes(kept):
    for number, block in enumerate(generator()):
        if number % 2:
            kept[number] = block


kept = [[None] * ROUNDS for _ in range(3)]
loop(kept[0])
calls(kept[1])
takes(kept[2])
jit = getattr(sys, "_jit", None)
print("compiles:", jit is not None and jit.is_enabled())
print(ROUNDS // 2 * (BYTES + sys.getsizeof(b"")))
