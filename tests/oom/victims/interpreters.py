"""Subinterpreters by C, and a C thread that has a thread state: interpreters.py LIBRARY."""

import ctypes
import sys

MIB = 1 << 20
INSIDE = """
import ctypes, sys

def inside():
    block = bytearray({bytes})
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))
    return [
        bytes(100)
        for n in range(50000)
    ]

kept = inside()
"""


def interpreter(library, size):
    code = INSIDE.format(bytes=size).encode()
    assert ctypes.PyDLL(library).in_new_interpreter(code) == 0  # INTERPRETER


def thread(library, size):
    function = ctypes.CDLL(library).in_thread_with_state
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    kept = []
    callback = ctypes.CFUNCTYPE(None)(lambda: kept.append(bytearray(20 * MIB)))  # CALLBACK
    function(callback, size)  # WAITS
    return kept


kept = thread(sys.argv[1], 40 * MIB)
interpreter(sys.argv[1], 30 * MIB)
interpreter(sys.argv[1], 31 * MIB)
print("end")
