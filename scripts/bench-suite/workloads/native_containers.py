"""C++: makes and drops containers (see containers.cc)."""

import ctypes

from work import INPUTS, work

containers = ctypes.CDLL(str(INPUTS / "containers.so")).containers
containers.restype = ctypes.c_ulong
work(containers, ctypes.c_ulong(1600))
