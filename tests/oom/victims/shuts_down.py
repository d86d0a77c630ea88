"""Allocates while the interpreter shuts down, on one of the occasions that it gives: shuts_down.py OCCASION."""

import atexit
import gc
import sys
import types
import weakref

MIB = 1 << 20
SIZE = 30 * MIB


class Finalized:
    def __del__(self):
        self.block = bytearray(SIZE)  # FINALIZER


class Cycle:
    def __init__(self):
        self.itself = self

    def __del__(self):
        self.block = bytearray(SIZE)  # CYCLE


class Watched:
    pass


def is_gone(reference):
    block = bytearray(SIZE)  # WEAK_REFERENCE
    block[0] = 1


def at_exit():
    leaving.append(bytearray(SIZE))  # AT_EXIT


def collects(phase, info):
    if leaving == [1]:
        leaving.append(bytearray(SIZE))  # COLLECTOR


leaving = []
occasion = sys.argv[1]
if occasion == "FINALIZER":
    finalized = Finalized()
elif occasion == "CYCLE":
    gc.disable()
    cycle = Cycle()
elif occasion == "WEAK_REFERENCE":
    watched = Watched()
    # Neither the reference nor its callback goes away with this module's variables.
    callback = types.FunctionType(is_gone.__code__, {"bytearray": bytearray, "SIZE": SIZE})
    sys.reference = weakref.ref(watched, callback)
elif occasion == "AT_EXIT":
    atexit.register(at_exit)
elif occasion == "COLLECTOR":
    gc.callbacks.append(collects)
    atexit.register(leaving.append, 1)
print(SIZE)
